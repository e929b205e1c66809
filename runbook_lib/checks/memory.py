"""Memory of the application's pods: how near the limit, does it grow, was anything killed for it?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from runbook_lib.analysis.series import largest, long, ratio, split
from runbook_lib.analysis.trend import Growth, after_bend, between_drops, growth, least_rise, rising_part, surge
from runbook_lib.checks.asking import Answers, Question, as_far_as_answered, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.checks.pods import killed_for_memory
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import Window, format_duration, format_instant

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class _PodMemory:
    """One pod: last use, its limit (bytes; None when it has none), highest share of it in the focus, growth if it grows."""

    pod: str
    used_bytes: float
    limit_bytes: float | None
    peak_ratio: float | None
    growth: Growth | None
    since: datetime | None


def memory(context: CheckContext) -> Finding:
    """The working set of each pod against its limit, its growth, and what was killed for lack of memory."""
    answers = ask(
        {
            "used": over_time(context, "memory_working_set"),
            "limit": over_time(context, "memory_limit"),
            "pods": Question(context.sources.cluster, lambda: context.sources.cluster.pods(context.selector)),
        },
        deadline_seconds=context.deadline_seconds,
    )
    used = answers.get("used")
    parts = split(used, "pod") if used is not None else {}
    limits = split(answers.get("limit"), "pod") if answers.get("limit") is not None else {}
    focus = context.focus()
    parts = _there(parts, focus)
    pods = [_pod(name, series, limits.get(name), focus) for name, series in parts.items() if len(series)]
    killed = _killed(answers.get("pods"), context)
    summary = _summary(pods, killed, answers)
    return Finding(
        name="memory",
        title="Memory",
        summary=summary,
        status=_status(pods, killed, context),
        command=f"kubectl -n {context.namespace} top pods -l {context.selector} --containers",
        tables=(("Memory by pod", _table(pods)),) if pods else (),
        figure=_figure(parts, limits, summary),
        notes=answers.warnings,
        signals=(
            as_far_as_answered(_growing(pods, answers), answers, "used"),
            as_far_as_answered(_near_limit(pods, context, answers), answers, "used", "limit"),
            _oom(killed, answers),
        ),
        sources=answers.sources,
    )


def _there(parts: dict[str, pd.Series], focus: Window) -> dict[str, pd.Series]:
    """The pods that were still measured in the focus; those of earlier rollouts would stand between them in every list."""
    there = {name: series for name, series in parts.items() if len(series) and series.index[-1] >= focus.start}
    return there or parts


def _pod(name: str, series: pd.Series, limit: pd.Series | None, focus: Window) -> _PodMemory:
    maximum = float(limit.iloc[-1]) if limit is not None and len(limit) else None
    shares = ratio(series, limit)[focus.start : focus.end] if limit is not None else pd.Series(dtype="float64")
    seen = series[: focus.end]
    rising = [found for part in between_drops(seen) if (found := _rise(part, maximum, focus)) is not None]
    return _PodMemory(
        pod=name,
        used_bytes=float(seen.iloc[-1]) if len(seen) else float(series.iloc[-1]),
        limit_bytes=maximum,
        peak_ratio=float(shares.max()) if len(shares) else None,
        growth=rising[-1] if rising else None,
        since=rising[0].since if rising else None,
    )


def _rise(part: pd.Series, limit_bytes: float | None, focus: Window) -> Growth | None:
    """The growth of one stretch between restarts, when it is steady, large enough to matter, and of this episode.

    What can be known without the trend is asked first: a thousand pods are looked at, and few of them grow.
    """
    if part.empty or part.index[-1] < focus.start:
        return None
    lowest, highest = float(part.min()), float(part.max())
    if highest - lowest < least_rise(lowest, limit_bytes):
        return None
    rising = rising_part(part)
    needed = least_rise(float(rising.iloc[0]), limit_bytes)
    if float(rising.max()) - float(rising.iloc[0]) < needed:
        return None
    # A leak begins where it begins, and not with the process that it is in; what surged lately has not bent the whole yet.
    for stretch, least in ((after_bend(rising), 6), (rising, 6), (surge(part, at_least=needed), 3)):
        found = growth(stretch, minimum_samples=least)
        if found is not None and found.growing and found.rise >= needed:
            return found
    return None


def _killed(pods: Frame | None, context: CheckContext) -> Frame | None:
    """Containers killed for lack of memory in this episode (the focus), from the pods' last state."""
    if pods is None:
        return None
    if pods.empty:
        return pods
    focus = context.focus()
    killed = killed_for_memory(context, pods)
    times = pd.to_datetime(killed["last_terminated_at"], utc=True)
    return Frame(killed[(times >= focus.start - context.gap) & (times <= focus.end + context.gap)])


def _summary(pods: list[_PodMemory], killed: Frame | None, answers: Answers) -> str:
    if not pods:
        return (
            f"Memory could not be measured: {answers.why_missing('used') or 'Prometheus has no container metrics of these pods'}."
        )
    fullest = max(pods, key=lambda pod: pod.peak_ratio or 0.0)
    parts = [f"{fullest.pod} uses {fullest.used_bytes / _MIB:,.0f} MiB ({_share(fullest)})"]
    growing = [pod for pod in pods if pod.growth is not None]
    if growing:
        fastest = max(growing, key=lambda pod: pod.growth.per_second if pod.growth else 0.0)
        rate = (fastest.growth.per_second if fastest.growth else 0.0) * 60 / _MIB
        since = min(pod.since for pod in growing if pod.since is not None)
        parts.append(
            f"{len(growing)} of {len(pods)} pods grow, the fastest by {rate:,.1f} MiB per minute, since {format_instant(since)}"
        )
    if killed is not None and len(killed):
        parts.append(f"{len(killed)} containers were killed for lack of memory (OOMKilled)")
    return "; ".join(parts) + "."


def _share(pod: _PodMemory) -> str:
    """Of its limit: now, and the most of it when that was more, since either alone beside the use would be wrong."""
    if pod.limit_bytes is None or pod.peak_ratio is None:
        return "it has no limit"
    now, most = f"{pod.used_bytes / pod.limit_bytes:.0%}", f"{pod.peak_ratio:.0%}"
    return f"{now} of its limit" if now == most else f"{now} of its limit, {most} at the most"


def _status(pods: list[_PodMemory], killed: Frame | None, context: CheckContext) -> FindingStatus:
    limit = context.service.thresholds.memory_ratio
    highest = max((pod.peak_ratio for pod in pods if pod.peak_ratio is not None), default=None)
    if (killed is not None and len(killed)) or (highest is not None and highest > limit.critical):
        return FindingStatus.CRITICAL
    if not pods:
        return FindingStatus.UNKNOWN
    if any(pod.growth for pod in pods) or (highest is not None and highest > limit.warning):
        return FindingStatus.WARNING
    return FindingStatus.NORMAL


def _table(pods: list[_PodMemory]) -> Frame:
    rows = [
        {
            "pod": pod.pod,
            "used (MiB)": round(pod.used_bytes / _MIB, 1),
            "limit (MiB)": round(pod.limit_bytes / _MIB, 1) if pod.limit_bytes else None,
            "highest share of limit": pod.peak_ratio,
            "growth (MiB/min)": round(pod.growth.per_second * 60 / _MIB, 2) if pod.growth else 0.0,
            "full in": _full_in(pod),
        }
        for pod in sorted(pods, key=lambda pod: -(pod.peak_ratio or 0.0))
    ]
    return frame(rows)


def _full_in(pod: _PodMemory) -> str:
    left = pod.growth.time_to(pod.limit_bytes) if pod.growth and pod.limit_bytes else None
    return format_duration(left) if left is not None else ""


def _figure(parts: dict[str, pd.Series], limits: dict[str, pd.Series], summary: str) -> LineFigure | None:
    if not parts:
        return None
    known = [series.iloc[-1] for series in limits.values() if len(series)]
    thresholds = (Threshold(float(max(known)), "limit", "critical"),) if known else ()
    return LineFigure(
        title=summary.split(";")[0], unit="bytes", frame=long(largest(parts, 8), unit="bytes"), thresholds=thresholds
    )


def _growing(pods: list[_PodMemory], answers: Answers) -> Signal:
    name = "memory_growing"
    if not pods:
        reason = answers.why_missing("used") or "Prometheus has no container metrics of these pods"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"memory over time is not known: {reason}")
    growing = [pod for pod in pods if pod.growth is not None]
    if not growing:
        return Signal(name=name, presence=Presence.ABSENT, text="no pod's memory grows steadily")
    fastest = max(growing, key=lambda pod: pod.growth.per_second if pod.growth else 0.0)
    rate = (fastest.growth.per_second if fastest.growth else 0.0) * 60
    text = f"the memory of {len(growing)} of {len(pods)} pods grows steadily, {fastest.pod} by {rate / _MIB:,.1f} MiB per minute"
    since = min(pod.since for pod in growing if pod.since is not None)
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, value=rate, unit="bytes/min")


def _near_limit(pods: list[_PodMemory], context: CheckContext, answers: Answers) -> Signal:
    name = "memory_near_limit"
    known = [pod for pod in pods if pod.peak_ratio is not None]
    if not known:
        reason = answers.why_missing("used") or answers.why_missing("limit") or "the pods have no memory limit"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"use against the limit is not known: {reason}")
    fullest = max(known, key=lambda pod: pod.peak_ratio or 0.0)
    near = (fullest.peak_ratio or 0.0) >= context.service.thresholds.memory_ratio.warning
    text = f"{fullest.pod} reached {fullest.peak_ratio:.0%} of its memory limit"
    return Signal(
        name=name, presence=Presence.PRESENT if near else Presence.ABSENT, text=text, value=fullest.peak_ratio, unit="ratio"
    )


def _oom(killed: Frame | None, answers: Answers) -> Signal:
    name = "oom_kills"
    if killed is None:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"kills are not known: {answers.why_missing('pods')}")
    if killed.empty:
        return Signal(name=name, presence=Presence.ABSENT, text="no container was killed for lack of memory")
    since = pd.to_datetime(killed["last_terminated_at"], utc=True).min().to_pydatetime()
    return Signal(name=name, presence=Presence.PRESENT, text=f"{len(killed)} containers were OOMKilled", since=since)
