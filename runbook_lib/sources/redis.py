"""Redis, read by INFO."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from runbook_lib.errors import (
    ConfigurationError,
    SourceAnswerInvalid,
    SourceError,
    SourceNotConfigured,
    SourceRefused,
    SourceTimeout,
    SourceUnreachable,
)
from runbook_lib.models.finding import SourceStatus
from runbook_lib.service.models import RedisConnection
from runbook_lib.sources.deadline import Deadline, DeadlineError, within

__all__ = ["RedisCache"]

_NAME = "redis"


class RedisCache:
    """One Redis; see `Cache` in interface.py. Every call opens a connection and closes it."""

    name = _NAME

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

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
        import redis

        seconds = self._connection.timeout_seconds
        try:
            return within(Deadline(seconds), self._read)
        except (DeadlineError, redis.TimeoutError) as error:
            raise SourceTimeout(_NAME, f"no answer within {seconds:g} s") from error
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise SourceRefused(_NAME, f"{error}; see connections.redis") from error
        except redis.ConnectionError as error:
            raise SourceUnreachable(_NAME, f"no connection: {error}") from error
        except (redis.RedisError, ValueError, TypeError, AttributeError, LookupError) as error:  # the client believes its server
            raise SourceAnswerInvalid(_NAME, f"{type(error).__name__}: {error}") from error

    def _read(self) -> Mapping[str, Any]:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        settings = self._connection
        try:
            url = settings.url.resolve()
            password = settings.password.resolve() if settings.password else None
        except ConfigurationError as error:
            raise SourceNotConfigured(_NAME, str(error)) from error
        credentials = {name: value for name, value in (("username", settings.username), ("password", password)) if value}
        with redis.Redis.from_url(
            url,
            socket_timeout=settings.timeout_seconds,
            socket_connect_timeout=settings.timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # INFO needs no more, and servers before 6.0, proxies and narrow permissions have no HELLO
            decode_responses=True,
            **credentials,
        ) as client:
            client.ping()
            started = time.monotonic()
            client.ping()
            seconds = time.monotonic() - started
            info = client.info()
        if "redis_version" not in info:  # what follows Redis (Valkey, KeyDB, Dragonfly) says it too
            raise SourceAnswerInvalid(_NAME, "something else than Redis answers: INFO names no redis_version")
        return {**info, "ping_seconds": seconds}
