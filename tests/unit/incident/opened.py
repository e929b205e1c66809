"""Incidents on fakes: opened on a window that ends now, with a journal that keeps everything in lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runbook_lib.actions.interface import Action, ActionContext, Approvals, Change, Mode, Permission, Settling
from runbook_lib.incident import Incident, Opening, ResolutionSettings, Scope
from runbook_lib.models.plan import Plan, Refusal, Risk, Target
from runbook_lib.models.window import Window
from runbook_lib.playbooks import Playbook, playbook
from runbook_lib.service import Service
from runbook_lib.service.instrumentation import Expressions
from runbook_lib.sources.interface import Sources
from runbook_lib.testing import FakeJournal, FakeLogs, FakeMetrics, Measured, each_pod, fake_sources, line, log_lines, service

PATIENT = {"check_deadline_seconds": 20, "all_checks_deadline_seconds": 40}  # no fake takes as long, however busy the machine is
HURRIED = {"check_deadline_seconds": 1, "all_checks_deadline_seconds": 3}  # for what is given up: the test waits for all of it


def last_hour() -> Window:
    return Window.ending_at(datetime.now(UTC), "60m")


@dataclass
class Situation:
    """A service with leaked connections since 12 minutes, on a window that ends now. `measured` may be changed on the way."""

    window: Window = field(default_factory=last_hour)
    measured: dict[str, Measured] = field(default_factory=dict)

    def __post_init__(self) -> None:
        window, onset = self.window, self.onset
        self.measured |= {
            "error_ratio": line(0.0, 0.4, at=onset, window=window),
            "pool_in_use": each_pod(1, 5, at=onset, window=window),
            "pool_timeouts": each_pod(0, 3, at=onset, window=window),
        }

    @property
    def onset(self) -> datetime:
        return self.window.end - timedelta(minutes=12)

    def recover(self) -> None:
        """From now on nothing fails any more."""
        self.measured["error_ratio"] = line(0.0, window=self.window)

    def sources(self, **others: Any) -> Sources:
        records = log_lines("PoolTimeout: couldn't get a connection", since=self.onset, until=self.window.end)
        return fake_sources(**({"metrics": Changing(self), "logs": FakeLogs(records)} | others))


class Changing(FakeMetrics):
    """A Prometheus that says what the situation says at the moment."""

    def __init__(self, situation: Situation) -> None:
        super().__init__(situation.measured, window=situation.window)
        self._situation = situation

    def range(self, promql: str, **asked: Any) -> Any:
        self._answers |= self._situation.measured
        return super().range(promql, **asked)


def opened(
    folder: Path,
    sources: Sources,
    *,
    window: Window,
    known: Service | None = None,
    issue: str | Playbook = "high_error_rate",
    mode: Mode = "papermill",
    approve: str = "",
    live: bool = True,
    replayed: bool = False,
    dry_run: bool = False,
    alert: Mapping[str, Any] | None = None,
    discover: Callable[[], Expressions] | None = None,
) -> tuple[Incident, FakeJournal]:
    """Open an incident as a notebook does, on these sources."""
    journal = FakeJournal(folder)
    incident = Incident(
        Opening(
            identifier="20260301T040000Z-high_error_rate-1",
            playbook=playbook(issue) if isinstance(issue, str) else issue,
            scope=Scope(
                service=known or service(),
                sources=sources,
                window=window,
                live=live,
                replayed=replayed,
                discover=discover or sources.metrics.expressions,  # type: ignore[attr-defined]
            ),
            journal=journal,
            settings=ResolutionSettings(
                mode=mode, operator="alice", history=folder / "history", approvals=Approvals.parse(approve), dry_run=dry_run
            ),
            alert=alert or {},
            started_at=datetime.now(UTC),
        )
    )
    return incident, journal


@dataclass
class FakeAction:
    """An action that changes nothing but this object; `then` is called when it is carried out. way_back: the risk of its undo."""

    then: Callable[[], None] = lambda: None
    applied: int = 0
    planned: int = 0
    refusal: Refusal | None = None
    way_back: Risk | None = None

    def as_action(self, name: str) -> Action:
        return Action(
            name=name,
            title=f"Do {name}",
            risk="low",
            repair=False,
            plan=lambda context, **arguments: self._plan(name, context),
            changes=lambda context, plan: [_FakeChange(self)],
            undo=lambda context, plan: self._back(plan),
            target=lambda context: Target(kind="deployment", name="shop"),
        )

    def _plan(self, name: str, context: ActionContext) -> Plan | Refusal:
        del context
        self.planned += 1
        return self.refusal or Plan(
            action=name,
            title=f"Do {name}",
            target=Target(kind="deployment", name="shop"),
            before="3 pods",
            after="3 new pods",
            command=f"kubectl rollout restart deployment/shop # {name}",
            risk="low",
            affects="nobody",
            undo="not needed",
            seen_by="the error rate falls",
            seconds_until_effect=1.0,
            reversible=self.way_back is not None,
        )

    def _back(self, plan: Plan) -> Plan | Refusal:
        if self.way_back is None:
            return Refusal(by="target", reason="there is no way back")
        return replace(plan, title=f"Take {plan.action} back", risk=self.way_back)


@dataclass
class _FakeChange(Change):
    action: FakeAction

    @property
    def text(self) -> str:
        return "a fake change"

    @property
    def permissions(self) -> tuple[Permission, ...]:
        return ()

    def preview(self) -> None:
        """Nothing is in the way."""

    def apply(self) -> str:
        self.action.applied += 1
        self.action.then()
        return "changed"

    def revert(self) -> str:
        return "reverted"

    def settling(self) -> Settling:
        return Settling(done=True, text="settled")
