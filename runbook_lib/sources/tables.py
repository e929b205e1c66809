"""Building the frames that sources answer with: the same columns and types whether there are rows or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from runbook_lib.models.frame import Frame

__all__ = ["instant", "table"]


def table(
    rows: Iterable[Sequence[Any]], columns: Mapping[str, str], *, source: str, query: str = "", command: str = "", unit: str = ""
) -> Frame:
    """A Frame of these rows. `columns` maps each column to its type: text, flag, integer, number, time (aware, UTC) or any."""
    built = Frame(list(rows), columns=list(columns))
    for column, kind in columns.items():
        built[column] = _typed(built[column], kind)
    built.attrs.update({"unit": unit, "source": source, "query": query, "command": command})
    return built


def _typed(values: pd.Series, kind: str) -> pd.Series:
    if kind == "time":
        # object first: pandas would guess the unit of a column that holds nothing but None
        return pd.to_datetime(values.astype(object), utc=True).astype("datetime64[us, UTC]")
    if kind == "any":
        return values.astype(object)
    if kind == "text":
        return values.astype("str")
    return values.astype("bool") if kind == "flag" else values.astype("int64" if kind == "integer" else "float64")


def instant(text: str | None) -> datetime | None:
    """Read a time as Kubernetes writes it; None when there is none, or it is not one."""
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
