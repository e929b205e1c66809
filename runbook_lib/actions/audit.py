"""The audit of changes: what was going to be done, written before, and what came of it, written after.

One JSON object a line, each flushed to the disk, each chained to the line before by SHA-256, so that a line that was altered,
removed or put in afterwards is found. What the chain alone cannot show is that lines are missing at the very end.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from runbook_lib.errors import ArchiveError

__all__ = ["FILE_NAME", "AuditEntry", "AuditLog", "ChainReport", "Event", "read_entries", "verify_chain"]

Event = Literal["intent", "outcome", "effect", "refused"]

GENESIS = "0" * 64
"""What the first line is chained to."""

FILE_NAME = "audit.jsonl"

_CLOCKS_APART_SECONDS = 3600.0  # how far the clock of a shared file system may be behind ours


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """One line. `at` is aware, UTC; `details` is all else that the line says."""

    sequence: int
    at: datetime
    event: str
    details: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.details.get(key)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainReport:
    """Whether an audit file is as it was written. `broken_at` is the first line that is not (from 1).

    `torn` are lines that were cut off while they were written, by a crash or a full disk; what they would have said is lost,
    and the chain goes on after them.
    """

    entries: int
    intact: bool
    text: str
    broken_at: int | None = None
    torn: tuple[int, ...] = ()


class AuditLog:
    """The audit of one incident, which several processes may write to.

    history: the folder below which the audits of the service's other incidents lie; None: this one alone. redact takes secrets
    out of every text before it is written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        redact: Callable[[str], str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        history: str | Path | None = None,
    ) -> None:
        self.path = Path(path)
        self.history = Path(history) if history is not None else self.path.parent
        self._redact = redact
        self._now = now

    def append(self, event: Event, details: Mapping[str, Any]) -> AuditEntry:
        """Write one line and wait until the disk has it. Raises ArchiveError when that cannot be: then nothing may be changed."""
        clean = _redacted(details, self._redact)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.path) as descriptor:
                return self._write(descriptor, event, clean)
        except OSError as error:
            raise ArchiveError(
                f"the audit {self.path} cannot be written: {error.strerror or error}; nothing is changed without it, "
                "so free the disk or mend the folder's permissions"
            ) from error

    def entries(self) -> list[AuditEntry]:
        """The lines of this incident, oldest first; those that cannot be read are left out."""
        return read_entries(self.path)

    def entries_of_all_incidents(self, *, since: datetime) -> Iterator[AuditEntry]:
        """The lines from `since` on of every incident in `history`, in no order across incidents."""
        # An archive grows for years: files that were last written well before are not opened.
        oldest = since.timestamp() - _CLOCKS_APART_SECONDS
        others = {path for path in self.history.rglob(FILE_NAME) if path.stat().st_mtime >= oldest}
        for path in sorted({self.path, *others}):
            yield from (entry for entry in read_entries(path) if entry.at >= since)

    def _write(self, descriptor: int, event: Event, details: Mapping[str, Any]) -> AuditEntry:
        content = _read_all(descriptor)
        if content and not content.endswith(b"\n"):
            # The writer before us died in the middle of its line. It stays as it is, and stands in the chain as a line of its
            # own.
            _write_all(descriptor, b"\n")
            content += b"\n"
        lines = content.splitlines()
        at = self._now().astimezone(UTC)
        entry = AuditEntry(sequence=len(lines) + 1, at=at, event=event, details=details)
        previous = hashlib.sha256(lines[-1]).hexdigest() if lines else GENESIS
        written = {"sequence": entry.sequence, "at": at.isoformat(), "event": event, **details, "previous": previous}
        line = json.dumps(written, ensure_ascii=False)
        _write_all(descriptor, line.encode("utf-8", "backslashreplace") + b"\n")
        os.fsync(descriptor)
        if not lines:
            _sync_directory(self.path.parent)
        return entry


def read_entries(path: Path) -> list[AuditEntry]:
    """The lines of an audit file, oldest first; a file that is not there has none. Raises ArchiveError when it cannot be read."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ArchiveError(f"the audit {path} cannot be read: {error.strerror}; mend its permissions") from error
    return [entry for line in lines if (entry := _parsed(line)) is not None]


def verify_chain(path: str | Path) -> ChainReport:
    """Check every line of an audit file against the one before. Raises ArchiveError when the file cannot be read."""
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise ArchiveError(f"the audit {path} cannot be read: {error.strerror}") from error
    previous, torn = GENESIS, []
    for number, line in enumerate(lines, start=1):
        entry = _parsed(line)
        if entry is None:
            torn.append(number)
        elif entry["previous"] != previous or entry.sequence != number:
            text = f"line {number} does not follow from line {number - 1}: one was altered, or lines between them are missing"
            return ChainReport(entries=len(lines), intact=False, text=text, broken_at=number, torn=tuple(torn))
        previous = hashlib.sha256(line).hexdigest()
    text = f"all {len(lines)} lines follow from one another"
    if torn:
        text += f"; line {', '.join(map(str, torn))} was cut off while it was written, and what it said is lost"
    return ChainReport(entries=len(lines), intact=True, text=text, torn=tuple(torn))


def _parsed(line: bytes) -> AuditEntry | None:
    """The entry that a line holds, None when it is cut off."""
    try:
        fields = json.loads(line)
        sequence, at, event = fields.pop("sequence"), datetime.fromisoformat(fields.pop("at")), fields.pop("event")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return AuditEntry(sequence=sequence, at=at, event=event, details=fields)


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """The value as JSON, every text in it redacted - keys stay, they are ours."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {str(key): _redacted(inner, redact) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(inner, redact) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else redact(str(value))


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, open for appending, for one writer at a time."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _read_all(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    chunks = []
    while chunk := os.read(descriptor, 1 << 20):
        chunks.append(chunk)
    return b"".join(chunks)


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _sync_directory(directory: Path) -> None:
    """Make a new file's name as durable as its content."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
