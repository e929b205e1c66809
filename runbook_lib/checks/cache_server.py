"""What a Redis says of itself: memory against its maximum, what it throws out, its clients, its round trip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.analysis.episodes import latest_episode
from runbook_lib.checks.context import CheckContext
from runbook_lib.models.finding import Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written

__all__ = ["CacheServer", "full_signal", "notes_of", "refusing_signal", "server_of", "server_table"]

_FULL = 0.95
_FEW = 5.0  # look-ups a second: fewer say nothing of a ratio


@dataclass(frozen=True, slots=True)
class CacheServer:
    """INFO, looked at twice. Rates are a second, of keys or connections; hit_ratio is None with few look-ups.

    with_expiry: keys that expire, of all `keys`. maximum_bytes: 0 without one. config_file: where it would keep its settings.
    """

    hit_ratio: float | None
    hit_ratio_total: float | None
    evicted: float
    expired: float
    rejected: float
    used_bytes: float
    maximum_bytes: float
    overhead_bytes: float
    policy: str
    ping_seconds: float
    ping_seconds_maximum: float
    clients: int
    clients_maximum: int
    blocked: int
    keys: int
    with_expiry: int
    cluster: bool
    replica: bool

    @property
    def full(self) -> bool:
        """Hardly any memory is left below the maximum."""
        return self.maximum_bytes > 0 and self.used_bytes >= _FULL * self.maximum_bytes

    @property
    def evicts_nothing(self) -> bool:
        """By its policy it cannot make room: it refuses writes once it is full."""
        return self.policy == "noeviction" or (self.policy.startswith("volatile-") and not self.with_expiry)

    @property
    def clients_ratio(self) -> float | None:
        """Connections, of those that it takes."""
        return self.clients / self.clients_maximum if self.clients_maximum else None


def server_of(info: Mapping[str, Any] | None) -> CacheServer | None:
    """From `Cache.traffic`. What a server leaves out counts as zero; None without an answer."""
    if info is None:
        return None
    hits, misses = _number(info, "hits_per_second"), _number(info, "misses_per_second")
    total = _number(info, "keyspace_hits") + _number(info, "keyspace_misses")
    databases = [value for name, value in info.items() if name.startswith("db") and isinstance(value, Mapping)]
    return CacheServer(
        hit_ratio=hits / (hits + misses) if hits + misses >= _FEW else None,
        hit_ratio_total=_number(info, "keyspace_hits") / total if total else None,
        evicted=_number(info, "evicted_per_second"),
        expired=_number(info, "expired_per_second"),
        rejected=_number(info, "rejected_per_second"),
        used_bytes=_number(info, "used_memory"),
        maximum_bytes=_number(info, "maxmemory"),
        overhead_bytes=_number(info, "used_memory_startup"),
        policy=str(info.get("maxmemory_policy") or ""),
        ping_seconds=_number(info, "ping_seconds"),
        ping_seconds_maximum=_number(info, "ping_seconds_maximum"),
        clients=int(_number(info, "connected_clients")),
        clients_maximum=int(_number(info, "maxclients")),
        blocked=int(_number(info, "blocked_clients")),
        keys=int(sum(_number(one, "keys") for one in databases)),
        with_expiry=int(sum(_number(one, "expires") for one in databases)),
        cluster=bool(_number(info, "cluster_enabled")) or info.get("redis_mode") == "cluster",
        replica=info.get("role") == "slave",
    )


def _number(info: Mapping[str, Any], key: str) -> float:
    try:
        return float(info.get(key) or 0.0)
    except (TypeError, ValueError):
        return 0.0


def server_table(server: CacheServer) -> Frame:
    """All of it, as a person reads it."""
    few = "too few look-ups to tell"
    rows: list[tuple[str, str]] = [
        ("hit ratio now", written(server.hit_ratio, "ratio") if server.hit_ratio is not None else few),
        ("hit ratio since the server started", written(server.hit_ratio_total, "ratio")),
        ("evicted keys", f"{server.evicted:.1f} a second"),
        ("expired keys", f"{server.expired:.1f} a second"),
        ("memory", written(server.used_bytes, "bytes")),
        ("maxmemory", written(server.maximum_bytes, "bytes") if server.maximum_bytes else "none"),
        ("maxmemory-policy", server.policy or "not told"),
        ("keys", f"{server.keys:,}, of which {server.with_expiry:,} expire"),
        (
            "round trip",
            f"{written(server.ping_seconds, 'seconds')} (the longest {written(server.ping_seconds_maximum, 'seconds')})",
        ),
        ("clients", f"{server.clients:,} of {server.clients_maximum:,}" if server.clients_maximum else f"{server.clients:,}"),
        ("clients that wait (BLPOP and the like)", f"{server.blocked:,}"),
        ("connections that were refused", f"{server.rejected:.1f} a second"),
    ]
    return frame(rows, columns=["measure", "now"])


def notes_of(server: CacheServer | None) -> Iterator[str]:
    """What is to be known about it before it is changed."""
    if server is None:
        return
    if server.full and server.evicts_nothing:
        why = "noeviction" if server.policy == "noeviction" else f"{server.policy}, and no key expires"
        yield f"Redis is full and evicts nothing ({why}): it refuses every write, so that nothing new is cached."
    elif server.full:
        yield "Redis is full: it throws out keys to keep others. More memory, or fewer and smaller entries, is what helps."
    if server.clients_maximum and server.clients >= _FULL * server.clients_maximum:
        yield f"{server.clients:,} of {server.clients_maximum:,} connections are taken: Redis refuses those that come."
    if server.cluster:
        yield "This is one node of a Redis Cluster: memory, keys and slow commands are this node's; the others may differ."
    if server.replica:
        yield "This is a replica: what is evicted and written is decided by its primary."


def full_signal(context: CheckContext, server: CacheServer | None, memory: pd.Series | None, why_unknown: str) -> Signal:
    """Whether memory is at its maximum; since when, where its history is in Prometheus."""
    name, full = "cache_full", server.full if server is not None else None
    episode = None
    if memory is not None and len(memory):
        episode = latest_episode(memory, threshold=_FULL, gap=context.gap)
        episode = episode if episode is not None and context.concerns(episode) else None
        full = episode is not None if full is None else full
    if full is None:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the cache's memory is not known: {why_unknown}")
    if server is None:
        text = f"the cache used up to {float(memory.max()):.0%} of its memory" if memory is not None else ""
    elif not server.maximum_bytes:
        text = "Redis has no maximum of memory"
    else:
        text = f"Redis uses {written(server.used_bytes, 'bytes')} of {written(server.maximum_bytes, 'bytes')} ({server.policy})"
    if not full:
        return Signal(name=name, presence=Presence.ABSENT, text=text)
    since: datetime | None = episode.onset if episode is not None and not episode.seen_from_start else None
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, subject="redis")


def refusing_signal(server: CacheServer | None, why_unknown: str) -> Signal:
    """Whether nothing new can be kept, since it is full and evicts nothing."""
    name = "cache_refuses_writes"
    if server is None:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether the cache takes writes is not known: {why_unknown}")
    if server.full and server.evicts_nothing:
        return Signal(name=name, presence=Presence.PRESENT, text=f"Redis is full and evicts nothing ({server.policy})")
    return Signal(name=name, presence=Presence.ABSENT, text=f"Redis has room, or makes it ({server.policy or 'policy not told'})")
