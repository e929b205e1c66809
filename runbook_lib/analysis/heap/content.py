"""Putting together what a reader has counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from runbook_lib.models.frame import frame
from runbook_lib.models.heap import HeapContent

__all__ = ["COLUMNS", "content_of"]

COLUMNS = ("name", "count", "bytes")


def content_of(
    rows: Iterable[tuple[str, int, int]], *, counted: Literal["types", "classes", "allocation sites"], notes: Sequence[str] = ()
) -> HeapContent:
    """Rows of name, count and bytes as a table, the largest first; rows of the same name are one."""
    sums: dict[str, tuple[int, int]] = {}
    for name, count, size in rows:
        counts, sizes = sums.get(name, (0, 0))
        sums[name] = (counts + count, sizes + size)
    ranked = sorted(((name, count, size) for name, (count, size) in sums.items()), key=lambda row: (-row[2], -row[1], row[0]))
    return HeapContent(
        counted=counted,
        table=frame(ranked, columns=list(COLUMNS), unit="bytes", source="heap dump"),
        total_bytes=sum(size for _, _, size in ranked),
        total_count=sum(count for _, count, _ in ranked),
        notes=tuple(notes),
    )
