"""Would a network policy deny the service's connections? Evaluated for each way that it needs, and not only listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import yaml

from runbook_lib.analysis.network_policy import Access, Direction, Passage, Policy, Port, passage, removable
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.policy_ends import CACHE, DATABASE, End, cache_end, called_end, calling_end, database_end, own_end
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import format_instant

_DNS = End(port=Port(53, "UDP"))
# Which ways each signal speaks of. Who cannot ask for an address by its name reaches nothing.
_SIDES = {
    "policy_denies_clients": ("clients",),
    "policy_denies_egress": ("dns", "database", "cache", "calls"),
    "policy_denies_database": ("dns", "database"),
    "policy_denies_cache": ("dns", "cache"),
    "policy_denies_calls": ("dns", "calls"),
}
_ONLY = (
    "Only NetworkPolicies of networking.k8s.io are judged: Cilium's and Calico's own, and AdminNetworkPolicies, may deny more."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """One connection that the service needs, in one direction of one of its ends: the verdict, and what alone would open it.

    to: what it serves: `clients`, `dns`, `database`, `cache`, `calls`. mend: what the service file must say for a verdict; empty
    when there is one, or that would not help.
    """

    name: str
    to: str
    passage: Passage
    opens: Policy | None
    mend: str

    @property
    def denied(self) -> bool:
        """No policy lets it pass."""
        return self.passage.access is Access.DENIED

    @property
    def newest(self) -> Policy:
        """Of the policies that close it, the one that was written last."""
        return self.opens or max(self.passage.policies, key=lambda one: one.updated_at.timestamp() if one.updated_at else 0.0)


def network_policies(context: CheckContext) -> Finding:
    """Do network policies let clients in, and the service out to DNS, its database, its cache and the services that it calls?"""
    cluster, dependencies = context.sources.cluster, context.service.dependencies
    questions: dict[str, Callable[[], End | None]] = {"service": partial(own_end, context)}
    if context.service.components.database is not None:
        questions["database"] = partial(database_end, context)
    if context.service.components.cache is not None:
        questions["cache"] = partial(cache_end, context)
    questions |= {one.name: partial(called_end, context, one) for one in dependencies.downstream}
    questions |= {one.name: partial(calling_end, cluster, one) for one in dependencies.upstream}
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
    own = own_end(context)
    if own is None or not own.policies:
        return ""
    answers = Answers(values={one.name: calling_end(cluster, one) for one in callers}, errors={}, sources=())
    denied = [way for way in _clients(context, own, answers) if way.denied]
    return f"network policy {denied[0].newest.name} denies {denied[0].name}" if denied else ""


def _ways(context: CheckContext, answers: Answers) -> list[_Way]:
    own: End = answers.get("service")
    name, components = context.service.name, context.service.components
    ways = _clients(context, own, answers)
    ways.append(_way(f"{name} → DNS", "dns", "egress", own, _DNS, at=_DNS))
    if components.database is not None:
        ways += _both(own, answers.get("database") or End(mend=DATABASE), f"{name} → the database", "database")
    if components.cache is not None:
        ways += _both(own, answers.get("cache") or End(mend=CACHE), f"{name} → the cache", "cache")
    for downstream in context.service.dependencies.downstream:
        if (called := answers.get(downstream.name)) is not None:
            ways += _both(own, called, f"{name} → {downstream.name}", "calls")
    return ways


def _clients(context: CheckContext, own: End, answers: Answers) -> list[_Way]:
    """The way in: for anybody, and for each of those who are known to call."""
    name = context.service.name
    ways = [_way(f"clients → {name}", "clients", "ingress", own, End(), at=own)]
    for upstream in context.service.dependencies.upstream:
        if (client := answers.get(upstream.name)) is not None:
            ways += _both(client, own, f"{upstream.name} → {name}", "clients")
    return ways


def _both(source: End, target: End, name: str, to: str) -> list[_Way]:
    """Out of the source and into the target; to what runs elsewhere, only the way out can be judged."""
    out = _way(name, to, "egress", source, target, at=target)
    return [out, _way(name, to, "ingress", target, source, at=target)] if target.peer is not None else [out]


def _way(name: str, to: str, direction: Direction, judged: End, other: End, *, at: End) -> _Way:
    """at: the end whose port the connection goes to."""
    assert judged.peer is not None  # only ends that have pods are judged
    found = passage(direction, judged.policies, pod=judged.peer, other=other.peer, port=at.port)
    denied = found.access is Access.DENIED
    opens = removable(judged.policies, found, pod=judged.peer, other=other.peer, port=at.port) if denied else None
    mend = at.mend if at.port is None and found.access is Access.UNKNOWN else ""
    name = f"{name} ({at.port})" if at.port is not None else name
    return _Way(name=name, to=to, passage=found, opens=opens, mend=mend)


def _not_known(way: _Way) -> str:
    return f"whether network policies let {way.name} pass is not known: set {way.mend} in the service file, so that its port is"


def _summary(context: CheckContext, ways: Sequence[_Way], answers: Answers) -> str:
    if answers.get("service") is None:
        why = answers.why_missing("service") or f"there are no pods with the labels {context.selector}"
        return f"Whether network policies let the service's connections pass is not known: {why}."
    denied = [way for way in ways if way.denied]
    if not denied and (unjudged := [way for way in ways if way.mend]):
        return f"W{_not_known(unjudged[0])[1:]}."
    if not denied:
        policies = {policy.name for way in ways for policy in way.passage.policies}
        name = context.service.name
        if not policies:
            return f"No NetworkPolicy (networking.k8s.io) concerns {name}."
        return f"The {len(policies)} network policies that concern {name} let pass what it needs."
    first = denied[0]
    at = f", written at {format_instant(first.newest.updated_at)}" if first.newest.updated_at else ""
    others = len({way.name for way in denied}) - 1
    more = f", and {others} further ways" if others else ""
    return f"Network policy {first.newest.name}{at} denies {first.name}{more}."


def _status(ways: Sequence[_Way], answers: Answers) -> FindingStatus:
    if not ways:
        return FindingStatus.UNKNOWN if answers.why_missing("service") else FindingStatus.INFO
    if any(way.denied for way in ways):
        return FindingStatus.CRITICAL
    return FindingStatus.UNKNOWN if any(way.mend for way in ways) else FindingStatus.NORMAL


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
        told = [(name, yaml.safe_dump(dict(one.spec), sort_keys=False), one.updated_at) for name, one in sorted(policies.items())]
        tables.append(("Policies", frame(told, columns=["policy", "spec", "written at"])))
    return tables


def _notes(ways: Sequence[_Way]) -> tuple[str, ...]:
    notes = [_ONLY] if ways else []
    if any(way.passage.access is Access.UNKNOWN for way in ways):
        notes.append("Unknown: only some peers or ports are let through, and which of them it takes is not known here.")
    if any(way.denied for way in ways):
        notes.append("Policies are enforced by the network plugin: where there is none that does, they deny nothing.")
    return tuple(notes)


def _signals(context: CheckContext, ways: Sequence[_Way], answers: Answers) -> list[Signal]:
    found = []
    for name, served in _SIDES.items():
        unseen = next((why for to in served for why in _unseen(to, context, answers)), "")
        found.append(_denied(name, [way for way in ways if way.to in served], unseen, context, answers))
    return [*found, _opened_by_one(ways, context, answers)]


def _unseen(to: str, context: CheckContext, answers: Answers) -> list[str]:
    """Why the other ends of ways could not be looked at; a way whose end is not known is none that is open."""
    dependencies = context.service.dependencies
    callers, called = ([one.name for one in group] for group in (dependencies.upstream, dependencies.downstream))
    ends = {"clients": callers, "calls": called}.get(to, [to])
    return [why for end in ends if (why := answers.why_missing(end))]


def _denied(name: str, ways: Sequence[_Way], unseen: str, context: CheckContext, answers: Answers) -> Signal:
    if not ways or not context.live:
        why = answers.why_missing("service") or "there are no pods to judge, or a past window is looked at"
        presence = Presence.ABSENT if context.live and not answers.errors else Presence.UNKNOWN
        return Signal(name=name, presence=presence, text=f"network policies were not judged: {why}")
    denied = [way for way in ways if way.denied]
    if not denied and (unjudged := [way for way in ways if way.mend]):
        return Signal(name=name, presence=Presence.UNKNOWN, text=_not_known(unjudged[0]))
    if not denied and unseen:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"not all network policies could be looked at: {unseen}")
    if not denied:
        return Signal(name=name, presence=Presence.ABSENT, text="no network policy denies a connection that the service needs")
    newest = denied[0].newest
    names = dict.fromkeys(way.name for way in denied)  # one way may be denied on both of its sides
    text = f"network policy {newest.name} denies {', '.join(list(names)[:3])}"
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
