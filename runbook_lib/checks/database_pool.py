"""The connection pool as the service's own metrics show it: full, starved, or smaller than it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import largest, long, ratio, split
from runbook_lib.checks.asking import Answers, as_far_as_answered
from runbook_lib.checks.context import CheckContext
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Presence, Signal
from runbook_lib.models.window import format_instant

_FULL_RATIO = 0.949  # of the pool in use; a pool of 20 with 19 taken has one left for everybody
_MOST = 0.5  # of the samples


@dataclass(frozen=True, slots=True)
class Pool:
    """The service's own view of its pool. `shares`: in use against size, by pod, of several pools that of the fullest. `size` is
    the sum over all pools and pods, in connections.

    shrank_at: when the smallest pool of any pod came to be smaller than before.
    """

    shares: dict[str, pd.Series]
    size: float | None
    in_use: float | None
    full: Episode | None
    full_pods: int
    failing_since: datetime | None
    shrank_at: datetime | None
    measured: bool


def seen_by_service(answers: Answers, context: CheckContext) -> Pool:
    """The pool from the answers `in_use`, `size`, `waiting`, `timeouts` and `application_pods`."""
    in_use, size = answers.get("in_use"), answers.get("size")
    if in_use is None or size is None:
        failing = _failing(answers, context)
        return Pool(
            shares={}, size=None, in_use=None, full=None, full_pods=0, failing_since=failing, shrank_at=None, measured=False
        )
    used, sizes = split(in_use, "pod"), split(size, "pod")
    there = _there(used, answers, context)
    shares = {pod: share for pod, share in _shares(in_use, size).items() if pod in there}
    episodes = [found for series in shares.values() if (found := _full_episode(series, context)) is not None]
    return Pool(
        shares=shares,
        size=_sum_now(sizes),
        in_use=_sum_now(used),
        full=min(episodes, key=lambda episode: episode.onset) if episodes else None,
        full_pods=len(episodes),
        failing_since=_failing(answers, context),
        shrank_at=_shrank_at(sizes, context),
        measured=bool(shares),
    )


def _shares(in_use: pd.DataFrame, size: pd.DataFrame) -> dict[str, pd.Series]:
    """In use against size, by pod: of several pools the fullest at each instant, since a free one does not help its neighbour."""
    if "pool" in in_use.columns and "pool" in size.columns:
        pools = [_shares(_of_pool(in_use, name), _of_pool(size, name)) for name in sorted(set(in_use["pool"].fillna("")))]
        pods = {pod for shares in pools for pod in shares}
        fullest = {pod: pd.concat([shares[pod] for shares in pools if pod in shares]) for pod in sorted(pods)}
        return {pod: shares.groupby(level=0).max() for pod, shares in fullest.items()}
    sizes = split(size, "pod")
    return {pod: ratio(series, sizes[pod]) for pod, series in split(in_use, "pod").items() if pod in sizes}


def _of_pool(answer: pd.DataFrame, name: str) -> pd.DataFrame:
    return answer[answer["pool"].fillna("") == name].drop(columns="pool")


def pool_signals(pool: Pool, answers: Answers, *, blocked: str) -> list[Signal]:
    """What the pool itself tells. blocked: a sentence on sessions that wait for a lock, empty when none do."""
    return [
        as_far_as_answered(_saturated(pool, answers, blocked), answers, "in_use", "size"),
        as_far_as_answered(_starved(pool, answers), answers, "timeouts", "waiting"),
        as_far_as_answered(_shrank(pool, answers), answers, "size"),
    ]


def _shrank_at(sizes: Mapping[str, pd.Series], context: CheckContext) -> datetime | None:
    """When pods with a smaller pool than those before them appeared, if they are still there."""
    if not any(len(series) for series in sizes.values()):
        return None
    smallest = pd.concat(list(sizes.values())).groupby(level=0).min()[: context.focus().end]
    larger = smallest.index[smallest > smallest.iloc[-1]] if len(smallest) else smallest.index
    if larger.empty:
        return None
    began: datetime = smallest.index[smallest.index > larger[-1]][0].to_pydatetime()
    return began


def _sum_now(parts: Mapping[str, pd.Series]) -> float:
    """The sum over the pods that are still measured: a replaced pod's last value is history."""
    ends = {name: part.index[-1] for name, part in parts.items() if len(part)}
    newest = max(ends.values(), default=None)
    return sum(float(parts[name].iloc[-1]) for name, end in ends.items() if end == newest)


def _there(parts: Mapping[str, pd.Series], answers: Answers, context: CheckContext) -> dict[str, pd.Series]:
    """The pods that are measured in the focus, of which the cluster still has those it knows: a replaced one's full pool went
    with it. One that is merely not measured any more may hang on its full pool."""
    since, pods = context.focus().start, answers.get("application_pods")
    seen = {name: series for name, series in parts.items() if len(series) and series.index[-1] >= since}
    known = set(pods["pod"]) & set(seen) if context.live and pods is not None and len(pods) else set()
    return {name: series for name, series in seen.items() if name in known} if known else seen


def _full_episode(series: pd.Series, context: CheckContext) -> Episode | None:
    """The stretch in which a pod's pool was full, when it was so for most of the time since."""
    episode = latest_episode(series, threshold=_FULL_RATIO, gap=context.gap)
    if episode is None or not context.concerns(episode):
        return None
    inside = series[episode.first : episode.last]
    return episode if float((inside > _FULL_RATIO).mean()) >= _MOST else None


def _failing(answers: Answers, context: CheckContext) -> datetime | None:
    """Since when requests wait in vain for a connection: the pool's time-outs, else its queue."""
    for name in ("timeouts", "waiting"):
        answer = answers.get(name)
        parts = _there(split(answer, "pod"), answers, context) if answer is not None else {}
        found = [latest_episode(series, threshold=0.0, gap=context.gap) for series in parts.values()]
        onsets = [episode.onset for episode in found if episode is not None and context.concerns(episode)]
        if onsets:
            return min(onsets)
    return None


def figure_of(pool: Pool, summary: str) -> LineFigure | None:
    """The share of each pod's pool that is in use; None when it is not measured."""
    if not pool.shares:
        return None
    return LineFigure(
        title=summary.split(";")[0],
        unit="ratio",
        frame=long(largest(pool.shares, 8), unit="ratio"),
        thresholds=(Threshold(1.0, "pool size", "critical"),),
    )


def _saturated(pool: Pool, answers: Answers, blocked: str) -> Signal:
    name = "pool_saturated"
    if not pool.measured:
        reason = answers.why_missing("in_use") or "the service exports no metric of its connection pool"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the pool's use is not known: {reason}")
    if pool.full:
        text = (
            f"the connection pool is full on {pool.full_pods} of {len(pool.shares)} pods since {format_instant(pool.full.onset)}"
        )
        text += f", while {blocked}" if blocked else ""
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=pool.full.onset, value=pool.full.peak, unit="ratio")
    return Signal(name=name, presence=Presence.ABSENT, text=f"{pool.in_use:.0f} of {pool.size:.0f} pooled connections are in use")


def _starved(pool: Pool, answers: Answers) -> Signal:
    name = "pool_starved"
    if pool.failing_since:
        text = "requests wait in vain for a connection from the pool"
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=pool.failing_since)
    if answers.get("timeouts") is None and answers.get("waiting") is None:
        reason = answers.why_missing("timeouts") or "the pool exports neither its queue nor its time-outs"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether requests wait for a connection is not known: {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text="no request waits for a connection from the pool")


def _shrank(pool: Pool, answers: Answers) -> Signal:
    name = "pool_shrank"
    if pool.shrank_at is not None:
        text = f"the pool is smaller since {format_instant(pool.shrank_at)}"
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=pool.shrank_at)
    if not pool.measured:
        reason = answers.why_missing("size") or "the service exports no metric of its connection pool"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the pool's size is not known: {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text="the pool did not become smaller")
