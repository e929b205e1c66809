"""What grew between two dumps of one process."""

from __future__ import annotations

from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.heap import HeapContent

__all__ = ["COLUMNS", "growth_between"]

COLUMNS = ("name", "grown_bytes", "grown_count", "bytes", "count")


def growth_between(before: HeapContent, after: HeapContent) -> Frame:
    """Columns name, grown_bytes, grown_count, bytes, count (both of the later dump): what grew most first, what shrank last.

    What neither grew nor shrank is left out. A leak is what grows between dumps; the largest type is often only the usual one.
    """
    earlier, later = _by_name(before), _by_name(after)
    rows = []
    for name in {**earlier, **later}:
        (count_before, bytes_before), (count, size) = earlier.get(name, (0, 0)), later.get(name, (0, 0))
        if (count, size) != (count_before, bytes_before):
            rows.append((name, size - bytes_before, count - count_before, size, count))
    rows.sort(key=lambda row: (-row[1], -row[2], row[0]))
    return frame(rows, columns=list(COLUMNS), unit="bytes", source="heap dump")


def _by_name(content: HeapContent) -> dict[str, tuple[int, int]]:
    table = content.table
    rows = zip(table["name"].tolist(), table["count"].tolist(), table["bytes"].tolist(), strict=True)
    return {name: (count, size) for name, count, size in rows}
