"""Hypotheses, the declared rules that judge them, and the verdicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Verdict(StrEnum):
    """`unknown` means that evidence is missing, never that the cause is unlikely."""

    CONFIRMED = "confirmed"
    SUSPECTED = "suspected"
    RULED_OUT = "ruled_out"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainedBy:
    """This cause is only a consequence of `cause` when that one stands and every signal of `when` is present.

    `unless` names signals that show this cause to stand on its own feet even so.
    """

    cause: str
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Remedy:
    """An action that helps when every signal of `when` is present and none of `unless`."""

    action: str
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ByHand:
    """What a person does about a cause when every signal of `when` is present."""

    text: str
    when: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Conjunction:
    """A signal made of others: present when all of `all_of` are and none of `none_of`; absent when one is not; else unknown.

    close_in_time: what is dated among them began at about the same time (within three tolerances of the diagnosis).
    """

    name: str
    all_of: tuple[str, ...]
    text: str
    none_of: tuple[str, ...] = ()
    close_in_time: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CauseRule:
    """How a cause is judged, as data.

    mechanism: groups of signal names; in each group at least one must be present (an AND of ORs).
    onset: signals whose `since` dates the cause; the earliest one present counts. Empty: the mechanism's.
    supports: signals that raise the confidence and are not needed.
    against: signals any of which, when present, rules the cause out.
    explained_by: when another cause makes this one its consequence.
    remedies: actions that help, the safest reversible mitigation first.
    by_hand: what a person does about it where no action fits. by_hand_when: what instead of that; the first that holds counts.
    lookback_seconds: a cause that began longer than this before the symptom is not taken for its cause; None: any time before.
    """

    name: str
    title: str
    mechanism: tuple[tuple[str, ...], ...]
    onset: tuple[str, ...] = ()
    supports: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    explained_by: tuple[ExplainedBy, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    by_hand: str = ""
    by_hand_when: tuple[ByHand, ...] = ()
    lookback_seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One line of the table of causes: what speaks for, against, or is missing, and which finding says so."""

    bearing: Literal["for", "against", "missing"]
    signal: str
    text: str
    finding: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """A judged hypothesis. `confidence` is 0 to 1; `because_of` names the confirmed cause that explains this one.

    `pods` are those that its evidence was seen in, where it tells them apart. `by_hand` is what is left where `actions` is empty.
    """

    name: str
    title: str
    verdict: Verdict
    confidence: float
    why: str
    because_of: str | None = None
    since: datetime | None = None
    subject: str | None = None
    pods: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    actions: tuple[str, ...] = ()
    by_hand: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Symptom:
    """The measured symptom of the issue: `value` and `threshold` in `unit`; None when it could not be measured.

    onset_at to last_seen_at is the episode that the causes are tied to, `peak` the highest value within it; None when the symptom
    is not breached. beyond: what breaches it besides the value, in words.
    """

    name: str
    title: str
    value: float | None
    unit: str
    threshold: float
    breached: bool | None
    peak: float | None = None
    onset_at: datetime | None = None
    last_seen_at: datetime | None = None
    text: str = ""
    beyond: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """All causes of a playbook, ranked: confirmed roots first, then what follows from them, then the rest."""

    symptoms: tuple[Symptom, ...]
    causes: tuple[Cause, ...]
    summary: str
    at: datetime
    missing_sources: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = field(default=())

    @property
    def roots(self) -> tuple[Cause, ...]:
        """The confirmed causes that no other confirmed cause explains."""
        return tuple(cause for cause in self.causes if cause.verdict is Verdict.CONFIRMED and cause.because_of is None)

    def calling_for(self, action: str) -> tuple[Cause, ...]:
        """Those of the roots that this action helps against."""
        return tuple(cause for cause in self.roots if action in cause.actions)
