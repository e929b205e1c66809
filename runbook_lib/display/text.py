"""The same as plain text, for terminals, searches, and viewers that show nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from runbook_lib.display.cells import Table

__all__ = ["block", "difference", "table"]

_WIDEST = 60


def table(caption: str, content: Table) -> str:
    """Columns side by side, cells cut to 60 characters."""
    rows = [tuple(_cut(text) for text in row) for row in (content.heads, *content.rows)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(content.heads))]
    lines = [
        "  ".join(
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, content.numeric, strict=True)
        ).rstrip()
        for row in rows
    ]
    more = [f"… {content.more:,} more rows in the archive"] if content.more else []
    return "\n".join([caption, *(f"  {line}" for line in lines), *more])


def difference(before: str, after: str) -> str:
    """A unified diff without its head."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3))[2:]
    return "\n".join(line for line in lines if not line.startswith("@@"))


def block(*parts: str | Iterable[str]) -> str:
    """The parts that are not empty, one below the other; a list of lines is indented."""
    shown = []
    for part in parts:
        if isinstance(part, str):
            shown.append(part)
        else:
            shown.extend(f"  - {line}" for line in part)
    return "\n".join(line for line in shown if line)


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _WIDEST else f"{flat[: _WIDEST - 1]}…"
