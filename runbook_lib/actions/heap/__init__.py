"""Taking a heap dump: what the container offers, how it is dumped, fetched, verified and removed again."""

from __future__ import annotations

from runbook_lib.actions.heap.action import TAKE_HEAP_DUMP

__all__ = ["TAKE_HEAP_DUMP"]
