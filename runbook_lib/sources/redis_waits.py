"""How long a Redis lets its clients wait: it serves one command at a time, and whatever keeps it from that keeps everybody."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_lib.importing import importing

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["held_like_a_write", "waits"]

_PAUSE_SECONDS = 0.05  # between PINGs: often enough to meet each pause, rarely enough to be no load
# Redis may be paused for writes alone. PFCOUNT waits as they do and changes nothing; asked of a key that is not there, it counts
# as a look-up that missed from Redis 7 on: so it is asked now and then only.
_ABSENT_KEY, _AS_A_WRITE = "runbook:absent", 10
_HELD_UP = 3.0  # an exchange needs the interpreter, which other threads may hold, three times as often as a sleep does
# The kernel's Pressure Stall Information (Linux 4.20), see https://docs.kernel.org/accounting/psi.html: microseconds.
_PRESSURE, _SOME_WAITED = Path("/proc/pressure/cpu"), re.compile(r"^some .*total=(\d+)", re.MULTILINE)


def waits(client: Redis, *, seconds: float) -> Mapping[str, float]:
    """See `Cache.waits`. A command that the client's own timeout ends has waited for so long.

    By how much the pauses between PINGs last too long shows how busy this process and its machine are: that is not Redis' doing.
    A Redis of the same machine is held up as well where processes wait for a processor, which the kernel counts.
    """
    with importing("redis"):
        import redis

    connecting, here = _connecting(client)
    crowded = _waited_for_processors() if here else None
    began = time.monotonic()
    asking: dict[str, Callable[[Redis], object]] = {"ping": _pinged, "write": held_like_a_write}
    waited: dict[str, list[float]] = {"ping": [], "write": []}
    held_up, answered, turn = 0.0, True, 0
    while answered and time.monotonic() - began < seconds:
        turn += 1
        kind = "write" if turn % _AS_A_WRITE == 2 else "ping"
        asked = time.monotonic()
        try:
            if kind in asking:
                asking[kind](client)
        except redis.TimeoutError:
            answered = False
        except (redis.ResponseError, redis.BusyLoadingError) as error:
            if not _has_waited(error):
                del asking[kind]
                if not asking:
                    raise
        if kind in asking:
            waited[kind].append(max(0.0, time.monotonic() - asked - connecting))
        if answered:
            held_up += _late_from_sleep()
    passed = max(time.monotonic() - began, 1e-3)
    everything = [*waited["ping"], *waited["write"]]
    ratio = max(0.0, sum(everything) - _HELD_UP * held_up) / passed
    return {
        "connect_seconds": connecting,
        "longest_seconds": max(everything, default=0.0),
        **({"longest_ping_seconds": max(waited["ping"])} if waited["ping"] else {}),
        "waited_ratio": min(1.0, ratio),
        "unanswered": 0.0 if answered else 1.0,
        "crowded_ratio": 0.0 if crowded is None else min(1.0, ((_waited_for_processors() or crowded) - crowded) / passed),
    }


def held_like_a_write(client: Redis) -> object:
    """Ask what Redis holds back with the writes, and what changes nothing."""
    return client.pfcount(_ABSENT_KEY)


def _pinged(client: Redis) -> object:
    return client.ping()


def _has_waited(error: Exception) -> bool:
    """Whether a refusal has waited as an answer does. Who may not ask, or asks the wrong node, is told so in spite of a pause."""
    with importing("redis"):
        import redis

    elsewhere = isinstance(error, redis.exceptions.MovedError | redis.exceptions.AskError)
    return not (elsewhere or isinstance(error, redis.exceptions.NoPermissionError) or "unknown command" in str(error).lower())


def _late_from_sleep() -> float:
    began = time.monotonic()
    time.sleep(_PAUSE_SECONDS)
    return max(0.0, time.monotonic() - began - _PAUSE_SECONDS)


def _waited_for_processors() -> float | None:
    """For how long some process of this machine has waited for a processor [s], in all; None where the kernel does not count."""
    try:
        found = _SOME_WAITED.search(_PRESSURE.read_text())
    except OSError:
        return None
    return int(found[1]) / 1e6 if found else None


def _connecting(client: Redis) -> tuple[float, bool]:
    """What the way there takes: the kernel takes connections for a server that stands still, too. And whether it leads to this
    machine. 0 and True for a socket in the file system.

    Raises redis.ConnectionError where it leads nowhere, however long it took to find out.
    """
    with importing("redis"):
        import redis

    known = client.connection_pool.connection_kwargs
    if "host" not in known:
        return 0.0, True
    began = time.monotonic()
    try:
        with socket.create_connection((known["host"], known.get("port", 6379)), timeout=known.get("socket_timeout")) as way:
            seconds = time.monotonic() - began
            return seconds, way.getsockname()[0] == way.getpeername()[0]
    except OSError as error:
        raise redis.ConnectionError(str(error) or type(error).__name__) from error
