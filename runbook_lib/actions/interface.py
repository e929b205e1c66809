"""What an action is, what it is given, and what the guard knows of those who approve: the values and protocols of this layer."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from runbook_lib.actions.audit import AuditLog
from runbook_lib.actions.container import OpenContainer
from runbook_lib.actions.database_operator import DatabaseOperator
from runbook_lib.errors import UsageError
from runbook_lib.models.cause import Diagnosis
from runbook_lib.models.frame import Frame
from runbook_lib.models.index import IndexAdvice
from runbook_lib.models.plan import Plan, Refusal, Risk, Target
from runbook_lib.service import Service

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = [
    "Action",
    "ActionContext",
    "Approval",
    "Approvals",
    "CacheOperator",
    "Change",
    "ChangeRefused",
    "DatabaseOperator",
    "Gauge",
    "Mode",
    "Permission",
    "Settling",
]

Mode = Literal["interactive", "papermill", "alert"]
"""interactive: a person at the notebook. papermill: a person started it with parameters. alert: nobody is awake."""


@dataclass(frozen=True, slots=True)
class Approvals:
    """What the parameter `approve` names: actions, each with the target that was typed with it (None: none was)."""

    targets: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: str | Sequence[str] | None, *, known: Collection[str] = ()) -> Approvals:
        """Read `restart_pods,rollback_deployment=deployment/orders`, or a list of such names.

        Raises UsageError for a name that is not in `known` (when given), an empty target, or an action named twice with
        different targets.
        """
        items = value.split(",") if isinstance(value, str) else list(value or ())
        targets: dict[str, str | None] = {}
        for item in (str(one).strip() for one in items):
            if not item:
                continue
            name, equals, target = (part.strip() for part in item.partition("="))
            if not name or (equals and not target):
                raise UsageError(f"approve takes names such as restart_pods or restart_pods=deployment/orders; found {item!r}")
            if known and name not in known:
                close = difflib.get_close_matches(name, sorted(known), n=1)
                hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(known))}"
                raise UsageError(f"approve names {name!r}, which is no action of this runbook; {hint}")
            if name in targets and targets[name] != (target or None):
                raise UsageError(f"approve names {name} more than once, with different targets; name it once")
            targets[name] = target or None
        return cls(targets)

    def __contains__(self, action: object) -> bool:
        return action in self.targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """Somebody's yes to one plan. `source`: who may say it; `by`: the name; `typed_target`: what was typed to confirm it."""

    source: Literal["person", "parameter", "policy"]
    by: str
    typed_target: str | None = None


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """The symptom's own metric. `read()` measures it now, in `unit`; None when it cannot be measured.

    lag: how long after a change the metric shows it, since a rate looks back. `beyond()` measures anew what breaches the symptom
    besides this value, in words; empty when nothing does.
    """

    title: str
    unit: str
    threshold: float
    read: Callable[[], float | None]
    lag: timedelta = timedelta(0)
    better_when_lower: bool = True
    beyond: Callable[[], str] = lambda: ""

    def recovered(self, value: float) -> bool:
        """Whether this value is on the good side of the threshold."""
        return value <= self.threshold if self.better_when_lower else value >= self.threshold


class CacheOperator(Protocol):
    """Redis with the right to change its settings. Raises a SourceError when it does not answer properly, SourceRefused when it
    may not be asked to, or has no CONFIG as hosted ones have none."""

    def setting(self, name: str) -> str:
        """A setting's present value."""

    def set(self, name: str, value: str) -> None:
        """Change a setting until Redis is started again."""

    def info(self) -> Mapping[str, Any]:
        """INFO as one flat mapping."""

    def holds_writes(self) -> bool:
        """Whether it lets a write wait until the connection's timeout; a SourceError where it refuses to be asked."""

    def key_sample(self) -> Frame:
        """What its keys are; see `Cache.key_sample` of the sources."""


@dataclass(frozen=True, kw_only=True)
class ActionContext:
    """All that actions and the guard are given.

    api_client: the operator's identity in the cluster; None when the service has no cluster. open_container: opens one of its
    containers for commands. database, cache: the operator's identity there. missing_indexes: reads from statements' plans which
    indexes are missing, the one that is needed most first. operator: who acts (a person's account, or `alert`). symptom: what
    shows the effect; None when nothing does. other_causes: titles of confirmed causes that neither this action nor one before
    it is for, so that the symptom cannot be gone after it. connection_budget: how many connections the database has for the
    service's pods together; None when unknown. heap_dumps: the incident's folder for them. now gives aware times; sleep and
    progress are injected so that tests never wait.
    """

    service: Service
    mode: Mode
    incident: str
    audit: AuditLog
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    operator: str
    approvals: Approvals = field(default_factory=Approvals)
    dry_run: bool = False
    api_client: ApiClient | None = None
    open_container: OpenContainer | None = None
    database: DatabaseOperator | None = None
    missing_indexes: Callable[[Frame], Sequence[IndexAdvice]] = lambda _: ()
    cache: CacheOperator | None = None
    symptom: Gauge | None = None
    other_causes: tuple[str, ...] = ()
    diagnosis: Diagnosis | None = None
    heap_dumps: Path | None = None
    connection_budget: Callable[[], int | None] = lambda: None
    progress: Callable[[str], None] = lambda _: None
    poll_seconds: float = 2.0
    plan_expires_seconds: float = 900.0

    @property
    def namespace(self) -> str:
        """The namespace of the cluster connection; empty when there is none."""
        kubernetes = self.service.connections.kubernetes
        return kubernetes.namespace if kubernetes else ""

    @property
    def deployment(self) -> str:
        """The service's Deployment."""
        return self.service.components.application.deployment


@dataclass(frozen=True, kw_only=True, slots=True)
class Permission:
    """What the cluster must allow, as RBAC knows it; `name` is the object, empty for all of them."""

    verb: str
    resource: str
    group: str = ""
    name: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        group = f".{self.group}" if self.group else ""
        part = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {self.resource}{part}{group}" + (f"/{self.name}" if self.name else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settling:
    """Whether a change has taken effect on everything it is meant for.

    `text` says how far it is. `stuck` is a reason why it will not get there, empty while it may. Two equal values mean: no
    progress. grace_seconds: how much longer than others it may make none, since something was given that time to end.
    """

    done: bool
    text: str
    stuck: str = ""
    grace_seconds: float = 0.0


class ChangeRefused(Exception):  # noqa: N818 - it carries a refusal, which is a value and no error
    """Nothing was changed, and the refusal says why. The guard shows it like any refusal."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.reason)


class Change(Protocol):
    """One write to one system, bound to the state that the plan saw. It is used once.

    `preview` and `apply` raise ChangeRefused when nothing was changed, and ActionFailed for anything else that went wrong;
    OutcomeUnknown when the change may have been made, or may still be.
    """

    @property
    def text(self) -> str:
        """What it does, after `would` and `could not`: `patch configmap/orders-config`."""

    @property
    def permissions(self) -> Sequence[Permission]:
        """What the cluster must allow for the change, its revert, and for watching it."""

    def preview(self) -> None:
        """Let the system itself check this very change without making it, as far as it can."""

    def apply(self) -> str:
        """Make the change; gives what was done, in words."""

    def revert(self) -> str:
        """Take back what `apply` did, unless somebody has changed it since; gives what was done. Raises ActionFailed."""

    def settling(self) -> Settling:
        """How far it has taken effect."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """A kind of change. Its functions decide and describe; only the guard carries out.

    evidence: it is to understand the trouble and mends nothing, so that nobody waits for the symptom to get better by it.

    plan(context, **arguments): the plan, bound to what was seen, or why there is none. changes(context, plan): its writes, in
    order.
    undo(context, plan): the plan that takes an executed one back, or why there is none. All three may raise a SourceError or
    ChangeRefused; the guard makes refusals of them.
    """

    name: str
    title: str
    risk: Risk
    repair: bool
    plan: Callable[..., Plan | Refusal]
    changes: Callable[[ActionContext, Plan], Sequence[Change]]
    undo: Callable[[ActionContext, Plan], Plan | Refusal]
    target: Callable[[ActionContext], Target]
    evidence: bool = False
