"""What an incident leaves behind: `incident.json`, its timeline, and the seam to the folder that keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from runbook_lib.models.cause import Cause, Diagnosis, Symptom, Verdict
from runbook_lib.models.finding import Finding, SourceStatus
from runbook_lib.models.plan import Outcome
from runbook_lib.models.record import (
    ActionRecord,
    CauseRecord,
    FindingRecord,
    IncidentRecord,
    SourceRecord,
    SymptomRecord,
    TimelineEntry,
)

_MOST_EVENTS = 30


class Journal(Protocol):
    """Where an incident writes. Everything is redacted by it before it reaches the disk."""

    @property
    def directory(self) -> Path:
        """The incident's folder."""

    @property
    def audit_path(self) -> Path:
        """The file for the audit of changes."""

    @property
    def heap_directory(self) -> Path:
        """The folder for heap dumps."""

    def record(self, record: IncidentRecord) -> None:
        """Write `incident.json`, whole or not at all."""

    def finding(self, finding: Finding) -> None:
        """Keep the finding's tables as evidence."""

    def redact(self, text: str) -> str:
        """The text without secrets and personal data."""


def symptom_record(symptom: Symptom) -> SymptomRecord:
    """The measured symptom as `incident.json` has it."""
    return SymptomRecord(
        name=symptom.name, value=symptom.value, unit=symptom.unit, threshold=symptom.threshold, breached=symptom.breached
    )


def cause_record(cause: Cause) -> CauseRecord:
    """A judged cause, its evidence as sentences that begin with `for`, `against` or `missing`."""
    return CauseRecord(
        name=cause.name,
        title=cause.title,
        verdict=cause.verdict,
        confidence=cause.confidence,
        because_of=cause.because_of,
        since=cause.since,
        why=cause.why,
        evidence=tuple(f"{line.bearing}: {line.text}" for line in cause.evidence),
    )


def action_records(resolved: Iterable[tuple[Outcome, tuple[str, ...]]]) -> tuple[ActionRecord, ...]:
    """What became of each action, with the confirmed causes that call for it; those that a cause calls for stand first."""
    records = [
        ActionRecord(
            name=outcome.action,
            target=str(outcome.target),
            status=outcome.status,
            risk=outcome.plan.risk if outcome.plan is not None else None,
            text=outcome.text,
            effect=outcome.effect,
            recommended_for=recommended_for,
            at=outcome.at,
        )
        for outcome, recommended_for in resolved
    ]
    return tuple(
        sorted(
            records, key=lambda record: (record.status == "proposed" or record.status == "refused", not record.recommended_for)
        )
    )


def finding_record(finding: Finding) -> FindingRecord:
    """A finding's sentence and status."""
    return FindingRecord(name=finding.name, title=finding.title, status=str(finding.status), summary=finding.summary)


def source_records(findings: Iterable[Finding]) -> tuple[SourceRecord, ...]:
    """One state for each source: its first trouble, else its slowest answer."""
    states: dict[str, SourceStatus] = {}
    for status in (status for finding in findings for status in finding.sources):
        known = states.get(status.name)
        sick = status.status not in ("ok", "not_configured")
        if known is None or (known.status == "ok" and (sick or (status.seconds or 0) > (known.seconds or 0))):
            states[status.name] = status
    return tuple(
        SourceRecord(name=status.name, status=status.status, error=status.error, seconds=status.seconds)
        for status in sorted(states.values(), key=lambda status: status.name)
    )


def timeline(
    *, alert: dict[str, Any], diagnosis: Diagnosis | None, findings: Sequence[Finding], outcomes: Sequence[Outcome]
) -> tuple[TimelineEntry, ...]:
    """What happened, oldest first: the alert, the onset, rollouts, warnings of the cluster, causes, actions."""
    entries = [*_alert_entries(alert), *_change_entries(findings), *_event_entries(findings)]
    if diagnosis is not None:
        entries += _diagnosis_entries(diagnosis)
    for outcome in outcomes:
        if outcome.status in ("executed", "failed", "undone"):
            entries.append(
                TimelineEntry(at=outcome.at, kind="action", text=f"{outcome.action} on {outcome.target}: {outcome.text}")
            )
    unique = {(entry.at, entry.text): entry for entry in entries}
    return tuple(sorted(unique.values(), key=lambda entry: entry.at))


def _alert_entries(alert: dict[str, Any]) -> list[TimelineEntry]:
    started = alert.get("startsAt") or alert.get("starts_at")
    if not started:
        return []
    name = (alert.get("labels") or {}).get("alertname", "alert")
    return [TimelineEntry(at=datetime.fromisoformat(str(started)).astimezone(UTC), kind="alert", text=f"{name} fired")]


def _change_entries(findings: Sequence[Finding]) -> list[TimelineEntry]:
    entries = []
    for finding in findings:
        for caption, table in finding.tables:
            if caption == "What changed":
                for _, rows in table.dropna(subset=["at"]).groupby(["where", "at"], sort=False):
                    told = ", ".join(str(what) for what in rows["what"].head(3))
                    at = pd.Timestamp(rows["at"].iloc[0]).to_pydatetime()
                    entries.append(TimelineEntry(at=at, kind="deploy", text=f"{rows['where'].iloc[0]}: {told}"))
    return entries


def _event_entries(findings: Sequence[Finding]) -> list[TimelineEntry]:
    """The cluster's warnings; the same warning about several objects within a minute is one entry."""
    for finding in findings:
        for caption, table in finding.tables:
            if caption == "Events" and len(table):
                warnings = table[table["type"] == "Warning"].assign(at=table["first_seen"].fillna(table["time"]))
                minute = warnings["at"].dt.floor("min")
                groups = [rows.sort_values("at") for _, rows in warnings.groupby(["reason", "kind", minute], sort=False)]
                return [_event_entry(rows) for rows in groups[:_MOST_EVENTS]]
    return []


def _event_entry(rows: pd.DataFrame) -> TimelineEntry:
    first = rows.iloc[0]
    others = rows["name"].nunique() - 1
    told = f" and {others} more" if others else ""
    text = f"{first['reason']} {first['kind']}/{first['name']}{told}: {str(first['message'])[:200]}"
    return TimelineEntry(at=pd.Timestamp(first["at"]).to_pydatetime(), kind="event", text=text)


def _diagnosis_entries(diagnosis: Diagnosis) -> list[TimelineEntry]:
    entries = []
    for symptom in diagnosis.symptoms:
        if symptom.breached and symptom.onset_at is not None:
            entries.append(TimelineEntry(at=symptom.onset_at, kind="finding", text=f"{symptom.title.capitalize()} began to rise"))
    for cause in diagnosis.causes:
        standing = cause.verdict is Verdict.CONFIRMED or cause.because_of is not None
        if standing and cause.since is not None:
            relation = f" (because of {cause.because_of})" if cause.because_of else ""
            entries.append(TimelineEntry(at=cause.since, kind="finding", text=f"{cause.title} began{relation}"))
    return entries
