"""Redis, read by INFO."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import SourceAnswerInvalid, SourceError
from runbook_lib.models.finding import SourceStatus
from runbook_lib.service.models import RedisConnection
from runbook_lib.sources.redis_session import NAME, RedisSessions

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisCache"]


class RedisCache:
    """One Redis; see `Cache` in interface.py. Every call opens a connection and closes it."""

    name = NAME

    def __init__(self, connection: RedisConnection) -> None:
        self._sessions = RedisSessions(connection)

    def info(self) -> Mapping[str, Any]:
        """INFO as one flat mapping, and `ping_seconds`: the round trip of a PING on an open connection."""
        return self._ask()

    def traffic(self, *, every_seconds: float = 1.5) -> Mapping[str, Any]:
        """INFO twice, and what its counters have risen by in between; a server that was restarted meanwhile counts as nothing."""
        before, began = self._ask(), time.monotonic()
        time.sleep(every_seconds)
        now, seconds = self._ask(), time.monotonic() - began
        counters = {"hits": "keyspace_hits", "misses": "keyspace_misses", "evicted": "evicted_keys"}
        rates = {
            f"{name}_per_second": max(0.0, float(now.get(key) or 0) - float(before.get(key) or 0)) / seconds
            for name, key in counters.items()
        }
        return {**now, **rates}

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

    def _ask(self) -> Mapping[str, Any]:
        return self._sessions.run(_information)


def _information(client: Redis) -> Mapping[str, Any]:
    client.ping()
    started = time.monotonic()
    client.ping()
    seconds = time.monotonic() - started
    info: Mapping[str, Any] = client.info()
    if "redis_version" not in info:  # what follows Redis (Valkey, KeyDB, Dragonfly) says it too
        raise SourceAnswerInvalid(NAME, "something else than Redis answers: INFO names no redis_version")
    return {**info, "ping_seconds": seconds}
