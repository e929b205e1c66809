"""Redis with the right to change its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from runbook_lib.errors import SourceAnswerInvalid, SourceRefused, SourceTimeout
from runbook_lib.models.frame import Frame
from runbook_lib.service.models import RedisConnection
from runbook_lib.sources.redis_information import information
from runbook_lib.sources.redis_looks import key_sample
from runbook_lib.sources.redis_session import NAME, RedisSessions
from runbook_lib.sources.redis_waits import held_like_a_write

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisOperator"]

_Result = TypeVar("_Result")
_SAMPLED = 500


class RedisOperator:
    """See `CacheOperator` in runbook_lib/actions/interface.py."""

    def __init__(self, connection: RedisConnection) -> None:
        self._sessions = RedisSessions(connection)

    def setting(self, name: str) -> str:
        """CONFIG GET."""
        found = self._configure(lambda client: client.config_get(name))
        if name not in found:
            raise SourceAnswerInvalid(NAME, f"CONFIG GET knows no setting {name}")
        return str(found[name])

    def set(self, name: str, value: str) -> None:
        """CONFIG SET, which lasts until Redis is started again."""

        def work(client: Redis) -> None:
            client.config_set(name, value)

        self._configure(work)

    def info(self) -> Mapping[str, Any]:
        """INFO, as the checks read it."""
        return self._sessions.run(information)

    def holds_writes(self) -> bool:
        """PFCOUNT of a key that is not there, which waits where writes are paused."""
        try:
            self._sessions.run(held_like_a_write)
        except SourceTimeout:
            return True
        return False

    def key_sample(self) -> Frame:
        """SCAN, and MEMORY USAGE, TTL and TYPE of what it finds."""
        return self._sessions.run(lambda client: key_sample(client, limit=_SAMPLED))

    def _configure(self, work: Callable[[Redis], _Result]) -> _Result:
        """A server that has no CONFIG refuses, as one does that may not be asked: neither is a broken answer."""
        try:
            return self._sessions.run(work)
        except SourceAnswerInvalid as error:
            if "unknown command" in error.reason.lower() or "unknown subcommand" in error.reason.lower():
                raise SourceRefused(NAME, "this Redis has no command CONFIG, as hosted ones have none") from error
            raise
