"""The cache: does it still answer, how many look-ups does it answer, and does it throw out what is needed?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import as_series, long
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant

_TIMES, _RISE = 3.0, 0.1  # of the usual misses; of all look-ups
_ENOUGH_SAMPLES = 12
_FULL = 0.95
_FEW = 5.0  # look-ups a second: fewer say nothing of a ratio


@dataclass(frozen=True, slots=True)
class _Redis:
    """What Redis says of itself. hit_ratio: at present, None with few look-ups; evicted: keys a second."""

    hit_ratio: float | None
    hit_ratio_total: float | None
    evicted: float
    used_bytes: float
    maximum_bytes: float
    policy: str
    ping_seconds: float
    clients: int

    @property
    def full(self) -> bool:
        return self.maximum_bytes > 0 and self.used_bytes >= _FULL * self.maximum_bytes


def cache_health(context: CheckContext) -> Finding:
    """The hit rate over the window and now, evictions, memory against its maximum, the policy, and the round trip."""
    answers = ask(
        {
            "ratio": over_time(context, "cache_hit_ratio"),
            "redis": Question(context.sources.cache, context.sources.cache.traffic),
        },
        deadline_seconds=context.deadline_seconds,
    )
    redis = _redis(answers.get("redis")) if context.live else None
    series = as_series(answers.get("ratio")) if answers.get("ratio") is not None else None
    missing = _missing(context, series)
    summary = _summary(redis, series, missing, answers)
    return Finding(
        name="cache_health",
        title="Cache",
        summary=summary,
        status=_status(redis, series, missing),
        command="redis-cli info stats | grep -E 'keyspace|evicted'; redis-cli info memory | grep -E 'used_memory:|maxmemory'",
        tables=(("Redis", _table(redis)),) if redis is not None else (),
        figure=_figure(context, series, summary),
        notes=_notes(redis),
        signals=(_miss_signal(series, missing, answers), _full_signal(redis, answers)),
        sources=answers.sources,
    )


def _redis(info: Mapping[str, Any] | None) -> _Redis | None:
    if info is None:
        return None
    hits, misses = _number(info, "hits_per_second"), _number(info, "misses_per_second")
    total = _number(info, "keyspace_hits") + _number(info, "keyspace_misses")
    return _Redis(
        hit_ratio=hits / (hits + misses) if hits + misses >= _FEW else None,
        hit_ratio_total=_number(info, "keyspace_hits") / total if total else None,
        evicted=_number(info, "evicted_per_second"),
        used_bytes=_number(info, "used_memory"),
        maximum_bytes=_number(info, "maxmemory"),
        policy=str(info.get("maxmemory_policy") or ""),
        ping_seconds=_number(info, "ping_seconds"),
        clients=int(_number(info, "connected_clients")),
    )


def _number(info: Mapping[str, Any], key: str) -> float:
    try:
        return float(info.get(key) or 0.0)
    except (TypeError, ValueError):
        return 0.0


def _missing(context: CheckContext, series: pd.Series | None) -> Episode | None:
    """The episode in which clearly more look-ups miss than usual: three times as many, and by a tenth of all."""
    if series is None or series.empty:
        return None
    misses = 1.0 - series
    episode = latest_episode(misses, threshold=_most_misses(context, misses), gap=context.gap)
    return episode if episode is not None and context.concerns(episode) else None


def _most_misses(context: CheckContext, misses: pd.Series) -> float:
    """Above which share of misses something is wrong: each cache has its own usual share, seen before the symptom began."""
    before = misses[misses.index < context.onset] if context.onset is not None else misses
    usual = float(before.median()) if len(before) >= _ENOUGH_SAMPLES else float(misses.min())
    return max(_TIMES * usual, usual + _RISE)


def _summary(redis: _Redis | None, series: pd.Series | None, missing: Episode | None, answers: Answers) -> str:
    parts = []
    if missing is not None:
        before = f"before {1 - missing.baseline:.0%}" if not missing.seen_from_start else "over the whole window"
        parts.append(f"the cache answers {1 - missing.peak:.0%} of the look-ups since {format_instant(missing.onset)} ({before})")
    elif series is not None and len(series):
        parts.append(f"the cache answers {series.iloc[-1]:.0%} of the look-ups")
    if redis is not None:
        share = f" of {written(redis.maximum_bytes, 'bytes')} ({redis.policy})" if redis.maximum_bytes else ", without a maximum"
        evicted = f", {redis.evicted:.1f} keys evicted a second" if redis.evicted else ""
        parts.append(f"Redis uses {written(redis.used_bytes, 'bytes')}{share}{evicted}")
    if not parts:
        return (
            f"The cache could not be looked at: {answers.why_missing('looks') or answers.why_missing('ratio') or 'no metrics'}."
        )
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _status(redis: _Redis | None, series: pd.Series | None, missing: Episode | None) -> FindingStatus:
    if missing is not None or (redis is not None and redis.full):
        return FindingStatus.WARNING
    return FindingStatus.UNKNOWN if redis is None and (series is None or series.empty) else FindingStatus.NORMAL


def _table(redis: _Redis) -> Frame:
    rows: list[tuple[str, str]] = [
        ("hit ratio now", written(redis.hit_ratio, "ratio") if redis.hit_ratio is not None else "too few look-ups to tell"),
        ("hit ratio since the server started", written(redis.hit_ratio_total, "ratio")),
        ("evicted keys", f"{redis.evicted:.1f} a second"),
        ("memory", written(redis.used_bytes, "bytes")),
        ("maxmemory", written(redis.maximum_bytes, "bytes") if redis.maximum_bytes else "none"),
        ("maxmemory-policy", redis.policy),
        ("round trip", written(redis.ping_seconds, "seconds")),
        ("clients", str(redis.clients)),
    ]
    return frame(rows, columns=["measure", "now"])


def _figure(context: CheckContext, series: pd.Series | None, summary: str) -> LineFigure | None:
    if series is None or series.empty:
        return None
    lines = long({"hit ratio": series}, unit="ratio")
    least = max(0.0, 1.0 - _most_misses(context, 1.0 - series))
    limit = Threshold(least, f"clearly fewer than usual: {least:.0%}", "warning")
    return LineFigure(title=summary.partition(";")[0], unit="ratio", frame=lines, thresholds=(limit,))


def _notes(redis: _Redis | None) -> tuple[str, ...]:
    if redis is None or not redis.full:
        return ()
    if redis.policy == "noeviction":
        return ("Redis is full and evicts nothing (noeviction): it refuses every write, so that nothing new is cached.",)
    return ("Redis is full: it throws out keys to keep others.",)


def _miss_signal(series: pd.Series | None, missing: Episode | None, answers: Answers) -> Signal:
    name = "cache_misses_high"
    if series is None or series.empty:
        reason = answers.why_missing("ratio") or "the service exports no measure cache_hit_ratio"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the hit ratio over time is not known: {reason}")
    if missing is None:
        return Signal(name=name, presence=Presence.ABSENT, text=f"the cache answers {series.iloc[-1]:.0%} of the look-ups")
    text = f"the cache answers {1 - missing.peak:.0%} of the look-ups, before {1 - missing.baseline:.0%}"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=_dated(missing), value=1 - missing.peak, unit="ratio")


def _dated(missing: Episode) -> datetime | None:
    return None if missing.seen_from_start else missing.onset


def _full_signal(redis: _Redis | None, answers: Answers) -> Signal:
    name = "cache_full"
    if redis is None:
        reason = answers.why_missing("redis") or "a past window is looked at, and Redis only tells of now"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the cache's memory is not known: {reason}")
    text = f"Redis uses {written(redis.used_bytes, 'bytes')} of {written(redis.maximum_bytes, 'bytes')} ({redis.policy})"
    if not redis.full:
        return Signal(name=name, presence=Presence.ABSENT, text=text if redis.maximum_bytes else "Redis has no maximum of memory")
    return Signal(name=name, presence=Presence.PRESENT, text=text, subject="redis")
