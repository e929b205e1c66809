"""The folder of one incident: `outputs/<service>/<YYYY-MM-DD>/<incident id>/`, and what lies in it."""

from __future__ import annotations

import os
import re
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from runbook_lib.archive.files import make_directory, write_file
from runbook_lib.errors import ArchiveError, UsageError
from runbook_lib.models.record import IncidentRecord, ProcessRecord

__all__ = ["IncidentFolder", "apparent_status", "new_folder", "process_record", "this_process", "writer_lives"]

_PATH_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
# The start time of a process is the 22nd field of /proc/<pid>/stat; the name before it may hold spaces and brackets.
_FIELDS_FROM_NAME_TO_START = 20
_UNHEARD_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class IncidentFolder:
    """Where the parts of one incident lie. Making one touches nothing."""

    path: Path

    @property
    def id(self) -> str:
        """The incident's name: sorts by time, never used twice."""
        return self.path.name

    @property
    def notebook(self) -> Path:
        """The executed notebook."""
        return self.path / "incident.ipynb"

    @property
    def report(self) -> Path:
        """The notebook as one HTML file that needs nothing else."""
        return self.path / "report.html"

    @property
    def record_path(self) -> Path:
        """`incident.json`."""
        return self.path / "incident.json"

    @property
    def audit(self) -> Path:
        """The changes, one line each."""
        return self.path / "audit.jsonl"

    @property
    def evidence(self) -> Path:
        """Tables and figures of the findings."""
        return self.path / "evidence"

    @property
    def answers(self) -> Path:
        """What each source answered, to be replayed."""
        return self.evidence / "answers"

    @property
    def heap(self) -> Path:
        """Heap dumps: whatever was in memory, which no redaction can clean."""
        return self.evidence / "heap"

    def read_record(self) -> IncidentRecord:
        """Read `incident.json`. Raises ArchiveError when it is missing, unreadable, or of another schema."""
        try:
            return IncidentRecord.model_validate_json(self.record_path.read_bytes())
        except OSError as error:
            raise ArchiveError(f"{self.record_path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ArchiveError(f"{self.record_path} is no incident record of schema 1: {where}: {first['msg']}") from error

    def write_record(self, record: IncidentRecord) -> None:
        """Write `incident.json`, whole or not at all. Redaction is the caller's."""
        write_file(self.record_path, record.model_dump_json(by_alias=True, indent=2) + "\n")


def new_folder(outputs: Path, *, service: str, issue: str, at: datetime | None = None) -> IncidentFolder:
    """Make the folder of a new incident. Its name begins with the time in UTC to the millisecond.

    Runs that begin together get different folders: the name ends in a random part, and the folder is made exclusively.
    Raises UsageError for a service or issue that is no name, ArchiveError when the folder cannot be made.
    """
    for what, name in (("service", service), ("issue", issue)):
        if not _PATH_PART.fullmatch(name):
            raise UsageError(f"a name of letters, digits, dots and dashes was expected as {what}; found {name!r}")
    now = (at or datetime.now(UTC)).astimezone(UTC)
    while True:
        identifier = f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{issue}-{secrets.token_hex(3)}"
        folder = IncidentFolder(outputs / service / f"{now:%Y-%m-%d}" / identifier)
        try:
            make_directory(folder.path, new=True)
        except FileExistsError:
            continue
        return folder


def this_process() -> ProcessRecord:
    """Who is writing."""
    return process_record(os.getpid())


def process_record(pid: int) -> ProcessRecord:
    """A process of this host, so that it can be known again."""
    return ProcessRecord(host=socket.gethostname(), pid=pid, started=_started(pid))


def apparent_status(record: IncidentRecord, *, last_write: datetime, now: datetime) -> str:
    """The status as it is now: a record that says `running` while nobody runs it is `interrupted`.

    A writer on another host cannot be looked at; it counts as gone when nothing was written for a day.
    """
    if record.status != "running":
        return record.status
    writer = record.process
    if writer is None or writer.host != socket.gethostname():
        return "running" if now - last_write < _UNHEARD_FOR else "interrupted"
    return "running" if writer_lives(writer) else "interrupted"


def writer_lives(writer: ProcessRecord) -> bool:
    """Whether a process of this host is still on, and still the same as far as can be known."""
    try:
        os.kill(writer.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's process, which is there
    return writer.started is None or writer.started == _started(writer.pid)


def _started(pid: int) -> int | None:
    """The start of a process in clock ticks since boot; None where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[_FIELDS_FROM_NAME_TO_START - 1])
