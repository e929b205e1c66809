"""What an incident leaves behind: the parts of `incident.json`, and the seam to the folder that keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from runbook_lib.models.cause import Cause, Symptom
from runbook_lib.models.finding import Finding, SourceStatus
from runbook_lib.models.plan import Outcome
from runbook_lib.models.record import (
    ActionRecord,
    CauseRecord,
    FindingRecord,
    IncidentRecord,
    SourceRecord,
    SymptomRecord,
)


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
        name=symptom.name,
        value=symptom.value,
        unit=symptom.unit,
        threshold=symptom.threshold,
        breached=symptom.breached,
        beyond=symptom.beyond,
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
        if known is None or (not known.sick and (status.sick or (status.seconds or 0) > (known.seconds or 0))):
            states[status.name] = status
    return tuple(
        SourceRecord(name=status.name, status=status.status, error=status.error, seconds=status.seconds)
        for status in sorted(states.values(), key=lambda status: status.name)
    )
