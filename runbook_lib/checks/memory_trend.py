"""Where memory is going: which pods leak, which only warm up or follow the load, and when the next one is killed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pandas as pd

from runbook_lib.analysis.leak import Course, Forecast, Kind, course_of, forecast
from runbook_lib.analysis.series import as_series, largest, long, split
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.cause import Symptom
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.models.window import Window, format_duration, format_instant

HORIZON = timedelta(hours=24)
"""A leak that fills a pod within this time is worth waking somebody; one that takes longer is worth a ticket."""

_MINIMUM_RISE_OF_LIMIT = 0.1
_CEILING_RATIO = 0.85  # of the limit: above it garbage collectors work harder, and allocations begin to fail
_MINIMUM_RISE_OF_START = 0.25
_STEPS_OF_A_CLOSER_LOOK = 60
_WORDS = {
    Kind.LEAK: "grows steadily",
    Kind.LEVELS_OFF: "grows ever more slowly",
    Kind.FOLLOWS_LOAD: "follows the load",
    Kind.STEADY: "steady",
    Kind.TOO_SHORT: "too young to tell",
}


@dataclass(frozen=True, slots=True)
class _Pod:
    """One pod: bytes used now, its limit in bytes (None when it has none), its course, when it will be full, since when it is
    nearly so, its version."""

    name: str
    used_bytes: float
    limit_bytes: float | None
    course: Course
    ahead: Forecast | None
    full_since: datetime | None
    version: str | None

    @property
    def share(self) -> float | None:
        return self.used_bytes / self.limit_bytes if self.limit_bytes else None


def memory_trend(context: CheckContext) -> Finding:
    """How each pod's memory goes on since it was started: steady, warming up, following the load, or leaking; and to when."""
    answers = ask(
        {
            "used": over_time(context, "memory_working_set"),
            "limit": over_time(context, "memory_limit"),
            "load": over_time(context, "request_rate"),
            "pods": Question(context.sources.cluster, lambda: context.sources.cluster.pods(context.selector)),
        },
        deadline_seconds=0.75 * context.deadline_seconds,
    )
    parts = _parts(answers.get("used"))
    pods = _pods(context, parts, answers)
    if unsure := {pod.name for pod in pods if _may_hide_a_leak(pod)}:
        closer = {name: series for name, series in _closer_look(context).items() if name in unsure}
        seen = {pod.name: pod for pod in _pods(context, closer, answers)}
        pods = _ranked([seen.get(pod.name, pod) for pod in pods])
    summary = _summary(pods, answers)
    return Finding(
        name="memory_trend",
        title="Where memory is going",
        summary=summary,
        status=_status(context, pods),
        command=f"kubectl -n {context.namespace} top pods -l {context.selector} --containers",
        tables=(("Memory of each pod", _table(pods)), *_versions(pods)) if pods else (),
        figure=_figure(parts, pods, summary),
        notes=_notes(pods, answers),
        signals=_signals(context, pods, answers),
        sources=answers.sources,
    )


def memory_symptom(context: CheckContext, finding: Finding) -> Symptom:
    """The issue's measured symptom, from the finding of `memory_trend`: the share of its limit that the fullest pod uses.

    Breached above the service's warning, after a kill for lack of memory, and by a leak that fills a pod within a day.
    """
    full, killed, ahead = (finding.signal(name) for name in ("memory_full", "memory_kills", "memory_exhaustion_ahead"))
    signals = [signal for signal in (full, killed, ahead) if signal is not None]
    there = [signal for signal in signals if signal.presence is Presence.PRESENT]
    value = full.value if full is not None else None
    known = bool(there) or value is not None
    since = [signal.since for signal in (*there, finding.signal("memory_leaking")) if signal is not None and signal.since]
    others = [signal.text for signal in there if signal is not full]
    return Symptom(
        name="memory_usage",
        title="memory usage",
        value=value,
        unit="ratio",
        threshold=context.service.thresholds.memory_ratio.warning,
        breached=bool(there) if known else None,
        onset_at=min(since, default=None) if there else None,
        last_seen_at=context.now if there else None,
        text=finding.summary,
        beyond="; ".join(others),
    )


def _parts(used: Frame | None) -> dict[str, pd.Series]:
    return {name: series for name, series in (split(used, "pod") if used is not None else {}).items() if len(series)}


def _may_hide_a_leak(pod: _Pod) -> bool:
    """Whether the pod grew for too short a time, or was restarted between samples that are too far apart."""
    return pod.course.kind is Kind.TOO_SHORT or (pod.course.kind is Kind.STEADY and pod.course.falls > 0)


def _closer_look(context: CheckContext) -> dict[str, pd.Series]:
    """The end of the window in finer steps: a fast leak is killed before it has enough samples of a long window.

    Samples that repeat the one before are left out: a step shorter than the scrape interval makes no new knowledge.
    """
    start = context.now - _STEPS_OF_A_CLOSER_LOOK * timedelta(seconds=context.step_seconds(context.window))
    closer = replace(context, window=Window(max(start, context.window.start), context.now))
    answers = ask({"used": over_time(closer, "memory_working_set", fine=True)}, deadline_seconds=context.deadline_seconds / 4)
    return {name: series[series.diff() != 0] for name, series in _parts(answers.get("used")).items()}


def _ranked(pods: list[_Pod]) -> list[_Pod]:
    return sorted(pods, key=lambda pod: (-(pod.share or 0.0), -pod.used_bytes))


def _pods(context: CheckContext, parts: Mapping[str, pd.Series], answers: Answers) -> list[_Pod]:
    """The pods that are there at the end of the window; what others did is over."""
    limit, load = answers.get("limit"), answers.get("load")
    limits = split(limit, "pod") if limit is not None else {}
    beside = as_series(load) if load is not None and len(load) else None
    versions = _versions_of(answers.get("pods"))
    latest = max((series.index[-1] for series in parts.values()), default=None)
    found = []
    for name, series in parts.items():
        if latest is None or latest - series.index[-1] > context.gap:
            continue
        own = limits.get(name)
        maximum = float(own.iloc[-1]) if own is not None and len(own) else None
        needed = _MINIMUM_RISE_OF_LIMIT * maximum if maximum else _MINIMUM_RISE_OF_START * float(series.iloc[0])
        ceiling = _CEILING_RATIO * maximum if maximum else math.inf
        course = course_of(series, load=beside, at_least=needed, ceiling=ceiling)
        ahead = forecast(course.growth, maximum) if course.kind is Kind.LEAK and course.growth and maximum else None
        since = _full_since(series, context.service.thresholds.memory_ratio.warning * maximum) if maximum else None
        found.append(_Pod(name, float(series.iloc[-1]), maximum, course, ahead, since, versions.get(name)))
    return _ranked(found)


def _full_since(series: pd.Series, limit: float) -> datetime | None:
    """Since when a series is above a limit; None when it is not."""
    clean = series.dropna()
    below = clean.index[clean <= limit]
    after = clean.index[clean.index > below[-1]] if len(below) else clean.index
    return after[0].to_pydatetime() if len(after) else None


def _versions_of(pods: Frame | None) -> dict[str, str | None]:
    if pods is None or pods.empty:
        return {}
    return {str(pod): str(version) or None for pod, version in zip(pods["pod"], pods["version"].fillna(""), strict=True)}


def _of(pods: list[_Pod], kind: Kind) -> list[_Pod]:
    return [pod for pod in pods if pod.course.kind is kind]


def _rate(pod: _Pod) -> float:
    return pod.course.growth.per_second * 60 if pod.course.growth else 0.0


def _summary(pods: list[_Pod], answers: Answers) -> str:
    if not pods:
        return f"Where memory is going could not be measured: {_why(answers)}."
    leaking = _of(pods, Kind.LEAK)
    if leaking:
        fastest = max(leaking, key=_rate)
        text = f"{len(leaking)} of {len(pods)} pods grow steadily, {fastest.name} by {_per_minute(fastest)}"
        soonest = min((pod for pod in leaking if pod.ahead), key=_expected, default=None)
        return f"{text}; {_until(soonest)}." if soonest is not None else f"{text}."
    for kind in (Kind.FOLLOWS_LOAD, Kind.LEVELS_OFF):
        if some := _of(pods, kind):
            return f"No pod leaks: the memory of {len(some)} of {len(pods)} pods {_WORDS[kind]}; {_fullest(pods)}."
    return f"No pod's memory grows; {_fullest(pods)}."


def _why(answers: Answers) -> str:
    return answers.why_missing("used") or "Prometheus has no container metrics of these pods"


def _per_minute(pod: _Pod) -> str:
    return f"{written(_rate(pod), 'bytes')} per minute"


def _expected(pod: _Pod) -> timedelta:
    return pod.ahead.expected if pod.ahead else timedelta.max


def _until(pod: _Pod) -> str:
    """When a pod is full, with how sure that is."""
    assert pod.ahead is not None
    latest = format_duration(pod.ahead.latest) if pod.ahead.latest is not None else "never"
    return (
        f"{pod.name} is full in about {format_duration(pod.ahead.expected)} "
        f"(95 %: {format_duration(pod.ahead.earliest)} to {latest})"
    )


def _fullest(pods: list[_Pod]) -> str:
    pod = pods[0]
    share = f"{pod.share:.0%} of its limit" if pod.share is not None else f"{written(pod.used_bytes, 'bytes')}, without a limit"
    return f"{pod.name} uses {share}"


def _status(context: CheckContext, pods: list[_Pod]) -> FindingStatus:
    if not pods:
        return FindingStatus.UNKNOWN
    limit = context.service.thresholds.memory_ratio
    highest = max((pod.share or 0.0 for pod in pods), default=0.0)
    if highest > limit.critical or any(pod.ahead and pod.ahead.expected < HORIZON for pod in pods):
        return FindingStatus.CRITICAL
    return FindingStatus.WARNING if highest > limit.warning or _of(pods, Kind.LEAK) else FindingStatus.NORMAL


def _table(pods: list[_Pod]) -> Frame:
    return frame(
        [
            {
                "pod": pod.name,
                "version": pod.version,
                "used bytes": pod.used_bytes,
                "share of limit": pod.share,
                "memory": _WORDS[pod.course.kind],
                "growth a minute": written(_rate(pod), "bytes") if pod.course.growth else None,
                "restarts seen": pod.course.falls,
                "full in": format_duration(pod.ahead.expected) if pod.ahead else None,
                "at the earliest": format_duration(pod.ahead.earliest) if pod.ahead else None,
                "at the latest": format_duration(pod.ahead.latest) if pod.ahead and pod.ahead.latest else None,
            }
            for pod in pods
        ]
    )


def _versions(pods: list[_Pod]) -> tuple[tuple[str, Frame], ...]:
    """Which release leaks, where more than one is there to compare."""
    versions = sorted({pod.version for pod in pods if pod.version})
    if len(versions) < 2:
        return ()
    rows = []
    for version in versions:
        own = [pod for pod in pods if pod.version == version]
        leaking = _of(own, Kind.LEAK)
        fastest = written(max(map(_rate, leaking)), "bytes") if leaking else None
        rows.append({"version": version, "pods": len(own), "leaking": len(leaking), "fastest growth a minute": fastest})
    return (("Leaks by version", frame(rows)),)


def _figure(parts: Mapping[str, pd.Series], pods: list[_Pod], summary: str) -> LineFigure | None:
    if not parts:
        return None
    known = [pod.limit_bytes for pod in pods if pod.limit_bytes]
    thresholds = (Threshold(max(known), "limit", "critical"),) if known else ()
    title = summary.partition(";")[0]
    return LineFigure(title=title, unit="bytes", frame=long(largest(dict(parts), 8), unit="bytes"), thresholds=thresholds)


def _notes(pods: list[_Pod], answers: Answers) -> tuple[str, ...]:
    notes = []
    if _of(pods, Kind.TOO_SHORT):
        notes.append(f"{len(_of(pods, Kind.TOO_SHORT))} pods grow, and are too young to tell whether that levels off.")
    if pods and answers.get("load") is None:
        notes.append("Without the rate of requests, growth that follows the load cannot be told from a leak.")
    return tuple(notes)


def _signals(context: CheckContext, pods: list[_Pod], answers: Answers) -> tuple[Signal, ...]:
    names = {Kind.LEAK: "memory_leaking", Kind.LEVELS_OFF: "memory_levels_off", Kind.FOLLOWS_LOAD: "memory_follows_load"}
    courses = [_course_signal(name, _of(pods, kind), kind, pods, answers) for kind, name in names.items()]
    return (*courses, _spared(pods, answers), _full(context, pods, answers), _kills(context, answers), _ahead(pods, answers))


def _course_signal(name: str, some: list[_Pod], kind: Kind, pods: list[_Pod], answers: Answers) -> Signal:
    if not pods:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"memory over time is not known: {_why(answers)}")
    if not some:
        return Signal(name=name, presence=Presence.ABSENT, text=f"no pod's memory {_WORDS[kind]}")
    if kind is not Kind.LEAK and _of(pods, Kind.LEAK):
        text = f"the memory of {len(some)} of {len(pods)} pods {_WORDS[kind]}, beside pods that leak"
        return Signal(name=name, presence=Presence.ABSENT, text=text)
    fastest = max(some, key=_rate)
    text = f"the memory of {len(some)} of {len(pods)} pods {_WORDS[kind]}, that of {fastest.name} by {_per_minute(fastest)}"
    since = min(pod.course.since for pod in some if pod.course.since)
    return Signal(
        name=name, presence=Presence.PRESENT, text=f"{text} since {format_instant(since)}", since=since, value=_rate(fastest),
        unit="bytes/min", pods=tuple(pod.name for pod in some),
    )  # fmt: skip


def _spared(pods: list[_Pod], answers: Answers) -> Signal:
    """Whether there are pods that do not leak beside those that do: then those alone have to go."""
    name = "memory_steady_in_others"
    if not pods:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"memory over time is not known: {_why(answers)}")
    leaking, others = _of(pods, Kind.LEAK), [pod for pod in pods if pod.course.kind in (Kind.STEADY, Kind.LEVELS_OFF)]
    if not leaking or not others:
        return Signal(name=name, presence=Presence.ABSENT, text="no pod leaks beside others that do not")
    text = f"{len(others)} of {len(pods)} pods do not leak"
    return Signal(name=name, presence=Presence.PRESENT, text=text)


def _full(context: CheckContext, pods: list[_Pod], answers: Answers) -> Signal:
    known = [pod for pod in pods if pod.share is not None]
    if not known:
        reason = answers.why_missing("used") or answers.why_missing("limit") or "the pods have no memory limit"
        return Signal(name="memory_full", presence=Presence.UNKNOWN, text=f"use against the limit is not known: {reason}")
    share = known[0].share or 0.0
    presence = Presence.PRESENT if share > context.service.thresholds.memory_ratio.warning else Presence.ABSENT
    since = min((pod.full_since for pod in known if pod.full_since), default=None)
    return Signal(name="memory_full", presence=presence, text=_fullest(known), since=since, value=share, unit="ratio")


def _kills(context: CheckContext, answers: Answers) -> Signal:
    """Kills of containers whose pod is still there, in the window."""
    pods = answers.get("pods")
    if pods is None:
        return Signal(name="memory_kills", presence=Presence.UNKNOWN, text=f"kills are not known: {answers.why_missing('pods')}")
    states = pods["last_state"].str.contains("OOMKilled", na=False) | pods["state"].str.contains("OOMKilled", na=False)
    times = pd.to_datetime(pods["last_terminated_at"], utc=True)[states]
    recent = times[(times >= context.window.start) & (times <= context.window.end)].dropna()
    if recent.empty:
        return Signal(name="memory_kills", presence=Presence.ABSENT, text="no container was killed for lack of memory")
    since: datetime = recent.min().to_pydatetime()
    text = f"{len(recent)} containers were killed for lack of memory, the last at {format_instant(recent.max().to_pydatetime())}"
    return Signal(name="memory_kills", presence=Presence.PRESENT, text=text, since=since)


def _ahead(pods: list[_Pod], answers: Answers) -> Signal:
    name = "memory_exhaustion_ahead"
    if not pods:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"memory over time is not known: {_why(answers)}")
    soon = [pod for pod in pods if pod.ahead is not None and pod.ahead.expected <= HORIZON]
    if not soon:
        return Signal(name=name, presence=Presence.ABSENT, text=f"no pod is full within {format_duration(HORIZON)}")
    soonest = min(soon, key=_expected)
    since = min(pod.course.since for pod in soon if pod.course.since)
    return Signal(name=name, presence=Presence.PRESENT, text=_until(soonest), since=since)
