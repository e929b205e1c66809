"""The pods whose memory is looked at: what each uses, how that goes on, and when it is full."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pandas as pd

from runbook_lib.analysis.leak import Course, Forecast, Held, Kind, course_of, forecast, held_before, judged_together
from runbook_lib.analysis.series import as_series, split
from runbook_lib.analysis.trend import least_rise
from runbook_lib.checks.asking import Answers, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.frame import Frame
from runbook_lib.models.window import Window

_CEILING_RATIO = 0.85  # of the limit: above it garbage collectors work harder, and allocations begin to fail
_STEPS_OF_A_CLOSER_LOOK = 60


@dataclass(frozen=True, slots=True)
class Pod:
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
        """Of its limit; None without one."""
        return self.used_bytes / self.limit_bytes if self.limit_bytes else None


def pods_seen(context: CheckContext, parts: Mapping[str, pd.Series], answers: Answers) -> list[Pod]:
    """The pods of these series, the fullest first, from the answers `limit`, `load` and `pods`.

    Those that may hide a leak are looked at more closely, which asks Prometheus once more.
    """
    held = held_before(parts.values())
    pods = _judged(context, parts, answers, held)
    if unsure := {pod.name for pod in pods if _may_hide_a_leak(pod)}:
        closer = {name: series for name, series in _closer_look(context).items() if name in unsure}
        seen = {pod.name: pod for pod in _judged(context, closer, answers, held)}
        pods = [seen.get(pod.name, pod) for pod in pods]
    return _together(pods)


def series_by_pod(used: Frame | None) -> dict[str, pd.Series]:
    """The memory of each pod that was measured."""
    return {name: series for name, series in (split(used, "pod") if used is not None else {}).items() if len(series)}


def _may_hide_a_leak(pod: Pod) -> bool:
    """Whether the pod grew for too short a time, or was restarted between samples that are too far apart."""
    return pod.course.kind is Kind.TOO_SHORT or (pod.course.kind is Kind.STEADY and pod.course.falls > 0)


def _closer_look(context: CheckContext) -> dict[str, pd.Series]:
    """The end of the window in finer steps: a fast leak is killed before it has enough samples of a long window.

    Samples that repeat the one before are left out: a step shorter than the scrape interval makes no new knowledge.
    """
    start = context.now - _STEPS_OF_A_CLOSER_LOOK * timedelta(seconds=context.step_seconds(context.window))
    closer = replace(context, window=Window(max(start, context.window.start), context.now))
    answers = ask({"used": over_time(closer, "memory_working_set", steps="fine")}, deadline_seconds=context.deadline_seconds / 4)
    return {name: series[series.diff() != 0] for name, series in series_by_pod(answers.get("used")).items()}


def _judged(context: CheckContext, parts: Mapping[str, pd.Series], answers: Answers, held: Held | None) -> list[Pod]:
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
        needed = least_rise(float(series.iloc[0]), maximum)
        ceiling = _CEILING_RATIO * maximum if maximum else math.inf
        course = course_of(series, load=beside, at_least=needed, ceiling=ceiling, held=held)
        since = _full_since(series, context.service.thresholds.memory_ratio.warning * maximum) if maximum else None
        found.append(Pod(name, float(series.iloc[-1]), maximum, course, None, since, versions.get(name)))
    return found


def _together(pods: list[Pod]) -> list[Pod]:
    """The same pods, those of one version judged beside each other, the fullest first."""
    found = []
    for version in {pod.version for pod in pods}:
        own = [pod for pod in pods if pod.version == version]
        for pod, course in zip(own, judged_together([pod.course for pod in own]), strict=True):
            found.append(replace(pod, course=course, ahead=_ahead(course, pod.used_bytes, pod.limit_bytes)))
    return sorted(found, key=lambda pod: (-(pod.share or 0.0), -pod.used_bytes))


def _ahead(course: Course, used_bytes: float, limit_bytes: float | None) -> Forecast | None:
    if course.kind is not Kind.LEAK or course.growth is None or not limit_bytes:
        return None
    # A container that was killed since begins anew, and is thought to grow as the one before did.
    return forecast(replace(course.growth, last=min(used_bytes, course.growth.last)), limit_bytes)


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


def of_kind(pods: list[Pod], kind: Kind) -> list[Pod]:
    """Those whose memory takes this course."""
    return [pod for pod in pods if pod.course.kind is kind]


def growth_a_minute(pod: Pod) -> float:
    """Bytes per minute; 0 for a pod that does not grow."""
    return pod.course.growth.per_second * 60 if pod.course.growth else 0.0
