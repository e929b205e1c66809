"""Where this process has allocated what it still holds, for whoever looks for a leak: traced only while somebody asks for it."""

from __future__ import annotations

import tracemalloc
from typing import Any

_MOST_SITES = 500


def start() -> dict[str, Any]:
    """Begin to trace. It makes every allocation slower, and needs memory of its own: not for every day."""
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    return {"tracing": True}


def stop() -> dict[str, Any]:
    """End the tracing, and forget what was traced."""
    tracemalloc.stop()
    return {"tracing": False}


def sites() -> dict[str, Any]:
    """The lines of code that hold most, the largest first."""
    if not tracemalloc.is_tracing():
        return {"tracing": False, "sites": []}
    statistics = tracemalloc.take_snapshot().statistics("lineno")[:_MOST_SITES]
    return {
        "tracing": True,
        "sites": [
            {"file": one.traceback[0].filename, "line": one.traceback[0].lineno, "bytes": one.size, "blocks": one.count}
            for one in statistics
        ],
    }
