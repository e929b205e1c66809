"""The incident as `incident.json` keeps it (schema 1, docs/incident-record.md)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from runbook_lib.models.cause import Verdict
from runbook_lib.models.finding import SourceState
from runbook_lib.models.plan import ActionStatus, Risk

SCHEMA_VERSION = 1


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SymptomRecord(_Record):
    """A measured symptom; `value` and `threshold` in `unit`, None when it could not be measured.

    beyond: what breaches it besides the value, in words.
    """

    name: str
    value: float | None
    unit: str
    threshold: float
    breached: bool | None
    beyond: str = ""


class SourceRecord(_Record):
    """How a source answered; `seconds` is the time of its slowest answer."""

    name: str
    status: SourceState
    error: str | None = None
    seconds: float | None = None


class CauseRecord(_Record):
    """A judged cause; each line of `evidence` begins with `for`, `against` or `missing`."""

    name: str
    title: str
    verdict: Verdict
    confidence: float = Field(ge=0, le=1)
    because_of: str | None = None
    since: AwareDatetime | None = None
    why: str = ""
    evidence: tuple[str, ...] = ()


class ActionRecord(_Record):
    """What became of an action; `recommended_for` names the confirmed causes that call for it."""

    name: str
    target: str
    status: ActionStatus
    risk: Risk | None = None
    text: str = ""
    effect: str = "unknown"
    recommended_for: tuple[str, ...] = ()
    at: AwareDatetime | None = None


class FindingRecord(_Record):
    """A finding's sentence; all of it stands below `evidence/`."""

    name: str
    title: str
    status: str
    summary: str


class TimelineEntry(_Record):
    """Something that happened, at an instant in UTC."""

    at: AwareDatetime
    kind: Literal["alert", "deploy", "event", "finding", "action", "note"]
    text: str


class ProcessRecord(_Record):
    """Who writes a record that still says `running`, so that one whose writer has died can be told apart.

    `started` is the process's start as the system counts it (clock ticks since boot), since process ids are used again.
    """

    host: str
    pid: int
    started: int | None = None


class IncidentRecord(_Record):
    """One investigation. `status`: completed, failed (the notebook died), interrupted (nothing closed it), running."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    id: str
    issue: str
    service: str
    environment: str
    severity: str | None = None
    status: Literal["running", "completed", "failed", "interrupted"]
    summary: str = ""
    started_at: AwareDatetime
    finished_at: AwareDatetime | None = None
    onset_at: AwareDatetime | None = None
    recovered_at: AwareDatetime | None = None
    window_start: AwareDatetime
    window_end: AwareDatetime
    dry_run: bool = False
    alert: dict[str, Any] = {}
    impact: str = ""
    symptoms: tuple[SymptomRecord, ...] = ()
    sources: tuple[SourceRecord, ...] = ()
    causes: tuple[CauseRecord, ...] = ()
    findings: tuple[FindingRecord, ...] = ()
    actions: tuple[ActionRecord, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()
    next_steps: tuple[str, ...] = ()
    error: str | None = None
    process: ProcessRecord | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
