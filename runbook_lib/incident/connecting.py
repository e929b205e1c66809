"""The first thing a reader must know: which cluster, as whom, which sources answer, and what may be changed."""

from __future__ import annotations

from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.incident.investigation import Scope
from runbook_lib.incident.people import about
from runbook_lib.models.finding import Finding, FindingStatus, SourceStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.playbooks.declaration import Playbook
from runbook_lib.sources.interface import Source

_NAMES = ("metrics", "cluster", "logs", "database", "cache", "http")


def connection(playbook: Playbook, scope: Scope, *, identifier: str, mode: str, dry_run: bool) -> Finding:
    """Ask every source for its cheapest answer, and the cluster who we are."""
    sources: dict[str, Source] = {name: getattr(scope.sources, name) for name in _NAMES}
    cluster = scope.sources.cluster
    limit = scope.service.limits.check_deadline_seconds
    answers = ask(
        {
            **{name: Question(source, source.probe) for name, source in sources.items()},
            "identity": Question(cluster, cluster.identity),
        },
        deadline_seconds=limit,
    )
    states = [_state(answers, name, source) for name, source in sources.items()]
    sick = [state for state in states if state.sick]
    identity = answers.get("identity")
    summary = _summary(scope, identity, states, sick)
    return Finding(
        name="connection",
        title="Connect",
        summary=summary,
        status=FindingStatus.WARNING if sick else FindingStatus.NORMAL,
        command=f"kubectl auth whoami; kubectl -n {_namespace(scope)} auth can-i --list" if identity else "",
        tables=(("Sources", _table(states)), ("The service", about(scope.service))),
        notes=(
            f"Incident {identifier}, runbook {playbook.title}, window {scope.window}.",
            _permission(playbook, mode, dry_run),
            *(f"{state.name} ({state.status.replace('_', ' ')}): {state.error}" for state in sick),
        ),
        sources=tuple(states),
    )


def _state(answers: Answers, name: str, source: Source) -> SourceStatus:
    found = answers.get(name)
    if isinstance(found, SourceStatus):
        return found
    return answers.errors.get(name) or SourceStatus(name=source.name, status="invalid_answer", error="it did not say how it is")


def _summary(scope: Scope, identity: str | None, states: list[SourceStatus], sick: list[SourceStatus]) -> str:
    service = scope.service
    configured = [state for state in states if state.status != "not_configured"]
    where = f"{service.name} in {service.environment}"
    who = f", namespace {_namespace(scope)} as {identity}" if identity else ""
    return f"Connected to {where}{who}: {len(configured) - len(sick)} of {len(configured)} sources answer."


def _namespace(scope: Scope) -> str:
    kubernetes = scope.service.connections.kubernetes
    return kubernetes.namespace if kubernetes is not None else ""


def _permission(playbook: Playbook, mode: str, dry_run: bool) -> str:
    if dry_run:
        return "Dry run: every action is shown as it would be, and nothing is changed."
    if mode == "interactive":
        return f"Nothing is changed until you approve it; this runbook has {len(playbook.actions)} actions."
    if mode == "alert":
        return "Only what the service's policy approves (auto_approve) is executed; the rest is shown as a plan."
    return "Only what the parameter approve names is executed; the rest is shown as a plan."


def _table(states: list[SourceStatus]) -> Frame:
    rows = [(state.name, state.status.replace("_", " "), _milliseconds(state), state.error or "") for state in states]
    return frame(rows, columns=["source", "state", "answered in (ms)", "what it said"])


def _milliseconds(state: SourceStatus) -> float | None:
    return round(state.seconds * 1000) if state.seconds is not None else None
