"""Noting in an incident that its alert is resolved, once the run has ended and the record is nobody else's to write."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from runbook_lib.errors import ArchiveError
from runbook_lib.models.record import IncidentRecord, TimelineEntry
from runbook_lib.receiver.queue import Job

__all__ = ["note_resolved"]


def note_resolved(job: Job) -> None:
    """Add the resolution to the timeline of the job's incident; once, however often it is told.

    Does nothing for a job without an archive or a resolution. Raises ArchiveError when the record cannot be read or written.
    """
    if job.archive is None or job.resolved_at is None:
        return
    path = Path(job.archive) / "incident.json"
    entry = TimelineEntry(
        at=datetime.fromisoformat(job.resolved_at).astimezone(UTC),
        kind="alert",
        text=f"{job.alert.get('labels', {}).get('alertname', 'the alert')} is resolved",
    )
    try:
        record = IncidentRecord.model_validate_json(path.read_bytes())
        if entry not in record.timeline:
            timeline = sorted((*record.timeline, entry), key=lambda one: one.at)
            _replace(path, record.model_copy(update={"timeline": tuple(timeline)}).model_dump_json(by_alias=True, indent=2))
    except (OSError, ValidationError) as error:
        raise ArchiveError(f"{path}: the resolution of the alert could not be noted: {error}") from error


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_suffix(".part")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
