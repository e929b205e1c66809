"""CPU time of the pods against what they may use: are they at their limit, or held back by it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import largest, long, ratio, split
from runbook_lib.checks.asking import Answers, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant

_THROTTLED = 0.25  # of the scheduling periods: in each of them the container stands still for up to a tenth of a second


@dataclass(frozen=True, slots=True)
class _Pod:
    """One pod: cores used now, its request and limit (None without), the episodes at its limit and held back."""

    name: str
    used: float
    request: float | None
    limit: float | None
    saturated: Episode | None
    throttled: Episode | None


def cpu(context: CheckContext) -> Finding:
    """CPU used by each pod against its request and limit, and how often it was held back (throttled), over the window."""
    names = ("cpu_usage", "cpu_request", "cpu_limit", "cpu_throttled_ratio")
    answers = ask({name: over_time(context, name) for name in names}, deadline_seconds=context.deadline_seconds)
    parts = {name: split(answers.get(name), "pod") if answers.get(name) is not None else {} for name in names}
    used = {name: series for name, series in parts["cpu_usage"].items() if len(series)}
    pods = sorted((_pod(context, name, parts) for name in used), key=lambda pod: -pod.used)
    summary = _summary(pods, answers)
    return Finding(
        name="cpu",
        title="CPU",
        summary=summary,
        status=_status(context, pods),
        command=f"kubectl -n {context.namespace} top pods -l {context.selector} --containers",
        tables=(("CPU of each pod", _table(pods)),) if pods else (),
        figure=_figure(used, pods, summary),
        signals=(_short_signal(pods, answers), _throttled_signal(pods, answers)),
        sources=answers.sources,
    )


def _pod(context: CheckContext, name: str, parts: Mapping[str, Mapping[str, pd.Series]]) -> _Pod:
    used, limits = parts["cpu_usage"][name], parts["cpu_limit"].get(name)
    share = ratio(used, limits) if limits is not None and len(limits) else None
    return _Pod(
        name=name,
        used=float(used.iloc[-1]),
        request=_last(parts["cpu_request"].get(name)),
        limit=_last(limits),
        saturated=_episode(context, share, context.service.thresholds.cpu_ratio.critical),
        throttled=_episode(context, parts["cpu_throttled_ratio"].get(name), _THROTTLED),
    )


def _last(series: pd.Series | None) -> float | None:
    return float(series.iloc[-1]) if series is not None and len(series) else None


def _episode(context: CheckContext, series: pd.Series | None, threshold: float) -> Episode | None:
    if series is None or series.empty:
        return None
    episode = latest_episode(series, threshold=threshold, gap=context.gap)
    return episode if episode is not None and context.concerns(episode) else None


def _summary(pods: list[_Pod], answers: Answers) -> str:
    if not pods:
        return f"The pods' CPU use could not be measured: {_why(answers)}."
    busy = [pod for pod in pods if pod.saturated]
    held = [pod for pod in pods if pod.throttled]
    if busy or held:
        told = []
        if busy:
            told.append(f"{len(busy)} of {len(pods)} pods use all the CPU they may, {_told(busy[0])}")
        if held:
            worst = max(pod.throttled.peak for pod in held if pod.throttled)
            told.append(f"{len(held)} of {len(pods)} pods are held back by their limit, in up to {worst:.0%} of the periods")
        return "; ".join(told) + "."
    return f"No pod is short of CPU: {_told(pods[0])}."


def _told(pod: _Pod) -> str:
    share = f" of {pod.limit:.2g}" if pod.limit else ", without a limit"
    return f"{pod.name} uses {pod.used:.2g} cores{share}"


def _why(answers: Answers) -> str:
    return answers.why_missing("cpu_usage") or "Prometheus has no container metrics of these pods"


def _status(context: CheckContext, pods: list[_Pod]) -> FindingStatus:
    if not pods:
        return FindingStatus.UNKNOWN
    if any(pod.saturated for pod in pods):
        return FindingStatus.CRITICAL
    warning = context.service.thresholds.cpu_ratio.warning
    high = any(pod.throttled or (pod.limit and pod.used / pod.limit > warning) for pod in pods)
    return FindingStatus.WARNING if high else FindingStatus.NORMAL


def _table(pods: list[_Pod]) -> Frame:
    return frame(
        [
            {
                "pod": pod.name,
                "cores used": pod.used,
                "requested": pod.request,
                "limit": pod.limit,
                "share of limit": pod.used / pod.limit if pod.limit else None,
                "held back since": pod.throttled.onset if pod.throttled else None,
            }
            for pod in pods
        ]
    )


def _figure(used: Mapping[str, pd.Series], pods: list[_Pod], summary: str) -> LineFigure | None:
    if not used:
        return None
    limits = [pod.limit for pod in pods if pod.limit]
    thresholds = (Threshold(max(limits), "limit", "critical"),) if limits else ()
    title = summary.partition(";")[0]
    return LineFigure(title=title, unit="cores", frame=long(largest(dict(used), 8), unit="cores"), thresholds=thresholds)


def _short_signal(pods: list[_Pod], answers: Answers) -> Signal:
    """At the limit, or held back by it: in short bursts a pod can be held back long before its average reaches the limit."""
    name = "cpu_short"
    episodes = [episode for pod in pods for episode in (pod.saturated, pod.throttled) if episode is not None]
    some = [pod for pod in pods if pod.saturated or pod.throttled]
    if some:
        since = min(episode.onset for episode in episodes)
        text = f"{len(some)} of {len(pods)} pods are short of CPU since {format_instant(since)}: {_told(some[0])}"
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, subject=some[0].name)
    if not any(pod.limit for pod in pods):
        reason = _why(answers) if not pods else answers.why_missing("cpu_limit") or "the pods have no CPU limit"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"CPU use against the limit is not known: {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text="no pod is short of CPU")


def _throttled_signal(pods: list[_Pod], answers: Answers) -> Signal:
    name = "cpu_throttled"
    held = [pod.throttled for pod in pods if pod.throttled]
    if held:
        peak = max(episode.peak for episode in held)
        text = (
            f"{len(held)} of {len(pods)} pods are held back by their CPU limit, in up to {written(peak, 'ratio')} of the periods"
        )
        since = min(episode.onset for episode in held)
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, value=peak, unit="ratio")
    throttled = answers.get("cpu_throttled_ratio")
    if throttled is None or throttled.empty:
        reason = answers.why_missing("cpu_throttled_ratio") or "Prometheus has no container_cpu_cfs_throttled_periods_total"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether pods are held back is not known: {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text="no pod is held back by its CPU limit")
