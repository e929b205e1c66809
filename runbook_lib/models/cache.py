"""A cache, as its server tells of itself: is its memory full, can it make room, and does it take writes?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CacheMemory", "cannot_save", "number_of", "replica_of"]

_FULL = 0.95
_LOWERED = 1.1  # buffers may take a full Redis a little above its maximum, and no further


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheMemory:
    """From Redis' INFO. maximum_bytes: 0 without one. empty_bytes: what a Redis without any key uses.

    peak_bytes: the most that it has used since it was started. with_expiry: keys that expire, of all `keys`.
    """

    used_bytes: float
    maximum_bytes: float
    empty_bytes: float
    peak_bytes: float
    policy: str
    keys: int
    with_expiry: int

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> CacheMemory:
        """What a server leaves out counts as zero."""
        databases = [value for name, value in info.items() if name.startswith("db") and isinstance(value, Mapping)]
        return cls(
            used_bytes=number_of(info, "used_memory"),
            maximum_bytes=number_of(info, "maxmemory"),
            empty_bytes=number_of(info, "used_memory_startup"),
            peak_bytes=number_of(info, "used_memory_peak"),
            policy=str(info.get("maxmemory_policy") or ""),
            keys=int(sum(number_of(one, "keys") for one in databases)),
            with_expiry=int(sum(number_of(one, "expires") for one in databases)),
        )

    @property
    def full(self) -> bool:
        """Hardly any memory is left below the maximum."""
        return self.maximum_bytes > 0 and self.used_bytes >= _FULL * self.maximum_bytes

    @property
    def lowered(self) -> bool:
        """It has held more than it may now: somebody has lowered its maximum since it was started."""
        return self.maximum_bytes > 0 and self.peak_bytes > _LOWERED * self.maximum_bytes

    @property
    def evicts_nothing(self) -> bool:
        """By its policy it cannot make room."""
        return self.policy == "noeviction" or (self.policy.startswith("volatile-") and not self.with_expiry)

    @property
    def refuses_writes(self) -> bool:
        """Nothing new can be kept: it is full, and makes no room."""
        return self.full and self.evicts_nothing


def cannot_save(info: Mapping[str, Any]) -> str:
    """Why it takes no writes, since it could not save what it holds; empty where it could, or where that stops no write.

    The rule is Redis' own: a failed snapshot counts where snapshots are made by themselves and `stop-writes-on-bgsave-error` is
    set (`stops_writes`, which is missing where it is not known), a failed write to the log of commands always.
    """
    if info.get("rdb_last_bgsave_status") == "err" and info.get("stops_writes"):
        return "rdb_last_bgsave_status is err, stop-writes-on-bgsave-error yes"
    if number_of(info, "aof_enabled") and info.get("aof_last_write_status") == "err":
        return "aof_last_write_status is err"
    return ""


def replica_of(info: Mapping[str, Any]) -> str:
    """What it says of itself where it is a replica, and so takes no writes; empty where it is none."""
    if info.get("role") != "slave":
        return ""
    host = info.get("master_host")
    down = ", to which its link is down" if info.get("master_link_status") == "down" else ""
    return f"a replica{f' of {host}' if host else ''}{down}"


def number_of(info: Mapping[str, Any], key: str) -> float:
    """A value of INFO as a number; 0 for one that is missing or is none."""
    try:
        return float(info.get(key) or 0.0)
    except (TypeError, ValueError):
        return 0.0
