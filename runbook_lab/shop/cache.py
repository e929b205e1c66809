"""The shop's cache in Redis: four commands over its wire protocol.

A client library would add 20 MB and a quarter of a second to each replica, for these commands of five lines each.
"""

from __future__ import annotations

import logging
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from prometheus_client import CollectorRegistry, Counter

from runbook_lab.hosts import resolve

_log = logging.getLogger("shop.cache")

_TIMEOUT_SECONDS = 0.5
_TELL_EVERY_SECONDS = 1.0
Reply = bytes | int | list["Reply"] | None
Connection = tuple[socket.socket, BinaryIO]


class CacheError(Exception):
    """Redis cannot be reached, or answers with an error."""


class Redis:
    """A connection for each command that is under way, made when it is needed and kept until it breaks."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._idle: deque[Connection] = deque()

    def command(self, *words: str | bytes | int) -> Reply:
        """Send a command and give its reply. Raises CacheError."""
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        request = b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
        try:
            with self._connection() as (sending, receiving):
                sending.sendall(request)
                return _reply(receiving)
        except (OSError, ValueError) as error:
            raise CacheError(f"redis at {self._address[0]}:{self._address[1]}: {error or type(error).__name__}") from error

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        except (OSError, ValueError):
            for part in reversed(connection):
                part.close()
            raise
        except CacheError:  # an answer all the same
            self._idle.append(connection)
            raise
        self._idle.append(connection)

    def _connect(self) -> Connection:
        host, port = self._address
        connected = socket.create_connection((resolve(host), port), timeout=_TIMEOUT_SECONDS)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected, connected.makefile("rb")


def _reply(receiving: BinaryIO) -> Reply:
    line = receiving.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("connection closed by the server")
    kind, rest = line[:1], line[1:-2]
    if kind == b"+":
        return rest
    if kind == b"-":
        raise CacheError(rest.decode(errors="replace"))
    if kind == b":":
        return int(rest)
    if kind == b"$":
        length = int(rest)
        return None if length < 0 else receiving.read(length + 2)[:-2]
    if kind == b"*":
        return [_reply(receiving) for _ in range(int(rest))]
    raise ValueError(f"not the Redis protocol: {line[:20]!r}")


class Cache:
    """Keeps bytes for a while. A cache that is down is a cache that misses: requests go on, and a line now and then tells."""

    def __init__(self, redis: Redis, *, registry: CollectorRegistry) -> None:
        self._redis = redis
        self._hits = Counter("cache_hits", "Look-ups that the cache answered.", registry=registry)
        self._misses = Counter("cache_misses", "Look-ups that it did not.", registry=registry)
        self._told = 0.0
        self._errors = Counter("cache_errors", "Look-ups and writes that failed.", registry=registry)

    def get(self, key: str) -> bytes | None:
        """Give what is kept under a key, None when there is nothing or nobody to ask."""
        try:
            found = self._redis.command("GET", key)
        except CacheError as error:
            self._failed(error)
            found = None
        (self._misses if found is None else self._hits).inc()
        return found if isinstance(found, bytes) else None

    def put(self, key: str, value: bytes, *, seconds: int) -> bool:
        """Keep a value for so long, and tell whether that could be done."""
        try:
            self._redis.command("SET", key, value, "EX", seconds)
        except CacheError as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: CacheError) -> None:
        self._errors.inc()
        if time.monotonic() - self._told > _TELL_EVERY_SECONDS:
            self._told = time.monotonic()
            _log.warning("cache unavailable: %s", error)
