"""The rows of any statement as a frame, its cells no wider than a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pandas as pd

from runbook_lib.models.frame import Frame, frame

__all__ = ["frame_of"]

_MAXIMUM_CELL = 4_000  # characters
_MAXIMUM_BINARY = 64  # bytes


def frame_of(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, source: str, query: str, command: str) -> Frame:
    """A Frame of these rows. Times with a zone become UTC, numeric becomes float, columns of the same name are numbered."""
    built = frame(
        [[_cell(value) for value in row] for row in rows], columns=_unique(columns), source=source, query=query, command=command
    )
    for position, column in enumerate(built.columns):
        values = [row[position] for row in rows if row[position] is not None]
        if values and all(isinstance(value, datetime) and value.tzinfo is not None for value in values):
            built[column] = pd.to_datetime(built[column], utc=True)
    return built


def _unique(names: Sequence[str]) -> list[str]:
    taken: dict[str, int] = {}
    unique = []
    for name in names:
        taken[name] = taken.get(name, 0) + 1
        unique.append(name if taken[name] == 1 else f"{name}_{taken[name]}")
    return unique


def _cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (bytes, memoryview)):
        shown = bytes(value[:_MAXIMUM_BINARY]).hex()
        return f"\\x{shown}" + (f"… ({len(value):,} bytes)" if len(value) > _MAXIMUM_BINARY else "")
    if isinstance(value, str) and len(value) > _MAXIMUM_CELL:
        return f"{value[:_MAXIMUM_CELL]}… ({len(value):,} characters)"
    return value
