"""What an action would do, why it may not, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Risk = Literal["low", "medium", "high"]
ActionStatus = Literal["proposed", "refused", "executed", "failed", "undone"]
Effect = Literal["better", "same", "worse", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What an action changes. `str()` is the name an engineer types: `deployment/orders`, `payments`, `postgres-0`."""

    kind: str
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.kind else self.name


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A change, before anybody agreed to it.

    before, after: the target's relevant state as text; the diff is shown. `command` is what a person would have typed.
    bound_to: what the plan was made on (resourceVersion; pid and backend start); the guard refuses when it has moved.
    seconds_until_effect: how long until one can see that it worked. `arguments` is what execute needs, JSON only.
    repair: True for a repair of the root cause, False for a mitigation. evidence: neither, it is to understand the trouble.
    id, made_at: which plan this is, and when (UTC) it saw the target; a plan is carried out at most once, and soon or not at all.
    uses: what it takes of the policy's limits: pods_at_once, pool_size, replicas.
    undoes: the id of the plan whose change this one takes back; empty otherwise.
    writes: what is written besides the target, so that nobody else changes it meanwhile.
    unattended: why it is not for a run with nobody awake, one reason each; a person may still approve it.
    """

    action: str
    title: str
    target: Target
    before: str
    after: str
    command: str
    risk: Risk
    affects: str
    undo: str
    seen_by: str
    seconds_until_effect: float
    repair: bool = False
    reversible: bool = True
    evidence: bool = False
    bound_to: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    uses: Mapping[str, int] = field(default_factory=dict)
    id: str = ""
    made_at: datetime | None = None
    undoes: str = ""
    writes: tuple[Target, ...] = ()
    unattended: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a plan may not be executed now. `by` is the rule that said no; `mend` is what would change that."""

    by: str
    reason: str
    mend: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a plan. `effect` compares the symptom's metric before and after; `steps` tells what was done, in order."""

    action: str
    target: Target
    status: ActionStatus
    text: str
    at: datetime
    plan: Plan | None = None
    refusal: Refusal | None = None
    steps: tuple[str, ...] = ()
    seconds: float | None = None
    effect: Effect = "unknown"
    effect_text: str = ""
    approved_by: str = ""

    @property
    def changed(self) -> bool:
        """Whether the service is another one by it: something was executed or undone, and not only to gather evidence."""
        return self.status in ("executed", "undone") and not (self.plan is not None and self.plan.evidence)


@dataclass(eq=False)
class Proposal:
    """An action as a notebook cell shows it: the plan (or the refusal), and the way to approve it.

    `approve(typed_target)` runs guard, execute and verify, and returns the outcome; a high risk needs the target's name.
    `undo()` is there once it was executed. Where taking it back is itself a high risk it only plans that: `back` is then the
    proposal to do it, with a plan and an approval of its own. The confirmed causes that call for it have a name and a title.
    `on_progress` hears what is being done or waited for. In an archive only the text remains.
    """

    action: str
    plan: Plan | None
    outcome: Outcome
    approve: Callable[[str | None], Outcome] | None = None
    undo: Callable[[], Outcome] | None = None
    recommended_for: tuple[str, ...] = ()
    recommended_titles: tuple[str, ...] = ()
    on_progress: Callable[[str], None] | None = None
    back: Proposal | None = None
