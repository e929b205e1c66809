"""What a Redis says of itself: memory against its maximum, what it throws out, its clients, its round trip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.analysis.episodes import latest_episode
from runbook_lib.checks.context import CheckContext
from runbook_lib.models.cache import CacheMemory, cannot_save, number_of, replica_of
from runbook_lib.models.finding import Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written

__all__ = [
    "CacheServer", "expiry_signal", "full_signal", "lowered_signal", "notes_of", "refusing_signal",
    "replica_signal", "server_of", "server_table",
]  # fmt: skip

_FULL = 0.95
_MISSES_BY_EXPIRY = 0.3  # keys that expired, to look-ups that missed: from here on entries die before they are asked for
_FEW = 5.0  # look-ups a second: fewer say nothing of a ratio


@dataclass(frozen=True, slots=True)
class CacheServer:
    """INFO, looked at twice. replica, cannot_save: why it takes no writes, in words; empty where that is not so.
    Rates are a second, of keys or connections; hit_ratio is None with few look-ups, ping_seconds where
    PING is refused.

    emptied: how often, since the server started.
    """

    memory: CacheMemory
    hit_ratio: float | None
    hit_ratio_total: float | None
    missed: float
    emptied: int
    evicted: float
    expired: float
    rejected: float
    ping_seconds: float | None
    ping_seconds_maximum: float | None
    clients: int
    clients_maximum: int
    blocked: int
    cluster: bool
    replica: str
    cannot_save: str


def server_of(info: Mapping[str, Any] | None) -> CacheServer | None:
    """From `Cache.traffic`. What a server leaves out counts as zero; None without an answer."""
    if info is None:
        return None
    hits, misses = number_of(info, "hits_per_second"), number_of(info, "misses_per_second")
    total = number_of(info, "keyspace_hits") + number_of(info, "keyspace_misses")
    return CacheServer(
        memory=CacheMemory.of(info),
        hit_ratio=hits / (hits + misses) if hits + misses >= _FEW else None,
        hit_ratio_total=number_of(info, "keyspace_hits") / total if total else None,
        missed=misses,
        emptied=int(number_of(info, "emptied")),
        evicted=number_of(info, "evicted_per_second"),
        expired=number_of(info, "expired_per_second"),
        rejected=number_of(info, "rejected_per_second"),
        ping_seconds=number_of(info, "ping_seconds") if "ping_seconds" in info else None,
        ping_seconds_maximum=number_of(info, "ping_seconds_maximum") if "ping_seconds" in info else None,
        clients=int(number_of(info, "connected_clients")),
        clients_maximum=int(number_of(info, "maxclients")),
        blocked=int(number_of(info, "blocked_clients")),
        cluster=bool(number_of(info, "cluster_enabled")) or info.get("redis_mode") == "cluster",
        replica=replica_of(info),
        cannot_save=cannot_save(info),
    )


def server_table(server: CacheServer) -> Frame:
    """All of it, as a person reads it."""
    few = "too few look-ups to tell"
    rows: list[tuple[str, str]] = [
        ("hit ratio now", written(server.hit_ratio, "ratio") if server.hit_ratio is not None else few),
        ("hit ratio since the server started", written(server.hit_ratio_total, "ratio")),
        ("evicted keys", f"{server.evicted:.1f} a second"),
        ("expired keys", f"{server.expired:.1f} a second"),
        ("memory", written(server.memory.used_bytes, "bytes")),
        ("maxmemory", written(server.memory.maximum_bytes, "bytes") if server.memory.maximum_bytes else "none"),
        ("maxmemory-policy", server.memory.policy or "not told"),
        ("emptied (FLUSHALL, FLUSHDB)", f"{server.emptied:,} times since the server started"),
        ("keys", f"{server.memory.keys:,}, of which {server.memory.with_expiry:,} expire"),
        ("round trip", _round_trip(server)),
        ("clients", f"{server.clients:,} of {server.clients_maximum:,}" if server.clients_maximum else f"{server.clients:,}"),
        ("clients that wait (BLPOP and the like)", f"{server.blocked:,}"),
        ("connections that were refused", f"{server.rejected:.1f} a second"),
    ]
    return frame(rows, columns=["measure", "now"])


def _round_trip(server: CacheServer) -> str:
    if server.ping_seconds is None:
        return "not known: PING is refused"
    return f"{written(server.ping_seconds, 'seconds')} (the longest {written(server.ping_seconds_maximum, 'seconds')})"


def notes_of(server: CacheServer | None) -> Iterator[str]:
    """What is to be known about it before it is changed."""
    if server is None:
        return
    if server.memory.refuses_writes:
        why = "noeviction" if server.memory.policy == "noeviction" else f"{server.memory.policy}, and no key expires"
        yield f"Redis is full and evicts nothing ({why}): it refuses every write, so that nothing new is cached."
    elif server.memory.full:
        yield "Redis is full: it throws out keys to keep others. More memory, or fewer and smaller entries, is what helps."
    if server.clients_maximum and server.clients >= _FULL * server.clients_maximum:
        yield f"{server.clients:,} of {server.clients_maximum:,} connections are taken: Redis refuses those that come."
    if server.cluster:
        yield "This is one node of a Redis Cluster: memory, keys and slow commands are this node's; the others may differ."
    if server.replica:
        yield "This is a replica: what is evicted and written is decided by its primary."


def full_signal(context: CheckContext, server: CacheServer | None, memory: pd.Series | None, why_unknown: str) -> Signal:
    """Whether memory is at its maximum; since when, where its history is in Prometheus."""
    name, full = "cache_full", server.memory.full if server is not None else None
    episode = None
    if memory is not None and len(memory):
        episode = latest_episode(memory, threshold=_FULL, gap=context.gap)
        episode = episode if episode is not None and context.concerns(episode) else None
        full = episode is not None if full is None else full
    if full is None:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the cache's memory is not known: {why_unknown}")
    if server is None:
        text = f"the cache used up to {float(memory.max()):.0%} of its memory" if memory is not None else ""
    elif not server.memory.maximum_bytes:
        text = "Redis has no maximum of memory"
    else:
        used, maximum = written(server.memory.used_bytes, "bytes"), written(server.memory.maximum_bytes, "bytes")
        text = f"Redis uses {used} of {maximum} ({server.memory.policy})"
    if not full:
        return Signal(name=name, presence=Presence.ABSENT, text=text)
    since: datetime | None = episode.onset if episode is not None and not episode.seen_from_start else None
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, subject="redis")


def refusing_signal(server: CacheServer | None, misses: Signal, why_unknown: str) -> Signal:
    """Whether nothing new can be kept: it is full and evicts nothing, it cannot save, or it is a replica that look-ups miss."""
    name = "cache_refuses_writes"
    if server is None:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether the cache takes writes is not known: {why_unknown}")
    why = []
    if server.memory.refuses_writes:
        why.append(f"Redis is full and evicts nothing ({server.memory.policy})")
    if server.cannot_save:
        why.append(f"Redis cannot save, and refuses every write until it can ({server.cannot_save})")
    if server.replica and misses.presence is Presence.PRESENT:
        why.append(_takes_none(server))
    if why:
        return Signal(name=name, presence=Presence.PRESENT, text="; ".join(why))
    return Signal(
        name=name, presence=Presence.ABSENT, text=f"Redis has room, or makes it ({server.memory.policy or 'policy not told'})"
    )


def replica_signal(server: CacheServer | None, misses: Signal, why_unknown: str) -> Signal:
    """Whether look-ups miss in a replica, which nobody can fill. One that answers them may be read from on purpose."""
    name = "cache_is_replica"
    if server is None:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether the cache is a replica is not known: {why_unknown}")
    if not server.replica:
        return Signal(name=name, presence=Presence.ABSENT, text="Redis is no replica")
    missed = misses.presence is Presence.PRESENT
    text = _takes_none(server) if missed else f"Redis is {server.replica}, and is not seen to miss more look-ups for it"
    return Signal(name=name, presence=Presence.PRESENT if missed else Presence.ABSENT, text=text)


def _takes_none(server: CacheServer) -> str:
    return f"Redis is {server.replica}: a replica takes no writes"


def lowered_signal(server: CacheServer | None, why_unknown: str) -> Signal:
    """Whether it is full because its maximum was lowered: then no policy makes the room that it had."""
    name = "cache_limit_lowered"
    if server is None:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the cache's memory is not known: {why_unknown}")
    peak, maximum = written(server.memory.peak_bytes, "bytes"), written(server.memory.maximum_bytes, "bytes")
    if server.memory.full and server.memory.lowered:
        return Signal(name=name, presence=Presence.PRESENT, text=f"Redis has used {peak}, and may now use {maximum} only")
    return Signal(name=name, presence=Presence.ABSENT, text="the maximum of the cache's memory is not below what it has used")


def expiry_signal(server: CacheServer | None, misses: Signal, why_unknown: str) -> Signal:
    """Whether look-ups miss since entries expire before they are asked for again. Without too many misses it means nothing."""
    name = "cache_expires_early"
    if server is None:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"how many keys expire is not known: {why_unknown}")
    text = f"{server.expired:.3g} keys expire a second, and {server.missed:.3g} look-ups miss"
    early = misses.presence is Presence.PRESENT and server.missed >= _FEW and server.expired >= _MISSES_BY_EXPIRY * server.missed
    return Signal(name=name, presence=Presence.PRESENT if early else Presence.ABSENT, text=text)
