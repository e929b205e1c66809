"""The memory of a service: a ceiling for requests, as `-Xmx` sets one, and what is kept, rightly or for too long."""

from __future__ import annotations

import math
import mmap
import os
import threading
import time
from collections import deque
from pathlib import Path

from runbook_lab.shop.conditions import Conditions

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CEILING_RATIO = 0.92
_STEP_SECONDS = 0.25
# At the ceiling most requests fail before they can add to what is kept; the rest of the process goes on growing, more slowly.
_GROWTH_AT_CEILING = 0.1
# What a customer's session holds, and for how long after each request: memory follows the load.
_SESSION_BYTES, _SESSION_SECONDS = 128 * 1024, 8.0
_SESSION = b"\x01" * _SESSION_BYTES
# A cache fills fast at first, then with what is seldom asked for.
_CACHE_SECONDS = 12.0


def resident_bytes() -> int:
    """Give the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


class Memory:
    """Lets requests allocate below a share of the container's limit; above it they get MemoryError, as a full heap gives.

    The kernel kills at the limit itself. What lies between is what a runtime needs besides its heap.
    """

    def __init__(self, limit_bytes: int | None) -> None:
        self._ceiling_bytes = _CEILING_RATIO * limit_bytes if limit_bytes else None
        self._kept: list[bytes] = []
        self._sessions: deque[tuple[float, mmap.mmap]] = deque()
        self._lock = threading.Lock()
        self._conditions = Conditions()
        self._growing = threading.Event()

    def allocate(self, amount_bytes: int) -> bytearray:
        """Give a buffer for a request, whose session is held for a while. Raises MemoryError when the heap is full."""
        if self._is_full(amount_bytes):
            raise MemoryError(f"cannot allocate {amount_bytes} bytes: the heap is full")
        now = time.monotonic()
        with self._lock:
            self._sessions.append((now + _SESSION_SECONDS, _session()))
            while self._sessions[0][0] < now:
                self._sessions.popleft()[1].close()
        return bytearray(amount_bytes)

    def adapt(self, conditions: Conditions) -> None:
        """Keep as much as the conditions say. What has been kept stays, as it does in a leak."""
        self._conditions = conditions
        grows = bool(conditions.leaked_bytes_per_second or conditions.cached_bytes)
        if grows and not self._growing.is_set():
            self._growing.set()
            threading.Thread(target=self._grow, name="buffers", daemon=True).start()
        elif not grows:
            self._growing.clear()

    def _grow(self) -> None:
        waiting, cached = threading.Event(), 0.0
        while self._growing.is_set():
            now = self._conditions
            bounded = self._is_full(0) and not now.outside_heap
            leaked = now.leaked_bytes_per_second * _STEP_SECONDS * (_GROWTH_AT_CEILING if bounded else 1.0)
            more = (now.cached_bytes - cached) * (1 - math.exp(-_STEP_SECONDS / _CACHE_SECONDS))
            cached += more
            # Not zeros: pages of zeros are not resident until somebody writes to them.
            self._kept.append(b"\x01" * int(leaked + more))
            waiting.wait(_STEP_SECONDS)

    def _is_full(self, more_bytes: int) -> bool:
        return self._ceiling_bytes is not None and resident_bytes() + more_bytes > self._ceiling_bytes


def _session() -> mmap.mmap:
    """Pages of their own, which go back to the kernel at once: what malloc frees stays with the process."""
    pages = mmap.mmap(-1, _SESSION_BYTES)
    pages.write(_SESSION)
    return pages
