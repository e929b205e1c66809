"""What the memory of the pods is evidence of."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd

from runbook_lib.analysis.leak import Kind
from runbook_lib.checks.asking import Answers, as_far_as_answered
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.memory_pods import Pod, growth_a_minute, of_kind
from runbook_lib.checks.pods import killed_for_memory
from runbook_lib.models.finding import Presence, Signal
from runbook_lib.models.units import written
from runbook_lib.models.window import format_duration, format_instant

HORIZON = timedelta(hours=24)
"""A leak that fills a pod within this time is worth waking somebody; one that takes longer is worth a ticket."""

WORDS = {
    Kind.LEAK: "grows steadily",
    Kind.LEVELS_OFF: "grows ever more slowly",
    Kind.FOLLOWS_LOAD: "follows the load",
    Kind.STARTS: "grows as a container that starts",
    Kind.STEADY: "steady",
    Kind.TOO_SHORT: "too young to tell",
}
"""How the course of a pod's memory is told."""


def why_missing(answers: Answers) -> str:
    """Why there is no memory to tell of."""
    return answers.why_missing("used") or "Prometheus has no container metrics of these pods"


def per_minute(pod: Pod) -> str:
    """How fast a pod grows, in words."""
    return f"{written(growth_a_minute(pod), 'bytes')} per minute"


def expected(pod: Pod) -> timedelta:
    """In how long a pod is full; for ever for one that is not going to be."""
    return pod.ahead.expected if pod.ahead else timedelta.max


def until_full(pod: Pod) -> str:
    """When a pod is full, with how sure that is."""
    assert pod.ahead is not None
    latest = format_duration(pod.ahead.latest) if pod.ahead.latest is not None else "never"
    return (
        f"{pod.name} is full in about {format_duration(pod.ahead.expected)} "
        f"(95 %: {format_duration(pod.ahead.earliest)} to {latest})"
    )


def fullest(pods: list[Pod]) -> str:
    """How full the first pod is, in words."""
    pod = pods[0]
    share = f"{pod.share:.0%} of its limit" if pod.share is not None else f"{written(pod.used_bytes, 'bytes')}, without a limit"
    return f"{pod.name} uses {share}"


def memory_signals(context: CheckContext, pods: list[Pod], answers: Answers) -> tuple[Signal, ...]:
    """What memory is evidence of, from the pods and the answers `used`, `limit` and `pods`."""
    names = {Kind.LEAK: "memory_leaking", Kind.LEVELS_OFF: "memory_levels_off", Kind.FOLLOWS_LOAD: "memory_follows_load"}
    measured = (
        *(_course_signal(name, of_kind(pods, kind), kind, pods, answers) for kind, name in names.items()),
        _spared(context, pods, answers),
        _full(context, pods, answers),
        _ahead(pods, answers),
    )
    return (*(as_far_as_answered(signal, answers, "used", "limit") for signal in measured), _kills(context, answers))


def _course_signal(name: str, some: list[Pod], kind: Kind, pods: list[Pod], answers: Answers) -> Signal:
    if not pods:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"memory over time is not known: {why_missing(answers)}")
    if not some:
        return Signal(name=name, presence=Presence.ABSENT, text=f"no pod's memory {WORDS[kind]}")
    if kind is not Kind.LEAK and of_kind(pods, Kind.LEAK):
        text = f"the memory of {len(some)} of {len(pods)} pods {WORDS[kind]}, beside pods that leak"
        return Signal(name=name, presence=Presence.ABSENT, text=text)
    fastest = max(some, key=growth_a_minute)
    text = f"the memory of {len(some)} of {len(pods)} pods {WORDS[kind]}, that of {fastest.name} by {per_minute(fastest)}"
    since = min(pod.course.since for pod in some if pod.course.since)
    return Signal(
        name=name,
        presence=Presence.PRESENT,
        text=f"{text} since {format_instant(since)}",
        since=since,
        value=growth_a_minute(fastest),
        unit="bytes/min",
        pods=tuple(pod.name for pod in some),
    )


def _spared(context: CheckContext, pods: list[Pod], answers: Answers) -> Signal:
    """Whether those that leak alone have to go: there are others, and each of them has room. One that is full leaked before."""
    name = "memory_steady_in_others"
    if not pods:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"memory over time is not known: {why_missing(answers)}")
    leaking, others = of_kind(pods, Kind.LEAK), [pod for pod in pods if pod.course.kind in (Kind.STEADY, Kind.LEVELS_OFF)]
    if not leaking or not others:
        return Signal(name=name, presence=Presence.ABSENT, text="no pod leaks beside others that do not")
    full = [pod for pod in others if (pod.share or 0.0) > context.service.thresholds.memory_ratio.warning]
    if full:
        text = f"{len(full)} of the {len(others)} pods that do not leak now are nearly full, too ({fullest(full)})"
        return Signal(name=name, presence=Presence.ABSENT, text=text)
    return Signal(name=name, presence=Presence.PRESENT, text=f"{len(others)} of {len(pods)} pods do not leak")


def _full(context: CheckContext, pods: list[Pod], answers: Answers) -> Signal:
    known = [pod for pod in pods if pod.share is not None]
    if not known:
        reason = answers.why_missing("used") or answers.why_missing("limit") or "the pods have no memory limit"
        return Signal(name="memory_full", presence=Presence.UNKNOWN, text=f"use against the limit is not known: {reason}")
    share = known[0].share or 0.0
    presence = Presence.PRESENT if share > context.service.thresholds.memory_ratio.warning else Presence.ABSENT
    since = min((pod.full_since for pod in known if pod.full_since), default=None)
    return Signal(name="memory_full", presence=presence, text=fullest(known), since=since, value=share, unit="ratio")


def _kills(context: CheckContext, answers: Answers) -> Signal:
    """Kills of containers whose pod is still there, in the window."""
    pods = answers.get("pods")
    if pods is None:
        return Signal(name="memory_kills", presence=Presence.UNKNOWN, text=f"kills are not known: {answers.why_missing('pods')}")
    times = pd.to_datetime(killed_for_memory(context, pods)["last_terminated_at"], utc=True)
    recent = times[(times >= context.window.start) & (times <= context.window.end)].dropna()
    if recent.empty:
        return Signal(name="memory_kills", presence=Presence.ABSENT, text="no container was killed for lack of memory")
    since: datetime = recent.min().to_pydatetime()
    text = f"{len(recent)} containers were killed for lack of memory, the last at {format_instant(recent.max().to_pydatetime())}"
    return Signal(name="memory_kills", presence=Presence.PRESENT, text=text, since=since)


def _ahead(pods: list[Pod], answers: Answers) -> Signal:
    name = "memory_exhaustion_ahead"
    if not pods:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"memory over time is not known: {why_missing(answers)}")
    soon = [pod for pod in pods if pod.ahead is not None and pod.ahead.expected <= HORIZON]
    if not soon:
        return Signal(name=name, presence=Presence.ABSENT, text=f"no pod is full within {format_duration(HORIZON)}")
    soonest = min(soon, key=expected)
    since = min(pod.course.since for pod in soon if pod.course.since)
    return Signal(name=name, presence=Presence.PRESENT, text=until_full(soonest), since=since)
