"""Connections to Redis: each for one piece of work, within its deadline, with failures in our words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from runbook_lib.deadline import Deadline, DeadlineError, within
from runbook_lib.errors import (
    ConfigurationError,
    SourceAnswerInvalid,
    SourceRefused,
    SourceTimeout,
    SourceUnreachable,
)
from runbook_lib.importing import importing
from runbook_lib.service.models import RedisConnection

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["NAME", "RedisSessions"]

NAME = "redis"
_Result = TypeVar("_Result")


class RedisSessions:
    """Runs work on a connection of its own, within the connection's timeout, and tells what went wrong in our words."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    @property
    def timeout_seconds(self) -> float:
        """How long one piece of work may take."""
        return self._connection.timeout_seconds

    def run(self, work: Callable[[Redis], _Result], *, answer_seconds: float | None = None) -> _Result:
        """Raises SourceError. answer_seconds: how long the client waits for one answer; None: as long as for the whole work."""
        with importing("redis"):
            import redis

        seconds = self._connection.timeout_seconds
        try:
            return within(Deadline(seconds), lambda: self._connected(work, answer_seconds or seconds))
        except (DeadlineError, redis.TimeoutError) as error:
            raise SourceTimeout(NAME, f"no answer within {seconds:.3g} s") from error
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise SourceRefused(NAME, f"{error}; see connections.redis") from error
        except redis.ConnectionError as error:
            raise SourceUnreachable(NAME, f"no connection: {error}") from error
        except (redis.RedisError, ValueError, TypeError, AttributeError, LookupError) as error:  # the client believes its server
            raise SourceAnswerInvalid(NAME, f"{type(error).__name__}: {error}") from error

    def _connected(self, work: Callable[[Redis], _Result], answer_seconds: float) -> _Result:
        with importing("redis"):
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry

        settings = self._connection
        try:
            url = settings.url.resolve()
            password = settings.password.resolve() if settings.password else None
        except ConfigurationError as error:
            raise SourceUnreachable(NAME, str(error)) from error
        credentials = {name: value for name, value in (("username", settings.username), ("password", password)) if value}
        with redis.Redis.from_url(
            url,
            socket_timeout=answer_seconds,
            socket_connect_timeout=settings.timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # INFO needs no more, and servers before 6.0, proxies and narrow permissions have no HELLO
            decode_responses=True,
            encoding_errors="surrogateescape",  # keys may hold any bytes, and are sent back as they came
            **credentials,
        ) as client:
            return work(client)
