"""The cells of a table as text: units by the column's name, times in UTC, nothing longer than is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd

from runbook_lib.models.units import written

__all__ = ["Table", "as_table"]

_MAXIMUM_ROWS = 20
_MAXIMUM_COLUMNS = 30
_MAXIMUM_CELL = 1200
_MAXIMUM_LINES, _LINES_EACH_END = 8, 3  # of a traceback both ends say what happened
_MISSING = "-"
_UNIT_OF_SUFFIX = {"bytes": "bytes", "seconds": "seconds", "ratio": "ratio", "share": "ratio"}
# Numbers that name something: `pid 41,207` and `port 5,432` are read wrong.
_NAMES = {"pid", "port", "ports", "uid", "gid", "id", "oid", "revision", "generation", "code", "status", "number", "slot"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table as text. `numeric` says which columns are aligned to the right; `left_out` what is not shown, in words."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    left_out: tuple[str, ...] = ()


def as_table(frame: pd.DataFrame, *, rows: int = _MAXIMUM_ROWS, day: date | None = None) -> Table:
    """The first `rows` rows and 30 columns of a frame, its index too when it says something.

    day: the day that the reader takes for granted; a column of times shows its dates when one of them is on another.
    """
    shown = _with_index(frame.head(rows))
    units = shown["unit"].astype(str).tolist() if {"unit", "value"} <= set(shown.columns) else None
    keep = [place for place, name in enumerate(shown.columns) if units is None or name != "unit"]
    more_columns = len(keep) - _MAXIMUM_COLUMNS
    keep = keep[:_MAXIMUM_COLUMNS]
    columns = {place: _column(shown, place, units, day) for place in keep}
    return Table(
        heads=tuple(_head(shown.columns[place]) for place in keep),
        rows=tuple(tuple(columns[place][index] for place in keep) for index in range(len(shown))),
        numeric=tuple(_is_amount(shown.iloc[:, place].dtype) for place in keep),
        left_out=(
            *([f"{len(frame) - rows:,} more rows in the archive"] if len(frame) > rows else []),
            *([f"{more_columns} more columns in the archive"] if more_columns > 0 else []),
        ),
    )


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """After `groupby` the index holds the groups; numbers without a name only count the rows."""
    index = frame.index
    if index.nlevels == 1 and index.name is None and pd.api.types.is_integer_dtype(index.dtype):
        return frame
    told = index.to_frame(index=False)
    told.columns = pd.Index(["" if name is None else name for name in index.names])
    return pd.concat([told, frame.reset_index(drop=True)], axis=1)


def _head(name: Any) -> str:
    parts = name if isinstance(name, tuple) else (name,)
    return " ".join(str(part).replace("_", " ") for part in parts if str(part))


def _is_amount(dtype: Any) -> bool:
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)


def _column(frame: pd.DataFrame, place: int, units: Sequence[str] | None, day: date | None) -> list[str]:
    name, values = str(frame.columns[place]), frame.iloc[:, place]
    items = values.tolist()
    if name == "value" and units is not None:
        return [_cell(item, one) for item, one in zip(items, units, strict=True)]
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        days = {_utc(item).date() for item in items if not pd.isna(item)}
        return [_time(item, with_date=days != {day}) for item in items]
    if _last_word(name) in _NAMES:
        return [_MISSING if _is_missing(item) else _named(item) for item in items]
    unit = str(frame.attrs.get("unit", "")) if name == "value" else _unit(name)
    return [_cell(item, unit) for item in items]


def _last_word(name: str) -> str:
    return name.replace("_", " ").rpartition(" ")[2].lower()


def _unit(name: str) -> str:
    return "ratio" if "share" in name else _UNIT_OF_SUFFIX.get(_last_word(name), "")


def _named(value: Any) -> str:
    """A number that names: as an integer, also where a missing one beside it made pandas keep floats."""
    whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
    return str(int(value)) if whole else _cell(value, "")


def _cell(value: Any, unit: str) -> str:
    if isinstance(value, dict) or pd.api.types.is_list_like(value):
        items = value if isinstance(value, dict) else list(value)
        return _cut(json.dumps(items, ensure_ascii=False, default=str)) if items else _MISSING
    if _is_missing(value):
        return _MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return _time(value, with_date=True)
    if isinstance(value, timedelta):
        return written(value.total_seconds(), "seconds")
    if isinstance(value, int) and not unit:
        return f"{value:,}"
    if isinstance(value, int | float):
        return written(float(value), unit)
    return _cut(str(value)) or _MISSING


def _is_missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _utc(value: Any) -> pd.Timestamp:
    stamp = pd.Timestamp(value)
    return stamp.tz_localize(UTC) if stamp.tzinfo is None else stamp.tz_convert(UTC)


def _time(value: Any, *, with_date: bool) -> str:
    if pd.isna(value):
        return _MISSING
    return _utc(value).strftime("%Y-%m-%d %H:%M:%SZ" if with_date else "%H:%M:%SZ")


def _cut(text: str) -> str:
    lines = text.splitlines()
    if len(lines) > _MAXIMUM_LINES:
        left_out = f"… {len(lines) - 2 * _LINES_EACH_END} more lines in the archive …"
        text = "\n".join([*lines[:_LINES_EACH_END], left_out, *lines[-_LINES_EACH_END:]])
    return text if len(text) <= _MAXIMUM_CELL else f"{text[:_MAXIMUM_CELL]}…"
