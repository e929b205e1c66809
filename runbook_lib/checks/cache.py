"""The cache: does it still answer, how many look-ups does it answer, and does it throw out what is needed?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import as_series, long
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.cache_refusing import refused, refuses_signal
from runbook_lib.checks.cache_server import (
    CacheServer,
    expiry_signal,
    full_signal,
    lowered_signal,
    notes_of,
    refusing_signal,
    replica_signal,
    server_of,
    server_table,
)
from runbook_lib.checks.cache_slow import late_signal, slow_signal, slow_table, waits_of
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.cache_refusal import CacheRefusal
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant

_TIMES, _RISE = 3.0, 0.1  # of the usual misses; of all look-ups
_ENOUGH_SAMPLES = 12
_FILLS_MOST = 0.3  # of the memory: keys that take so much are named
_COMMANDS = (
    "info stats | grep -E 'keyspace|evicted|expired|rejected'",
    "info memory | grep -E 'used_memory:|maxmemory'",
    "slowlog get 10",
    "latency latest",
    "--bigkeys",
)


def cache_health(context: CheckContext) -> Finding:
    """The hit rate over the window and now, evictions, memory and who fills it, the policy, slow commands, and the round trip."""
    cache = context.sources.cache
    answers = ask(
        {
            **{name: over_time(context, f"cache_{name}") for name in ("hit_ratio", "evictions", "memory_ratio")},
            "redis": Question(cache, cache.traffic),
            "slow": Question(cache, cache.slow_log),
            "waits": Question(cache, lambda: waits_of(cache)),
            "events": Question(cache, cache.latency_events),
            "keys": Question(cache, cache.key_sample),
        },
        deadline_seconds=context.deadline_seconds,
    )
    info = answers.get("redis") if context.live else None
    server, refusal = server_of(info), refused(info, _said(answers)) if context.live else None
    ratio = _series(answers, "hit_ratio")
    missing = _missing(context, ratio)
    summary = _summary(server, ratio, missing, answers)
    past = "" if context.live else "a past window is looked at, and Redis only tells of now"
    unknown = answers.why_missing("redis") or past or "no answer"
    misses = _miss_signal(ratio, missing, server, answers)
    signals = (
        misses,
        expiry_signal(server, misses, unknown),
        full_signal(context, server, _series(answers, "memory_ratio"), unknown),
        refusing_signal(server, misses, unknown),
        replica_signal(server, misses, unknown),
        lowered_signal(server, unknown),
        refuses_signal(refusal, answers=server is not None, why_unknown=unknown),
        slow_signal(context, answers.get("slow"), answers.why_missing("slow")),
        late_signal(answers.get("waits") if context.live else None, past or answers.why_missing("waits") or "no answer"),
    )
    return Finding(
        name="cache_health",
        title="Cache",
        summary=summary,
        status=_status(server, ratio, signals),
        command=_commands(context.service.connections.redis_cli),
        tables=tuple(_tables(server, answers)),
        figure=_figure(context, ratio, summary),
        notes=(*_by_word(refusal), *_notes(context, server, answers, misses), *answers.warnings),
        signals=signals,
        sources=answers.sources,
    )


def _commands(client: str) -> str:
    """What a person would type; redis-cli measures the latency until it is stopped, which a time-out does."""
    return "; ".join([*(f"{client} {asked}" for asked in _COMMANDS), f"timeout 5 {client} --latency"])


def _said(answers: Answers) -> Iterator[str]:
    """The words with which Redis refused one or another of the questions."""
    for name in ("redis", "slow", "waits", "events", "keys"):
        yield answers.why_missing(name)
        answer = answers.get(name)
        if isinstance(answer, pd.DataFrame) and answer.attrs.get("denied"):
            yield from answer.attrs.get("notes", ())


def _by_word(refusal: CacheRefusal | None) -> tuple[str, ...]:
    return (f"{refusal.word}: {refusal.mend}.",) if refusal is not None and refusal.of_everybody else ()


def _series(answers: Answers, name: str) -> pd.Series | None:
    answer = answers.get(name)
    series = as_series(answer).dropna() if answer is not None else None
    return series if series is not None and len(series) else None


def _missing(context: CheckContext, series: pd.Series | None) -> Episode | None:
    """The episode in which clearly more look-ups miss than usual: three times as many, and by a tenth of all."""
    if series is None:
        return None
    misses = 1.0 - series
    episode = latest_episode(misses, threshold=_most_misses(context, misses), gap=context.gap)
    return episode if episode is not None and context.concerns(episode) else None


def _most_misses(context: CheckContext, misses: pd.Series) -> float:
    """Above which share of misses something is wrong: each cache has its own usual share, seen before the symptom began."""
    before = misses[misses.index < context.onset] if context.onset is not None else misses
    usual = float(before.median()) if len(before) >= _ENOUGH_SAMPLES else float(misses.min())
    return _limit(usual)


def _limit(usual: float) -> float:
    return max(_TIMES * usual, usual + _RISE)


def _summary(server: CacheServer | None, series: pd.Series | None, missing: Episode | None, answers: Answers) -> str:
    parts = []
    if missing is not None:
        before = f"before {1 - missing.baseline:.0%}" if not missing.seen_from_start else "over the whole window"
        parts.append(f"the cache answers {1 - missing.peak:.0%} of the look-ups since {format_instant(missing.onset)} ({before})")
    elif series is not None:
        parts.append(f"the cache answers {series.iloc[-1]:.0%} of the look-ups")
    elif server is not None and server.hit_ratio is not None:
        parts.append(f"Redis answers {server.hit_ratio:.0%} of the look-ups, since its start {server.hit_ratio_total:.0%}")
    if server is not None:
        memory = server.memory
        maximum = f" of {written(memory.maximum_bytes, 'bytes')} ({memory.policy})"
        share = maximum if memory.maximum_bytes else ", without a maximum"
        evicted = f", {server.evicted:.1f} keys evicted a second" if server.evicted else ""
        parts.append(f"Redis uses {written(memory.used_bytes, 'bytes')}{share}{evicted}")
    if not parts:
        reason = answers.why_missing("redis") or answers.why_missing("hit_ratio") or "no metrics"
        return f"The cache could not be looked at: {reason}."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _status(server: CacheServer | None, series: pd.Series | None, signals: tuple[Signal, ...]) -> FindingStatus:
    if any(signal.presence is Presence.PRESENT for signal in signals):
        return FindingStatus.WARNING
    return FindingStatus.UNKNOWN if server is None and series is None else FindingStatus.NORMAL


def _tables(server: CacheServer | None, answers: Answers) -> Iterator[tuple[str, Frame]]:
    if server is not None:
        yield "Redis", server_table(server)
    yield from slow_table(answers.get("slow"))
    keys, events = answers.get("keys"), answers.get("events")
    if keys is not None and len(keys):
        sampled = keys.attrs.get("sampled", 0)
        yield f"What fills it ({sampled:,} keys{'' if keys.attrs.get('complete') else ' sampled'})", keys.head(10)
    if events is not None and len(events):
        yield "What its latency monitor noticed", events


def _figure(context: CheckContext, series: pd.Series | None, summary: str) -> LineFigure | None:
    if series is None:
        return None
    lines = long({"hit ratio": series}, unit="ratio")
    least = max(0.0, 1.0 - _most_misses(context, 1.0 - series))
    limit = Threshold(least, f"clearly fewer than usual: {least:.0%}", "warning")
    return LineFigure(title=summary.partition(";")[0], unit="ratio", frame=lines, thresholds=(limit,))


def _notes(context: CheckContext, server: CacheServer | None, answers: Answers, misses: Signal) -> Iterator[str]:
    yield from notes_of(server)
    if server is not None and server.emptied and misses.presence is Presence.PRESENT:
        times = "once" if server.emptied == 1 else f"{server.emptied:,} times"
        counted = f"{context.service.connections.redis_cli} info commandstats | grep flush"
        yield f"Redis was emptied {times} since it started ({counted}): whoever does so again undoes what is warmed."
    if server is not None and server.memory.full and (keys := answers.get("keys")) is not None and len(keys):
        first = keys.iloc[0]
        if first["bytes_ratio"] >= _FILLS_MOST:
            yield f"Keys {first['keys']} take {first['bytes_ratio']:.0%} of the memory that was sampled: whose are they?"
    evictions = _series(answers, "evictions")
    if evictions is not None and evictions.max() > 0:
        began = evictions[evictions > 0].index[0].to_pydatetime()
        whole = "over the whole window" if began <= context.window.start else f"since {format_instant(began)}"
        yield f"Keys are thrown out to make room {whole}, up to {evictions.max():.3g} a second."
    for name in ("slow", "events", "keys"):
        answer = answers.get(name)
        yield from answer.attrs.get("notes", ()) if answer is not None else ()


def _miss_signal(series: pd.Series | None, missing: Episode | None, server: CacheServer | None, answers: Answers) -> Signal:
    name = "cache_misses_high"
    if series is None:
        return _by_server(name, server, answers.why_missing("hit_ratio"))
    if missing is None:
        return Signal(name=name, presence=Presence.ABSENT, text=f"the cache answers {series.iloc[-1]:.0%} of the look-ups")
    text = f"the cache answers {1 - missing.peak:.0%} of the look-ups, before {1 - missing.baseline:.0%}"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=_dated(missing), value=1 - missing.peak, unit="ratio")


def _by_server(name: str, server: CacheServer | None, reason: str) -> Signal:
    """Without a history, Redis' own counters: now against all the time since it was started. When it began is not known then."""
    now, usual = (server.hit_ratio, server.hit_ratio_total) if server is not None else (None, None)
    if now is None or usual is None:
        reason = reason or "the service exports no measure cache_hit_ratio"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the hit ratio over time is not known: {reason}")
    text = f"Redis answers {now:.0%} of the look-ups now, since its start {usual:.0%}"
    if 1 - now > _limit(1 - usual):
        return Signal(name=name, presence=Presence.PRESENT, text=text, value=now, unit="ratio")
    # A server that was started when the trouble began has known nothing better.
    presence = Presence.ABSENT if 1 - now <= _RISE else Presence.UNKNOWN
    return Signal(name=name, presence=presence, text=text, value=now, unit="ratio")


def _dated(missing: Episode) -> datetime | None:
    return None if missing.seen_from_start else missing.onset
