"""Redis with the right to change its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook_lib.errors import SourceAnswerInvalid
from runbook_lib.service.models import RedisConnection
from runbook_lib.sources.redis_session import RedisSessions

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisOperator"]


class RedisOperator:
    """See `CacheOperator` in runbook_lib/actions/interface.py. Hosted Redis often has no CONFIG, and says so by an error."""

    def __init__(self, connection: RedisConnection) -> None:
        self._sessions = RedisSessions(connection)

    def setting(self, name: str) -> str:
        """CONFIG GET."""
        found = self._sessions.run(lambda client: client.config_get(name))
        if name not in found:
            raise SourceAnswerInvalid("redis", f"CONFIG GET knows no setting {name}")
        return str(found[name])

    def set(self, name: str, value: str) -> None:
        """CONFIG SET, which lasts until Redis is started again."""

        def work(client: Redis) -> None:
            client.config_set(name, value)

        self._sessions.run(work)
