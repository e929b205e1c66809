"""CPU time of the pods against what they may use: are they at their limit, held back, or waiting for a processor; and why?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import as_series, largest, long, ratio, split, total
from runbook_lib.checks.asking import Answers, Question, as_far_as_answered, ask
from runbook_lib.checks.autoscaling import autoscaler_signal, autoscaling_told
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant

_PRESSED = 0.3  # of the time: something in the container could run, and no processor was free for it
_GROWN = 1.2  # times what was usual: more than requests vary from minute to minute
_FEWEST = 5  # samples on each side, for a median that means something
_THROTTLED = 0.25  # of the scheduling periods: in each of them the container stands still for up to a tenth of a second


@dataclass(frozen=True, slots=True)
class _Pod:
    """One pod: cores used now, its request and limit (None without); the episodes at its limit, held back, and waiting."""

    name: str
    used: float
    request: float | None
    limit: float | None
    saturated: Episode | None
    throttled: Episode | None
    pressed: Episode | None

    @property
    def short(self) -> list[Episode]:
        """The episodes in which it was short of CPU."""
        return [episode for episode in (self.saturated, self.throttled, self.pressed) if episode is not None]


def cpu(context: CheckContext) -> Finding:
    """CPU used by each pod against its request and limit, and how often it was held back (throttled), over the window."""
    names = ("cpu_usage", "cpu_request", "cpu_limit", "cpu_throttled_ratio", "cpu_pressure_ratio")
    cluster = context.sources.cluster
    answers = ask(
        {
            **{name: over_time(context, name) for name in names},
            "request_rate": over_time(context, "request_rate"),
            "autoscaler": Question(cluster, lambda: cluster.autoscaler(context.deployment)),
        },
        deadline_seconds=context.deadline_seconds,
    )
    parts = {name: split(answers.get(name), "pod") if answers.get(name) is not None else {} for name in names}
    used = _present(context, parts["cpu_usage"])
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
        notes=(
            *_reason(pods, used, answers.get("request_rate")),
            *autoscaling_told(answers.get("autoscaler")),
            *answers.warnings,
        ),
        signals=(
            as_far_as_answered(_short_signal(pods, answers), answers, *names),
            as_far_as_answered(_throttled_signal(pods, answers), answers, *names),
            autoscaler_signal(answers),
        ),
        sources=answers.sources,
    )


def _present(context: CheckContext, used: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
    """The pods that are there at the end of the window; what others used is over."""
    latest = max((series.index[-1] for series in used.values() if len(series)), default=None)
    return {name: series for name, series in used.items() if len(series) and latest - series.index[-1] <= context.gap}


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
        pressed=_episode(context, parts["cpu_pressure_ratio"].get(name), _PRESSED),
    )


def _last(series: pd.Series | None) -> float | None:
    return float(series.iloc[-1]) if series is not None and len(series) else None


def _episode(context: CheckContext, series: pd.Series | None, threshold: float) -> Episode | None:
    if series is None or series.empty:
        return None
    episode = latest_episode(series, threshold=threshold, gap=context.gap)
    if episode is None or not context.concerns(episode):
        return None
    # Use of CPU is a rate, as the symptom is, and no later than it: what was over when the symptom began did not bring it about.
    over = context.onset is not None and episode.last < context.onset
    return None if over else episode


def _summary(pods: list[_Pod], answers: Answers) -> str:
    if not pods:
        return f"The pods' CPU use could not be measured: {_why(answers)}."
    busy = [pod for pod in pods if pod.saturated]
    held = [pod for pod in pods if pod.throttled]
    waiting = [pod for pod in pods if pod.pressed]
    if busy or held or waiting:
        told = []
        if busy:
            told.append(f"{len(busy)} of {len(pods)} pods use all the CPU they may, {_told(busy[0])}")
        if held:
            worst = max(pod.throttled.peak for pod in held if pod.throttled)
            told.append(f"{len(held)} of {len(pods)} pods are held back by their limit, in up to {worst:.0%} of the periods")
        if waiting and not held:
            longest = max(pod.pressed.peak for pod in waiting if pod.pressed)
            told.append(
                f"{len(waiting)} of {len(pods)} pods wait for a processor, up to {longest:.0%} of the time, {_told(waiting[0])}"
            )
        return "; ".join(told) + "."
    return f"No pod is short of CPU: {_told(pods[0])}."


def _told(pod: _Pod) -> str:
    asked = f", {pod.used / pod.request:.0%} of what it asks for" if pod.request else ""
    share = f" of {pod.limit:.2g}" if pod.limit else f", without a limit{asked}"
    return f"{pod.name} uses {pod.used:.2g} cores{share}"


def _why(answers: Answers) -> str:
    return answers.why_missing("cpu_usage") or "Prometheus has no container metrics of these pods"


def _status(context: CheckContext, pods: list[_Pod]) -> FindingStatus:
    if not pods:
        return FindingStatus.UNKNOWN
    if any(pod.saturated or pod.pressed for pod in pods):
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
    """At the limit, held back by it, or waiting for a processor.

    In short bursts a pod is held back long before its average reaches the limit; without a limit the kernel's own account of
    waiting shows what no share of a limit can.
    """
    name = "cpu_short"
    episodes = [episode for pod in pods for episode in pod.short]
    some = [pod for pod in pods if pod.short]
    if some:
        since = min(episode.onset for episode in episodes)
        text = f"{len(some)} of {len(pods)} pods are short of CPU since {format_instant(since)}: {_told(some[0])}"
        named = tuple(pod.name for pod in some)
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, subject=some[0].name, pods=named)
    pressure = answers.get("cpu_pressure_ratio")
    if not any(pod.limit for pod in pods) and (pressure is None or pressure.empty):
        reason = _why(answers) if not pods else answers.why_missing("cpu_limit") or "the pods have no CPU limit"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"CPU use against the limit is not known: {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text="no pod is short of CPU")


def _reason(pods: list[_Pod], used: Mapping[str, pd.Series], load: Frame | None) -> list[str]:
    """Whether more requests came, or each of them takes more CPU than before, since the pods are short of it."""
    begun = [episode.onset for pod in pods for episode in pod.short]
    if not begun or load is None or load.empty:
        return []
    since = min(begun)
    requests = as_series(load)
    spent = total(list(used.values())).reindex(requests.index, method="nearest")
    before, after = requests[requests.index < since], requests[requests.index >= since]
    if len(before) < _FEWEST or len(after) < _FEWEST or not float(before.median()):
        return []
    rates = [written(float(part.median()), "requests/s") for part in (before, after)]
    told = f"{rates[1]} since {format_instant(since)}, {rates[0]} before"
    if float(after.median()) >= _GROWN * float(before.median()):
        return [f"More requests come: {told}."]
    each = [float((spent[part.index] / part.where(part > 0)).median()) for part in (before, after)]
    if each[0] > 0 and each[1] >= _GROWN * each[0]:
        return [f"Not more requests come ({told}), but each takes {each[1] / each[0]:.1f} times the CPU."]
    return [f"Not more requests come ({told}), and none takes more CPU: there is less of it for them."]


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
