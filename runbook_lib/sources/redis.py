"""Redis, read by INFO."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import SourceError
from runbook_lib.models.finding import SourceStatus
from runbook_lib.models.frame import Frame
from runbook_lib.service.models import RedisConnection
from runbook_lib.sources.redis_information import information
from runbook_lib.sources.redis_looks import key_sample, latency_events, slow_log
from runbook_lib.sources.redis_session import NAME, RedisSessions
from runbook_lib.sources.redis_waits import waits

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisCache"]

_COUNTERS = {
    "hits": "keyspace_hits",
    "misses": "keyspace_misses",
    "evicted": "evicted_keys",
    "expired": "expired_keys",
    "rejected": "rejected_connections",
}
# Of the time for one piece of work: for how long PINGs are sent, and after which one counts as not answered. Less than all.
_SHARE_FOR_PINGS, _SHARE_FOR_ONE = 0.5, 0.4


class RedisCache:
    """One Redis; see `Cache` in interface.py. Every call opens a connection and closes it."""

    name = NAME

    def __init__(self, connection: RedisConnection) -> None:
        self._sessions = RedisSessions(connection)

    def info(self) -> Mapping[str, Any]:
        """INFO as one flat mapping, and the round trips of PINGs on the same connection."""
        return self._ask()

    def traffic(self, *, every_seconds: float = 1.5) -> Mapping[str, Any]:
        """INFO twice, and what its counters have risen by in between; a server that was restarted meanwhile counts as nothing.

        `emptied`: how often FLUSHALL and FLUSHDB were called since the server started, where it counts commands.
        """
        before, began = self._ask(), time.monotonic()
        time.sleep(every_seconds)
        now, seconds = self._ask(), time.monotonic() - began
        rates = {
            f"{name}_per_second": max(0.0, float(now.get(key) or 0) - float(before.get(key) or 0)) / seconds
            for name, key in _COUNTERS.items()
        }
        return {**now, **rates, **self._emptied()}

    def slow_log(self, *, limit: int = 128) -> Frame:
        """SLOWLOG GET, without the arguments."""
        return self._sessions.run(lambda client: slow_log(client, limit=limit))

    def latency_events(self) -> Frame:
        """LATENCY LATEST."""
        return self._sessions.run(latency_events)

    def waits(self, *, again: bool = False) -> Mapping[str, float]:
        """PINGs one after the other, PFCOUNT of nothing now and then, against the time that connecting takes."""
        del again
        seconds = self._sessions.timeout_seconds
        return self._sessions.run(
            lambda client: waits(client, seconds=_SHARE_FOR_PINGS * seconds), answer_seconds=_SHARE_FOR_ONE * seconds
        )

    def key_sample(self, *, limit: int = 500) -> Frame:
        """SCAN, and MEMORY USAGE, TTL and TYPE of what it finds."""
        return self._sessions.run(lambda client: key_sample(client, limit=limit))

    def probe(self) -> SourceStatus:
        """Ask for INFO, which needs the same permission as the checks."""
        started = time.monotonic()
        try:
            self._ask()
        except SourceError as error:
            return SourceStatus(name=self.name, status=error.status, error=error.reason)
        return SourceStatus(name=self.name, status="ok", seconds=time.monotonic() - started)

    def close(self) -> None:
        """No connection outlives its call."""

    def _emptied(self) -> Mapping[str, Any]:
        try:
            return self._sessions.run(_flushes)
        except SourceError:  # it has answered INFO: it counts no commands, or does not tell
            return {}

    def _ask(self) -> Mapping[str, Any]:
        return self._sessions.run(information)


def _flushes(client: Redis) -> Mapping[str, Any]:
    counted: Mapping[str, Any] = client.info("commandstats")
    calls = [counted.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("flushall", "flushdb")]
    return {"emptied": sum(calls)} if counted else {}
