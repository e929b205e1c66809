"""INFO of a Redis, and the round trips of PINGs beside it; neither is lost for the other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import SourceAnswerInvalid
from runbook_lib.importing import importing
from runbook_lib.sources.redis_looks import setting
from runbook_lib.sources.redis_session import NAME

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["information"]

_PINGS = 5


def information(client: Redis) -> Mapping[str, Any]:
    """See `Cache.info`. Raises SourceAnswerInvalid for what is no Redis."""
    pinged = _pings(client)
    info: Mapping[str, Any] = client.info()
    if "redis_version" not in info:  # what follows Redis (Valkey, KeyDB, Dragonfly) says it too
        raise SourceAnswerInvalid(NAME, "something else than Redis answers: INFO names no redis_version")
    return {**info, **pinged, **(_stops_writes(client) if info.get("rdb_last_bgsave_status") == "err" else {})}


def _stops_writes(client: Redis) -> Mapping[str, Any]:
    """Whether a snapshot that failed keeps everybody from writing: not where none is made by itself."""
    stops, saves = setting(client, "stop-writes-on-bgsave-error"), setting(client, "save")
    return {} if stops is None or saves is None else {"stops_writes": int(stops == "yes" and bool(saves.strip()))}


def _pings(client: Redis) -> Mapping[str, Any]:
    """A Redis that cannot save refuses PING and answers INFO; and a user may be allowed the one and not the other."""
    with importing("redis"):
        import redis

    try:
        client.ping()
        seconds = sorted(_ping(client) for _ in range(_PINGS))
    except (redis.ResponseError, redis.BusyLoadingError) as error:
        return {"ping_refused": str(error)}
    return {"ping_seconds": seconds[_PINGS // 2], "ping_seconds_maximum": seconds[-1]}


def _ping(client: Redis) -> float:
    started = time.monotonic()
    client.ping()
    return time.monotonic() - started
