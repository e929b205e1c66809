"""What a dump will cost, from the size of the process: the pause, the file, and the memory that it takes besides.

Measured on two cores with heaps of 30 to 250 MB full of small objects, the worst case there is (Node.js 20, OpenJDK 17). The heap
itself is not known from outside; the process's resident memory is a little more than it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Estimate", "Way", "estimate"]

Way = Literal["jcmd", "jmap", "histogram", "inspector", "signal", "endpoint"]

_MEBIBYTE = 1024 * 1024
_TOOL_BYTES = 64 * _MEBIBYTE  # jcmd and node are processes of their own in the same container


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """pause_seconds: the process answers nobody for so long. file_bytes: how large the file gets at most. memory_bytes: what the
    container needs besides; up to memory_worst_bytes with a heap of many small objects."""

    pause_seconds: float
    file_bytes: int
    memory_bytes: int
    memory_worst_bytes: int


def estimate(way: Way, resident_bytes: int) -> Estimate:
    """What a dump this way costs a process of this size."""
    mebibytes = resident_bytes / _MEBIBYTE
    if way in ("inspector", "signal"):
        tool = _TOOL_BYTES if way == "inspector" else 0
        # Node's manual says that a snapshot takes the heap again; 8 to 9 times of it were seen, which is 7 to 8 of the process.
        return Estimate(
            pause_seconds=0.2 * mebibytes,
            file_bytes=2 * resident_bytes,
            memory_bytes=resident_bytes + tool,
            memory_worst_bytes=8 * resident_bytes + tool,
        )
    if way == "histogram":
        return Estimate(
            pause_seconds=0.5 + 0.003 * mebibytes,
            file_bytes=4 * _MEBIBYTE,
            memory_bytes=_TOOL_BYTES,
            memory_worst_bytes=_TOOL_BYTES,
        )
    if way == "endpoint":
        return Estimate(pause_seconds=0.5 + 0.01 * mebibytes, file_bytes=2 * resident_bytes, memory_bytes=0, memory_worst_bytes=0)
    return Estimate(
        pause_seconds=0.5 + 0.01 * mebibytes,
        file_bytes=int(1.5 * resident_bytes),
        memory_bytes=_TOOL_BYTES,
        memory_worst_bytes=_TOOL_BYTES,
    )
