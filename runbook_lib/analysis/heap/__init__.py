"""Reading heap dumps as they stream by, in bounded memory: what is in them by type, and what grew between two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from runbook_lib.analysis.heap.allocations import read_allocations
from runbook_lib.analysis.heap.growth import growth_between
from runbook_lib.analysis.heap.histogram import read_class_histogram
from runbook_lib.analysis.heap.hprof import read_hprof
from runbook_lib.analysis.heap.snapshot import read_heapsnapshot
from runbook_lib.models.heap import HeapContent, HeapFormat

__all__ = ["READERS", "growth_between"]

READERS: Mapping[HeapFormat, Callable[[Iterable[bytes]], HeapContent]] = MappingProxyType(
    {
        "heapsnapshot": read_heapsnapshot,
        "hprof": read_hprof,
        "class_histogram": read_class_histogram,
        "allocations": read_allocations,
    }
)
"""For each format the function that reads it from pieces of the file, in order. All raise HeapDumpUnreadable."""
