"""Building the frames that sources answer with: the same columns and types whether there are rows or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from runbook_lib.models.frame import Frame

__all__ = ["instant", "table"]


def table(
    rows: Iterable[Sequence[Any]], columns: Mapping[str, str], *, source: str, query: str = "", command: str = "", unit: str = ""
) -> Frame:
    """A Frame of these rows. `columns` maps each column to its type: text, flag, integer, number, time (aware, UTC) or any."""
    listed = list(rows)
    built = Frame({name: _typed([row[place] for row in listed], kind) for place, (name, kind) in enumerate(columns.items())})
    built.attrs.update({"unit": unit, "source": source, "query": query, "command": command})
    return built


def _typed(values: list[Any], kind: str) -> Any:
    """A column of one type. Columns are made whole: a frame that is typed column by column is copied as often."""
    if kind == "time":
        # object first: pandas would guess the unit of a column that holds nothing but None
        return pd.to_datetime(pd.Series(values, dtype=object), utc=True).astype("datetime64[us, UTC]")
    if kind == "any":
        return pd.Series(values, dtype=object)
    if kind == "text":
        return pd.array(values, dtype="str")
    return np.array(values, dtype={"flag": "bool", "integer": "int64", "number": "float64"}[kind])


def instant(text: str | None) -> datetime | None:
    """Read a time as Kubernetes writes it; None when there is none, or it is not one."""
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
