"""The same as plain text, for terminals, searches, and viewers that show nothing else."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import date, datetime

from runbook_lib.display.cells import Table
from runbook_lib.display.characters import visible
from runbook_lib.models.window import format_instant

__all__ = ["block", "clock", "difference", "hunks", "table"]

_WIDEST = 60
_HUNK = re.compile(r"@@ -\d")


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
    return "\n".join([*([visible(caption)] if caption else []), *(f"  {line}" for line in lines), *content.left_out])


def hunks(before: str, after: str) -> list[str]:
    """What changes, line by line, with `-` and `+` in front and three lines around; `…` where lines are skipped."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3))[2:]
    return ["…" if _HUNK.match(line) else line for line in lines][1:]


def difference(before: str, after: str) -> str:
    """The same, one below the other."""
    return "\n".join(hunks(before, after))


def block(*parts: str | Iterable[str]) -> str:
    """The parts that are not empty, one below the other; a list of lines is indented."""
    shown = []
    for part in parts:
        if isinstance(part, str):
            shown.append(part)
        else:
            shown.extend(f"  - {line}" for line in part)
    return visible("\n".join(line for line in shown if line))


def clock(instant: datetime, *, day: date | None) -> str:
    """`03:12:40 UTC`, or the whole instant when it lies on another day than the reader takes for granted."""
    stamp = format_instant(instant)
    return f"{stamp[11:19]} UTC" if day is not None and stamp[:10] == day.isoformat() else stamp


def _cut(text: str) -> str:
    flat = " ".join(visible(text).split())
    return flat if len(flat) <= _WIDEST else f"{flat[: _WIDEST - 1]}…"
