"""Would a network policy deny the service's connections? Evaluated for each way that it needs, and not only listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from runbook_lib.analysis.network_policy import Access, Direction, Passage, Peer, Policy, Port, passage, removable
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.errors import SourceMissingObject
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.selectors import selector_text
from runbook_lib.models.window import format_instant
from runbook_lib.service.models import Upstream
from runbook_lib.sources.interface import Cluster

_DNS = Port(53, "UDP")
_POSTGRES = Port(5432)


@dataclass(frozen=True, slots=True)
class _Group:
    """Some pods of the namespace: one of them as the end of a connection, and the policies that select it."""

    peer: Peer
    policies: tuple[Policy, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """One connection that the service needs, in one direction of one of its ends: the verdict, and what alone would open it."""

    name: str
    passage: Passage
    opens: Policy | None

    @property
    def denied(self) -> bool:
        """No policy lets it pass."""
        return self.passage.access is Access.DENIED

    @property
    def newest(self) -> Policy:
        """Of the policies that close it, the one that was written last."""
        return self.opens or max(self.passage.policies, key=lambda one: one.updated_at.timestamp() if one.updated_at else 0.0)


def network_policies(context: CheckContext) -> Finding:
    """Do network policies let clients in, and the service out to DNS, its database and the services that it calls?"""
    cluster, own = context.sources.cluster, context.selector
    database = context.service.components.database
    dependencies = context.service.dependencies
    questions: dict[str, Callable[[], _Group | None]] = {"service": lambda: _group(cluster, context.service.name, own)}
    if database is not None and database.selector:
        questions["database"] = partial(_group, cluster, "the database", database.selector)
    questions |= {one.name: partial(_named, cluster, one.name) for one in dependencies.downstream}
    questions |= {one.name: partial(_caller, cluster, one) for one in dependencies.upstream}
    answers = ask({name: Question(cluster, call) for name, call in questions.items()}, deadline_seconds=context.deadline_seconds)
    ways = _ways(context, answers) if answers.get("service") is not None else []
    summary = _summary(context, ways, answers)
    return Finding(
        name="network_policies",
        title="Network policies",
        summary=summary,
        status=_status(ways, answers),
        command=f"kubectl -n {context.namespace} get networkpolicies -o yaml",
        tables=tuple(_tables(ways)),
        notes=_notes(ways),
        signals=tuple(_signals(context, ways, answers)),
        sources=answers.sources,
    )


def ways_in(context: CheckContext) -> str:
    """The policy that denies clients the way in, in words; empty when none does. Raises SourceError."""
    cluster, callers = context.sources.cluster, context.service.dependencies.upstream
    own = _group(cluster, context.service.name, context.selector)
    if own is None or not own.policies:
        return ""
    answers = Answers(values={one.name: _caller(cluster, one) for one in callers}, errors={}, sources=())
    denied = [way for way in _clients(context, own, answers) if way.denied]
    return f"network policy {denied[0].newest.name} denies {denied[0].name}" if denied else ""


def _group(cluster: Cluster, name: str, selector: str) -> _Group | None:
    """The pods of a selector; None when there are none whose labels could be judged."""
    pods = cluster.pods(selector)
    if pods.empty:
        return None
    pod = pods.iloc[0]
    ports = {port["name"]: int(port["containerPort"]) for port in pod["ports"] if port.get("name")}
    peer = Peer(name=name, labels=pod["labels"], namespace=cluster.namespace, address=str(pod["ip"]), ports=ports)
    return _Group(peer, _policies(cluster.network_policies(pod["labels"])))


def _named(cluster: Cluster, name: str) -> _Group | None:
    """The pods behind a Service of this name in the namespace; None when it is elsewhere."""
    try:
        selector = cluster.service(name)["selector"]
    except SourceMissingObject:
        return None
    return _group(cluster, name, selector_text({"matchLabels": selector})) if selector else None


def _caller(cluster: Cluster, caller: Upstream) -> _Group | None:
    return _group(cluster, caller.name, caller.selector) if caller.selector else _named(cluster, caller.name)


def _policies(found: Frame) -> tuple[Policy, ...]:
    return tuple(
        Policy(str(name), spec, None if pd.isna(at) else pd.Timestamp(at).to_pydatetime())
        for name, spec, at in zip(found["policy"], found["spec"], found["updated_at"], strict=True)
    )


def _ways(context: CheckContext, answers: Answers) -> list[_Way]:
    own: _Group = answers.get("service")
    ways = _clients(context, own, answers)
    ways.append(_way(f"{own.peer.name} → DNS", "egress", own, None, _DNS))
    if context.service.components.database is not None:
        ways += _both_or_out(own, answers.get("database"), _POSTGRES, "the database")
    for downstream in context.service.dependencies.downstream:
        if (called := answers.get(downstream.name)) is not None:
            ways += _both(own, called, Port(next(iter(called.peer.ports.values()), 80)))
    return ways


def _clients(context: CheckContext, own: _Group, answers: Answers) -> list[_Way]:
    """The way in: for anybody, and for each of those who are known to call."""
    port = Port(next(iter(own.peer.ports.values()), 8080))
    ways = [_way("clients → " + own.peer.name, "ingress", own, None, port)]
    for upstream in context.service.dependencies.upstream:
        if (client := answers.get(upstream.name)) is not None:
            ways += _both(client, own, port)
    return ways


def _both_or_out(own: _Group, target: _Group | None, port: Port, name: str) -> list[_Way]:
    """To what runs elsewhere, only the own egress can be judged."""
    if target is None:
        return [_way(f"{own.peer.name} → {name}", "egress", own, None, port)]
    return _both(own, target, Port(next(iter(target.peer.ports.values()), port.number)))


def _both(source: _Group, target: _Group, port: Port) -> list[_Way]:
    name = f"{source.peer.name} → {target.peer.name}"
    return [_way(name, "egress", source, target.peer, port), _way(name, "ingress", target, source.peer, port)]


def _way(name: str, direction: Direction, group: _Group, other: Peer | None, port: Port) -> _Way:
    found = passage(direction, group.policies, pod=group.peer, other=other, port=port)
    denied = found.access is Access.DENIED
    opens = removable(group.policies, found, pod=group.peer, other=other, port=port) if denied else None
    return _Way(name=f"{name} ({port})", passage=found, opens=opens)


def _summary(context: CheckContext, ways: Sequence[_Way], answers: Answers) -> str:
    if answers.get("service") is None:
        why = answers.why_missing("service") or f"there are no pods with the labels {context.selector}"
        return f"Whether network policies let the service's connections pass is not known: {why}."
    denied = [way for way in ways if way.denied]
    if not denied:
        policies = {policy.name for way in ways for policy in way.passage.policies}
        name = context.service.name
        if not policies:
            return f"No network policy concerns {name}: every connection passes."
        return f"The {len(policies)} network policies that concern {name} let pass what it needs."
    first = denied[0]
    at = f", written at {format_instant(first.newest.updated_at)}" if first.newest.updated_at else ""
    more = f", and {len(denied) - 1} further ways" if len(denied) > 1 else ""
    return f"Network policy {first.newest.name}{at} denies {first.name}{more}."


def _status(ways: Sequence[_Way], answers: Answers) -> FindingStatus:
    if not ways:
        return FindingStatus.UNKNOWN if answers.why_missing("service") else FindingStatus.INFO
    return FindingStatus.CRITICAL if any(way.denied for way in ways) else FindingStatus.NORMAL


def _tables(ways: Sequence[_Way]) -> list[tuple[str, Frame]]:
    if not ways:
        return []
    rows = [
        (way.name, way.passage.direction, way.passage.access.value, ", ".join(one.name for one in way.passage.policies) or "none")
        for way in ways
    ]
    tables = [("Ways that the service needs", frame(rows, columns=["way", "side", "verdict", "policies that decide"]))]
    policies: Mapping[str, Policy] = {one.name: one for way in ways for one in way.passage.policies}
    if policies:
        told = [(name, str(dict(one.spec)), one.updated_at) for name, one in sorted(policies.items())]
        tables.append(("Policies", frame(told, columns=["policy", "spec", "written at"])))
    return tables


def _notes(ways: Sequence[_Way]) -> tuple[str, ...]:
    notes = []
    if any(way.passage.access is Access.UNKNOWN for way in ways):
        notes.append("Unknown: only some peers are let through, and who comes that way is not known here.")
    if any(way.denied for way in ways):
        notes.append("Policies are enforced by the network plugin: where there is none that does, they deny nothing.")
    return tuple(notes)


def _signals(context: CheckContext, ways: Sequence[_Way], answers: Answers) -> list[Signal]:
    sides = {
        "policy_denies_clients": [way for way in ways if not way.name.startswith(f"{context.service.name} →")],
        "policy_denies_egress": [way for way in ways if way.name.startswith(f"{context.service.name} →")],
    }
    found = [_denied(name, matching, context, answers) for name, matching in sides.items()]
    return [*found, _opened_by_one(ways, context, answers)]


def _denied(name: str, ways: Sequence[_Way], context: CheckContext, answers: Answers) -> Signal:
    if not ways or not context.live:
        why = answers.why_missing("service") or "there are no pods to judge, or a past window is looked at"
        presence = Presence.ABSENT if context.live and not answers.errors else Presence.UNKNOWN
        return Signal(name=name, presence=presence, text=f"network policies were not judged: {why}")
    denied = [way for way in ways if way.denied]
    if not denied:
        return Signal(name=name, presence=Presence.ABSENT, text="no network policy denies a connection that the service needs")
    newest = denied[0].newest
    text = f"network policy {newest.name} denies {', '.join(way.name for way in denied[:3])}"
    since = newest.updated_at
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, subject=f"networkpolicy/{newest.name}")


def _opened_by_one(ways: Sequence[_Way], context: CheckContext, answers: Answers) -> Signal:
    """Whether deleting a single policy would open the way; else it takes a rule that allows it."""
    name = "policy_removable"
    single = next((way.opens for way in ways if way.denied and way.opens is not None), None)
    if single is not None and context.live:
        text = f"without network policy {single.name} the connection would pass"
        return Signal(
            name=name, presence=Presence.PRESENT, text=text, since=single.updated_at, subject=f"networkpolicy/{single.name}"
        )
    if answers.why_missing("service") or not context.live:
        return Signal(name=name, presence=Presence.UNKNOWN, text="network policies were not judged")
    return Signal(name=name, presence=Presence.ABSENT, text="there is no policy whose removal alone would open a way")
