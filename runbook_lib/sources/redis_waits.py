"""How long a Redis lets its clients wait: it serves one command at a time, and whatever keeps it from that keeps everybody."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runbook_lib.importing import importing

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["waits"]

_PAUSE_SECONDS = 0.05  # between PINGs: often enough to meet each pause, rarely enough to be no load
_HELD_UP = 3.0  # an exchange needs the interpreter, which other threads may hold, three times as often as a sleep does


def waits(client: Redis, *, seconds: float) -> Mapping[str, float]:
    """See `Cache.waits`. A PING that the client's own timeout ends has waited for so long.

    By how much the pauses between PINGs last too long shows how busy this process and its machine are: that is not Redis' doing.
    """
    with importing("redis"):
        import redis

    connecting = _connecting(client)
    began = time.monotonic()
    waited, held_up, answered = [], 0.0, True
    while answered and time.monotonic() - began < seconds:
        asked = time.monotonic()
        try:
            client.ping()
        except redis.TimeoutError:
            answered = False
        waited.append(max(0.0, time.monotonic() - asked - connecting))
        if answered:
            held_up += _late_from_sleep()
    passed = max(time.monotonic() - began, 1e-3)
    ratio = max(0.0, sum(waited) - _HELD_UP * held_up) / passed
    return {"connect_seconds": connecting, "longest_seconds": max(waited, default=0.0), "waited_ratio": min(1.0, ratio)}


def _late_from_sleep() -> float:
    began = time.monotonic()
    time.sleep(_PAUSE_SECONDS)
    return max(0.0, time.monotonic() - began - _PAUSE_SECONDS)


def _connecting(client: Redis) -> float:
    """What the way there takes: the kernel takes connections for a server that stands still, too. 0 for a socket of this machine.

    Raises redis.ConnectionError where it leads nowhere, however long it took to find out.
    """
    with importing("redis"):
        import redis

    known = client.connection_pool.connection_kwargs
    if "host" not in known:
        return 0.0
    began = time.monotonic()
    try:
        socket.create_connection((known["host"], known.get("port", 6379)), timeout=known.get("socket_timeout")).close()
    except OSError as error:
        raise redis.ConnectionError(str(error) or type(error).__name__) from error
    return time.monotonic() - began
