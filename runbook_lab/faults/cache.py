"""cache_miss: what orders keeps in Redis is no longer there, in several ways. Each miss waits for the carriers' timetables.

What is gone is gone: the intensity changes only how large the other tenant's keys are.
"""

from __future__ import annotations

import random

from runbook_lab.faults.declaration import FillRedis, Patch, RedisCommand, RestartRollout, Step

_CONFIG_MAP, _SETTING = "orders-config", "DELIVERY_CACHE_SECONDS"
_TENANTS = ("reports", "sessions", "recommender", "search")
_LEAST_BYTES, _MORE_BYTES = 8 * 1024, 24 * 1024
_DAY_SECONDS = 86_400
# A day written in days or in hours, and what somebody left after looking into stale dates.
_LIFETIMES = ("1", "5", "24")
Drawn = tuple[str, tuple[Step, ...]]


def draw_full(chance: random.Random, intensity: float) -> Drawn:
    """Another tenant empties Redis, and fills it up to its maximum: nothing new is kept, since nothing is evicted."""
    tenant, seconds = chance.choice(_TENANTS), chance.choice((None, 7 * _DAY_SECONDS))
    value_bytes = int(_LEAST_BYTES + _MORE_BYTES * intensity)
    expiry = "that expire in a week" if seconds else "without expiry"
    text = f"an import of {tenant} flushes Redis and fills it with keys of {value_bytes / 1024:.0f} KiB {expiry}"
    return text, (RedisCommand(("FLUSHALL",)), FillRedis(tenant, value_bytes, seconds))


def draw_flushed(_: random.Random, __: float) -> Drawn:
    """All that is kept is thrown away, and comes back one customer after the other."""
    return "somebody flushes Redis", (RedisCommand(("FLUSHALL", "ASYNC")),)


def draw_ttl(chance: random.Random, _: float) -> Drawn:
    """Entries expire before anybody asks for them again: an edit of the config map, and the pods start anew."""
    seconds = chance.choice(_LIFETIMES)
    edit = Patch("ConfigMap", _CONFIG_MAP, {"data": {_SETTING: seconds}})
    return f"an edit of orders-config lets entries of the cache live for {seconds} s, not for a day", (
        edit,
        RestartRollout("orders"),
    )
