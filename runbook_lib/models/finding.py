"""What one investigation step saw."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from runbook_lib.errors import SourceTrouble
from runbook_lib.models.figure import Figure
from runbook_lib.models.frame import Frame

SourceState = Literal["ok"] | SourceTrouble


def is_sick(state: SourceState) -> bool:
    """Whether a source in this state is in trouble."""
    return state not in ("ok", "not_configured", "not_found")


class FindingStatus(StrEnum):
    """How a finding reads at a glance. `unknown`: the evidence could not be had."""

    NORMAL = "normal"
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Presence(StrEnum):
    """Whether a signal is there. `unknown` is not `absent`: the source could not be asked."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceStatus:
    """How a source answered. `seconds` is the time that the last answer took, None when there was none."""

    name: str
    status: SourceState
    error: str | None = None
    seconds: float | None = None

    @property
    def sick(self) -> bool:
        """Whether the system is in trouble: one that says it has no such object is not, nor is one that there is not."""
        return is_sick(self.status)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """One fact that causes are reasoned from; the names are declared in the playbook's rules.

    `since` is when it began and `until` when it was last seen (UTC), None when that is not known. `subject` is what it is about
    (`payments`, `deployment/orders revision 14`), `pods` are the service's pods that it was seen in, where it tells them apart.
    `value` is in `unit`, and so is `peak`, the highest that it was while it lasted. `text` is a sentence for whoever has to
    believe it.
    """

    name: str
    presence: Presence
    text: str
    since: datetime | None = None
    until: datetime | None = None
    subject: str | None = None
    pods: tuple[str, ...] = ()
    value: float | None = None
    peak: float | None = None
    unit: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Finding:
    """Evidence of one check: a sentence with number and unit, a table, a figure, the command, its sources' state.

    `tables` maps a caption to a frame; the first is the main one. `command` is what a person would have typed.
    `notes` are further sentences, in order of importance.
    """

    name: str
    title: str
    summary: str
    status: FindingStatus
    command: str = ""
    tables: tuple[tuple[str, Frame], ...] = ()
    figure: Figure | None = None
    notes: tuple[str, ...] = ()
    signals: tuple[Signal, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    at: datetime | None = None
    seconds: float | None = None

    def signal(self, name: str) -> Signal | None:
        """The signal of this name, None when the finding does not speak of it."""
        return next((signal for signal in self.signals if signal.name == name), None)

    @property
    def frame(self) -> Frame | None:
        """The main table, for an engineer who wants to go on from here."""
        return self.tables[0][1] if self.tables else None
