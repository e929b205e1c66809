"""The archive as a list: every incident, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runbook_lib.archive.folder import IncidentFolder, apparent_status
from runbook_lib.errors import ArchiveError
from runbook_lib.models.record import IncidentRecord

__all__ = ["Entry", "incidents"]

_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """An incident of the archive. `record.status` is what it is now: `running` only while somebody runs it."""

    record: IncidentRecord
    directory: Path


def incidents(outputs: Path, search: str = "") -> list[Entry]:
    """All incidents below `outputs` that have `search` anywhere in their record, newest first.

    A record that cannot be read gives an entry that says so: a broken incident is not a lost one.
    """
    folders = (
        path for path in outputs.glob("*/*/*/") if not any(part.startswith(".") for part in path.relative_to(outputs).parts)
    )
    entries = [_entry(IncidentFolder(path)) for path in folders if path.is_dir()]
    found = [entry for entry in entries if search.lower() in entry.record.model_dump_json(by_alias=True).lower()]
    return sorted(found, key=lambda entry: (entry.record.started_at, entry.record.id), reverse=True)


def _entry(folder: IncidentFolder) -> Entry:
    try:
        record = folder.read_record()
        written = datetime.fromtimestamp(folder.record_path.stat().st_mtime, UTC)
    except (ArchiveError, OSError) as error:
        return Entry(_unreadable(folder, error), folder.path)
    status = apparent_status(record, last_write=written, now=datetime.now(UTC))
    return Entry(record.model_copy(update={"status": status}), folder.path)


def _unreadable(folder: IncidentFolder, error: Exception) -> IncidentRecord:
    """What the folder's own name tells."""
    stamp, _, rest = folder.id.partition("-")
    try:
        started = datetime.strptime(stamp, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        started = _UNKNOWN
    return IncidentRecord(
        schema=1,
        id=folder.id,
        issue=rest.rpartition("-")[0] or "unknown",
        service=folder.path.parent.parent.name,
        environment="unknown",
        status="interrupted",
        started_at=started,
        window_start=started,
        window_end=started,
        error=f"unreadable: {error}",
    )
