"""The resolutions of an incident: each proposed through the guard, and what became of it kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib.actions.audit import AuditLog
from runbook_lib.actions.container import OpenContainer
from runbook_lib.actions.guard import propose
from runbook_lib.actions.interface import ActionContext, Approvals, CacheOperator, DatabaseOperator, Gauge, Mode
from runbook_lib.actions.registry import ACTIONS
from runbook_lib.checks.missing_index import lacking
from runbook_lib.errors import ConfigurationError, SourceError
from runbook_lib.incident.investigation import Scope
from runbook_lib.incident.recording import Journal
from runbook_lib.models.cause import Diagnosis, Symptom
from runbook_lib.models.plan import Outcome, Proposal, Refusal
from runbook_lib.models.window import format_instant
from runbook_lib.playbooks.declaration import Playbook

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["Resolution", "ResolutionSettings", "Resolved"]


@dataclass(frozen=True, kw_only=True)
class ResolutionSettings:
    """Who may change what. `operator` is the account that acts; `history` the folder of the service's other incidents.

    api_client logs in with the operator's identity, and gives None when the service has no cluster; open_container gives its
    containers. database and cache act with the operator's rights; None when the service has none.
    """

    mode: Mode
    operator: str
    history: Path
    approvals: Approvals = field(default_factory=Approvals)
    dry_run: bool = False
    api_client: Callable[[], ApiClient | None] = lambda: None
    open_container: OpenContainer | None = None
    database: DatabaseOperator | None = None
    cache: CacheOperator | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """What became of an action, and the confirmed causes that call for it."""

    outcome: Outcome
    recommended_for: tuple[str, ...] = ()


class Resolution:
    """Proposes the playbook's actions. Nothing is changed but through the guard; every outcome is kept, in order."""

    def __init__(
        self,
        playbook: Playbook,
        scope: Callable[[], Scope],
        settings: ResolutionSettings,
        journal: Journal,
        *,
        incident: str,
        diagnosis: Callable[[], Diagnosis],
        measure: Callable[[], Symptom],
        lag: Callable[[], timedelta],
        on_outcome: Callable[[], None],
    ) -> None:
        self._playbook = playbook
        self._scope = scope
        self._settings = settings
        self._incident = incident
        self._diagnosis = diagnosis
        self._measure = measure
        self._lag = lag
        self._on_outcome = on_outcome
        self._journal = journal
        self._audit = AuditLog(journal.audit_path, redact=journal.redact, history=settings.history)
        self._resolved: list[Resolved] = []

    @property
    def resolved(self) -> tuple[Resolved, ...]:
        """What became of each action, oldest first; a proposal gives way to what is done about it."""
        return tuple(self._resolved)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes alone."""
        return tuple(one.outcome for one in self._resolved)

    def entries(self) -> Mapping[str, tuple[str, Callable[..., Proposal]]]:
        """The actions for the menu: name to docstring and call."""
        return {name: (_documentation(name), partial(self._propose, name)) for name in self._playbook.actions}

    def _propose(self, name: str, **arguments: Any) -> Proposal:
        earlier = self._executed(name)
        if not self._scope().moves:
            proposal = self._refused(
                name, "window", "a past window is looked at", "open the incident without start, end and replay"
            )
        elif earlier is not None and self._settings.mode != "interactive":
            # The approval was for one execution; running the cell again is no new one.
            return Proposal(action=name, plan=None, outcome=_already(earlier))
        else:
            proposal = self._proposed(name, arguments, earlier)
        self._note(proposal.outcome, proposal.recommended_for)
        return proposal

    def _proposed(self, name: str, arguments: Mapping[str, Any], earlier: Outcome | None) -> Proposal:
        holder: list[Proposal] = []

        def progress(text: str) -> None:
            if holder and holder[0].on_progress is not None:
                holder[0].on_progress(text)

        proposal = propose(ACTIONS[name], self._context(name, progress), **arguments)
        holder.append(proposal)
        if earlier is not None and proposal.plan is not None:
            again = f"it was executed in this incident already, at {format_instant(earlier.at)}"
            proposal.plan = replace(proposal.plan, warnings=(again, *proposal.plan.warnings))
        self._follow(proposal)
        return proposal

    def _context(self, name: str, progress: Callable[[str], None] = lambda _: None) -> ActionContext:
        settings, diagnosis, scope = self._settings, self._diagnosis(), self._scope()
        symptom = diagnosis.symptoms[0]
        return ActionContext(
            service=scope.service,
            mode=settings.mode,
            incident=self._incident,
            audit=self._audit,
            now=lambda: datetime.now(UTC),
            sleep=time.sleep,
            operator=settings.operator,
            approvals=settings.approvals,
            dry_run=settings.dry_run,
            api_client=self._logged_in(),
            open_container=settings.open_container,
            database=settings.database,
            missing_indexes=lambda plans: lacking(plans, scope.service).indexes,
            cache=settings.cache,
            symptom=Gauge(
                title=symptom.title,
                unit=symptom.unit,
                threshold=symptom.threshold,
                read=lambda: self._measure().value,
                lag=self._lag(),
                beyond=lambda: self._measure().beyond,
            ),
            other_causes=self._untreated(diagnosis, besides=name),
            diagnosis=diagnosis,
            heap_dumps=self._journal.heap_directory,
            connection_budget=self._connection_budget,
            progress=progress,
        )

    def _untreated(self, diagnosis: Diagnosis, *, besides: str) -> tuple[str, ...]:
        """The confirmed causes that neither this action nor one that was executed is for."""
        done = {besides, *(one.action for one in self.outcomes if one.status == "executed")}
        return tuple(cause.title for cause in diagnosis.roots if not done & set(cause.actions))

    def _logged_in(self) -> ApiClient | None:
        try:
            return self._settings.api_client()
        except (SourceError, ConfigurationError):
            return None  # the guard refuses what needs the cluster, and the connection's card has said why it is missing

    def _connection_budget(self) -> int | None:
        """How many connections the database has for clients; None when it cannot be asked."""
        try:
            limits = self._scope().sources.database.limits()
        except SourceError:
            return None
        return int(limits["max_connections"]) - int(limits["reserved_connections"])

    def _follow(self, proposal: Proposal) -> None:
        """Keep what comes of the buttons, too."""
        approve, undo = proposal.approve, proposal.undo
        if approve is not None:

            def approved(typed: str | None = None) -> Outcome:
                outcome = approve(typed)
                self._note(outcome, proposal.recommended_for)
                self._follow_undo(proposal)
                return outcome

            proposal.approve = approved
        if undo is not None:
            self._follow_undo(proposal)

    def _follow_undo(self, proposal: Proposal) -> None:
        undo = proposal.undo
        if undo is not None:

            def undone() -> Outcome:
                outcome = undo()
                back = proposal.back
                if back is None:
                    self._note(outcome, proposal.recommended_for)
                elif (approve := back.approve) is not None:
                    # Nothing has become of the action yet; what comes of its way back is kept once that is approved.
                    back.approve = lambda typed=None: self._noted(approve(typed), proposal.recommended_for)
                return outcome

            proposal.undo = undone

    def _noted(self, outcome: Outcome, recommended_for: tuple[str, ...]) -> Outcome:
        self._note(outcome, recommended_for)
        return outcome

    def _note(self, outcome: Outcome, recommended_for: tuple[str, ...]) -> None:
        waiting = ("proposed", "refused")
        self._resolved = [
            one for one in self._resolved if one.outcome.action != outcome.action or one.outcome.status not in waiting
        ]
        self._resolved.append(Resolved(outcome, recommended_for))
        self._on_outcome()

    def _executed(self, name: str) -> Outcome | None:
        """The last execution of an action that still stands."""
        last = [one.outcome for one in self._resolved if one.outcome.action == name]
        return last[-1] if last and last[-1].status == "executed" else None

    def _refused(self, name: str, by: str, reason: str, mend: str) -> Proposal:
        refusal = Refusal(by=by, reason=reason, mend=mend)
        target = ACTIONS[name].target(self._context(name))
        text = f"Refused: {reason}. To change that, {mend}."
        outcome = Outcome(action=name, target=target, status="refused", text=text, at=datetime.now(UTC), refusal=refusal)
        causes = self._diagnosis().calling_for(name)
        return Proposal(
            action=name,
            plan=None,
            outcome=outcome,
            recommended_for=tuple(cause.name for cause in causes),
            recommended_titles=tuple(cause.title for cause in causes),
        )


def _already(earlier: Outcome) -> Outcome:
    text = f"Executed already, at {format_instant(earlier.at)}; nothing was done again. {earlier.text}"
    return replace(earlier, text=text)


def _documentation(name: str) -> str:
    action = ACTIONS[name]
    kind = "Gathers evidence" if action.evidence else "Repairs the root cause" if action.repair else "Mitigates"
    return f"{action.title}. {kind}; {action.risk} risk. Shows its plan first."
