"""The memory of a service: a ceiling for what requests may allocate, as `-Xmx` sets one, and what is kept for too long."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from runbook_lab.shop.conditions import Conditions

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CEILING_RATIO = 0.92
_STEP_SECONDS = 0.25
# At the ceiling most requests fail before they can add to what is kept; the rest of the process goes on growing, more slowly.
_GROWTH_AT_CEILING = 0.1


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
        self._growth = 0.0
        self._growing = threading.Event()

    def allocate(self, amount_bytes: int) -> bytearray:
        """Give a buffer for a request. Raises MemoryError when the heap is full."""
        if self._is_full(amount_bytes):
            raise MemoryError(f"cannot allocate {amount_bytes} bytes: the heap is full")
        return bytearray(amount_bytes)

    def adapt(self, conditions: Conditions) -> None:
        """Keep as much as the conditions say. What has been kept stays, as it does in a leak."""
        self._growth = conditions.leaked_bytes_per_second
        if self._growth and not self._growing.is_set():
            self._growing.set()
            threading.Thread(target=self._grow, name="buffers", daemon=True).start()
        elif not self._growth:
            self._growing.clear()

    def _grow(self) -> None:
        waiting = threading.Event()
        while self._growing.is_set():
            share = _GROWTH_AT_CEILING if self._is_full(0) else 1.0
            # Not zeros: pages of zeros are not resident until somebody writes to them.
            self._kept.append(b"\x01" * int(self._growth * share * _STEP_SECONDS))
            waiting.wait(_STEP_SECONDS)

    def _is_full(self, more_bytes: int) -> bool:
        return self._ceiling_bytes is not None and resident_bytes() + more_bytes > self._ceiling_bytes
