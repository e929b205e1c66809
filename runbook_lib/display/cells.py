"""The cells of a table as text: units by the column's name, times in UTC, nothing longer than is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from runbook_lib.models.frame import Frame
from runbook_lib.models.units import written

__all__ = ["Table", "as_table"]

_MAXIMUM_ROWS = 20
_MAXIMUM_CELL = 400
_MISSING = "-"
_UNIT_OF_SUFFIX = {"bytes": "bytes", "seconds": "seconds", "ratio": "ratio", "share": "ratio"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table as text. `numeric` says which columns are aligned to the right; `more` how many rows are not shown."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    more: int = 0


def as_table(frame: Frame | pd.DataFrame, *, rows: int = _MAXIMUM_ROWS) -> Table:
    """The first `rows` rows of a frame."""
    shown = frame.head(rows)
    units = shown["unit"].astype(str).tolist() if "unit" in shown.columns and "value" in shown.columns else None
    columns = [
        _column(str(name), shown.iloc[:, place], _unit(str(name), frame), units) for place, name in enumerate(shown.columns)
    ]
    keep = [place for place, name in enumerate(shown.columns) if not (units is not None and name == "unit")]
    return Table(
        heads=tuple(str(shown.columns[place]).replace("_", " ") for place in keep),
        rows=tuple(tuple(columns[place][index] for place in keep) for index in range(len(shown))),
        numeric=tuple(pd.api.types.is_numeric_dtype(shown.iloc[:, place].dtype) for place in keep),
        more=max(0, len(frame) - rows),
    )


def _unit(name: str, frame: pd.DataFrame) -> str:
    if name == "value":
        return str(frame.attrs.get("unit", ""))
    last = name.replace("_", " ").split(" ")[-1]
    return "ratio" if "share" in name or name.endswith("ratio") else _UNIT_OF_SUFFIX.get(last, "")


def _column(name: str, values: pd.Series, unit: str, units: Sequence[str] | None) -> list[str]:
    items = values.tolist()
    if name == "value" and units is not None:
        return [_cell(item, one) for item, one in zip(items, units, strict=True)]
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        days = values.dropna().dt.date.nunique()
        return [_time(item, with_date=days > 1) for item in items]
    return [_cell(item, unit) for item in items]


def _cell(value: Any, unit: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list | tuple):
        return _cut(json.dumps(value, ensure_ascii=False, default=str)) if value else _MISSING
    if value is None or pd.isna(value):
        return _MISSING
    if isinstance(value, datetime):
        return _time(value, with_date=True)
    if isinstance(value, int | float):
        if unit:
            return written(float(value), unit)
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return _cut(str(value)) or _MISSING


def _time(value: Any, *, with_date: bool) -> str:
    if value is None or pd.isna(value):
        return _MISSING
    stamp = pd.Timestamp(value)
    utc = stamp.tz_convert(UTC) if stamp.tzinfo is not None else stamp
    return utc.strftime("%Y-%m-%d %H:%M:%S" if with_date else "%H:%M:%S")


def _cut(text: str) -> str:
    return text if len(text) <= _MAXIMUM_CELL else f"{text[:_MAXIMUM_CELL]}…"
