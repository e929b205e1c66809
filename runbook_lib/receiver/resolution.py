"""Noting in an incident what became of its alerts, once the run has ended and the record is nobody else's to write."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runbook_lib.errors import ArchiveError
from runbook_lib.models.record import IncidentRecord, TimelineEntry
from runbook_lib.receiver.job import Job

__all__ = ["note_alerts"]


def note_alerts(job: Job) -> None:
    """Add to the timeline of the job's incident which other alerts called for it, and that all are resolved; once, however often
    it is told.

    Does nothing for a job without an archive. Raises ArchiveError when the record cannot be read or written.
    """
    entries = list(_entries(job))
    if job.archive is None or not entries:
        return
    path = Path(job.archive) / "incident.json"
    try:
        record = IncidentRecord.model_validate_json(path.read_bytes())
        new = [entry for entry in entries if entry not in record.timeline]
        if new:
            timeline = sorted((*record.timeline, *new), key=lambda one: one.at)
            _replace(path, record.model_copy(update={"timeline": tuple(timeline)}).model_dump_json(by_alias=True, indent=2))
    except (OSError, ValidationError) as error:
        raise ArchiveError(f"{path}: what became of the alerts could not be noted: {error}") from error


def _entries(job: Job) -> Iterator[TimelineEntry]:
    others = [alert for alert in job.alerts if alert is not job.leading_alert]
    if others:
        first = min(_instant(alert.get("startsAt") or job.accepted_at) for alert in others)
        counted = ", ".join(f"{name} ({count})" for name, count in Counter(map(_name, others)).most_common())
        yield TimelineEntry(at=first, kind="alert", text=f"{len(others)} more called for this run: {counted}")
    if job.over_at is not None:
        more = f" and {len(others)} more are" if others else " is"
        yield TimelineEntry(at=_instant(job.over_at), kind="alert", text=f"{_name(job.leading_alert)}{more} resolved")


def _name(alert: dict[str, Any]) -> str:
    return str((alert.get("labels") or {}).get("alertname", "the alert"))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_suffix(".part")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
