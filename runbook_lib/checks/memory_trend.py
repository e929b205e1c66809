"""Where memory is going: which pods leak, which only warm up or follow the load, and when the next one is killed."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from runbook_lib.analysis.leak import Kind
from runbook_lib.analysis.series import largest, long
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.checks.memory_pods import Pod, growth_a_minute, of_kind, pods_seen, series_by_pod
from runbook_lib.checks.memory_signals import (
    HORIZON,
    WORDS,
    expected,
    fullest,
    memory_signals,
    per_minute,
    until_full,
    why_missing,
)
from runbook_lib.models.cause import Symptom
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.models.window import format_duration


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
    parts = series_by_pod(answers.get("used"))
    pods = pods_seen(context, parts, answers)
    summary = _summary(pods, answers)
    return Finding(
        name="memory_trend",
        title="Where memory is going",
        summary=summary,
        status=_status(context, pods),
        command=f"kubectl -n {context.namespace} top pods -l {context.selector} --containers",
        tables=(("Memory of each pod", _table(pods)), *_versions(pods)) if pods else (),
        figure=_figure(parts, pods, summary),
        notes=(*_notes(pods, answers), *answers.warnings),
        signals=memory_signals(context, pods, answers),
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


def _summary(pods: list[Pod], answers: Answers) -> str:
    if not pods:
        return f"Where memory is going could not be measured: {why_missing(answers)}."
    leaking = of_kind(pods, Kind.LEAK)
    if leaking:
        fastest = max(leaking, key=growth_a_minute)
        text = f"{len(leaking)} of {len(pods)} pods grow steadily, {fastest.name} by {per_minute(fastest)}"
        soonest = min((pod for pod in leaking if pod.ahead), key=expected, default=None)
        return f"{text}; {until_full(soonest)}." if soonest is not None else f"{text}."
    for kind in (Kind.FOLLOWS_LOAD, Kind.STARTS, Kind.LEVELS_OFF):
        if some := of_kind(pods, kind):
            return f"No pod leaks: the memory of {len(some)} of {len(pods)} pods {WORDS[kind]}; {fullest(pods)}."
    return f"No pod's memory grows; {fullest(pods)}."


def _status(context: CheckContext, pods: list[Pod]) -> FindingStatus:
    if not pods:
        return FindingStatus.UNKNOWN
    limit = context.service.thresholds.memory_ratio
    highest = max((pod.share or 0.0 for pod in pods), default=0.0)
    if highest > limit.critical or any(pod.ahead and pod.ahead.expected < HORIZON for pod in pods):
        return FindingStatus.CRITICAL
    return FindingStatus.WARNING if highest > limit.warning or of_kind(pods, Kind.LEAK) else FindingStatus.NORMAL


def _table(pods: list[Pod]) -> Frame:
    return frame(
        [
            {
                "pod": pod.name,
                "version": pod.version,
                "used bytes": pod.used_bytes,
                "share of limit": pod.share,
                "memory": WORDS[pod.course.kind],
                "growth a minute": written(growth_a_minute(pod), "bytes") if pod.course.growth else None,
                "restarts seen": pod.course.falls,
                "full in": format_duration(pod.ahead.expected) if pod.ahead else None,
                "at the earliest": format_duration(pod.ahead.earliest) if pod.ahead else None,
                "at the latest": format_duration(pod.ahead.latest) if pod.ahead and pod.ahead.latest else None,
            }
            for pod in pods
        ]
    )


def _versions(pods: list[Pod]) -> tuple[tuple[str, Frame], ...]:
    """Which release leaks, where more than one is there to compare."""
    versions = sorted({pod.version for pod in pods if pod.version})
    if len(versions) < 2:
        return ()
    rows = []
    for version in versions:
        own = [pod for pod in pods if pod.version == version]
        leaking = of_kind(own, Kind.LEAK)
        fastest = written(max(map(growth_a_minute, leaking)), "bytes") if leaking else None
        rows.append({"version": version, "pods": len(own), "leaking": len(leaking), "fastest growth a minute": fastest})
    return (("Leaks by version", frame(rows)),)


def _figure(parts: Mapping[str, pd.Series], pods: list[Pod], summary: str) -> LineFigure | None:
    if not parts:
        return None
    known = [pod.limit_bytes for pod in pods if pod.limit_bytes]
    thresholds = (Threshold(max(known), "limit", "critical"),) if known else ()
    title = summary.partition(";")[0]
    there = {pod.name: parts[pod.name] for pod in pods}
    shown = largest(there or dict(parts), 8)
    return LineFigure(title=title, unit="bytes", frame=long(shown, unit="bytes"), thresholds=thresholds)


def _notes(pods: list[Pod], answers: Answers) -> tuple[str, ...]:
    notes = []
    if of_kind(pods, Kind.TOO_SHORT):
        notes.append(f"{len(of_kind(pods, Kind.TOO_SHORT))} pods grow, and are too young to tell whether that levels off.")
    if pods and answers.get("load") is None:
        notes.append("Without the rate of requests, growth that follows the load cannot be told from a leak.")
    return tuple(notes)
