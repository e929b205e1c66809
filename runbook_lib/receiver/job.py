"""A job: one run, and the alerts that call for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from runbook_lib.models.record import ProcessRecord

__all__ = ["Job", "JoinedAlert", "parsed", "written"]

_SEVERITIES = ("sev-1", "critical", "page", "sev-2", "error", "high", "sev-3", "warning", "sev-4", "info")
"""What teams write into the label `severity`, the most severe first."""


@dataclass(frozen=True, kw_only=True)
class JoinedAlert:
    """A further alert that calls for the same run. key, resolved_at: as in Job."""

    key: str
    alert: dict[str, Any]
    resolved_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run, and the alerts that call for it: the first, and those that joined while it waited.

    key: the first alert's own (see Alert.key). attempts: how often a run was started and not ended by us. process: that of
    the run that is on. outcome: how it ended. archive: folder of its incident. resolved_at: when the first alert was resolved,
    None while that is not known. Times are UTC, ISO 8601.
    """

    id: str
    key: str
    notebook: str
    service: str
    alert: dict[str, Any]
    accepted_at: str
    joined: tuple[JoinedAlert, ...] = ()
    attempts: int = 0
    process: ProcessRecord | None = None
    finished_at: str | None = None
    outcome: str | None = None
    archive: str | None = None
    resolved_at: str | None = None

    @property
    def target(self) -> tuple[str, str]:
        """What it runs and for whom; a service file is of one service in one environment."""
        return self.notebook, self.service

    @property
    def keys(self) -> tuple[str, ...]:
        """Those of all its alerts."""
        return self.key, *(one.key for one in self.joined)

    @property
    def alerts(self) -> tuple[dict[str, Any], ...]:
        """All its alerts, as they were sent, the first one first."""
        return self.alert, *(one.alert for one in self.joined)

    @property
    def leading_alert(self) -> dict[str, Any]:
        """The one that the notebook is told of: the most severe, of several such the first."""
        return min(self.alerts, key=_rank)

    @property
    def over_at(self) -> str | None:
        """When the last of its alerts was resolved; None while one is not."""
        times = [self.resolved_at, *(one.resolved_at for one in self.joined)]
        return None if None in times else max(time for time in times if time is not None)

    def with_alert_of(self, other: Job) -> Job:
        """It, called for by the other's alert as well."""
        return replace(self, joined=(*self.joined, JoinedAlert(key=other.key, alert=other.alert)))

    def with_resolution(self, key: str, at: str) -> Job:
        """It, with the alert of this key resolved."""
        if key == self.key:
            return replace(self, resolved_at=at)
        return replace(self, joined=tuple(replace(one, resolved_at=at) if one.key == key else one for one in self.joined))


def parsed(content: bytes) -> Job:
    """The job that a file holds. Fields of a newer version are ignored. Raises ValueError when it holds none."""
    job = _JOB.validate_json(content)
    if job.finished_at is not None:
        datetime.fromisoformat(job.finished_at)
    return job


def written(job: Job) -> bytes:
    """The content of a job's file."""
    return _JOB.dump_json(job, indent=1)


def _rank(alert: dict[str, Any]) -> int:
    severity = str((alert.get("labels") or {}).get("severity", "")).lower()
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)


_JOB = TypeAdapter(Job)
