"""Answers of sources as JSON and back, so that an incident can be looked at again without any system."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from runbook_lib.errors import ArchiveError
from runbook_lib.models.command import CommandResult
from runbook_lib.models.finding import SourceStatus
from runbook_lib.models.frame import Frame
from runbook_lib.sources.interface import HttpAnswer

__all__ = ["decoded", "encoded"]

_RECORDS: dict[str, type[Any]] = {one.__name__: one for one in (SourceStatus, HttpAnswer, CommandResult)}
_TAGS = ("$frame", "$time", "$number", "$mapping", *(f"${name}" for name in _RECORDS))


def encoded(value: Any) -> Any:
    """The value in what JSON has; what JSON lacks stands in an object with one key that begins with `$`."""
    if isinstance(value, pd.DataFrame):
        return {"$frame": _frame(value)}
    if value is pd.NA:
        return None
    if isinstance(value, datetime | pd.Timestamp):
        return None if pd.isna(value) else {"$time": pd.Timestamp(value).isoformat()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$number": str(value)}
    if dataclasses.is_dataclass(value) and type(value).__name__ in _RECORDS:
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {f"${type(value).__name__}": encoded(fields)}
    if isinstance(value, Mapping):
        plain = {str(key): encoded(item) for key, item in value.items()}
        # a system's own key may look like one of ours
        return {"$mapping": plain} if len(plain) == 1 and next(iter(plain)) in _TAGS else plain
    if isinstance(value, list | tuple | set | frozenset):
        return [encoded(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, date):
        return value.isoformat()
    return encoded(value.item()) if hasattr(value, "item") else str(value)


def decoded(value: Any) -> Any:
    """The reverse. Raises ArchiveError for what was not written by `encoded`."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag = next(iter(value), None)
    if len(value) != 1 or tag not in _TAGS:
        return {key: decoded(item) for key, item in value.items()}
    content = value[tag]
    try:
        if tag == "$frame":
            return _decoded_frame(content)
        if tag == "$time":
            return datetime.fromisoformat(content)
        if tag == "$mapping":
            return {key: decoded(item) for key, item in content.items()}
        if tag == "$number":
            return float(content)
        return _RECORDS[str(tag)[1:]](**decoded(content))
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveError(f"a recorded answer cannot be read: {type(error).__name__}: {error}") from error


def _frame(frame: pd.DataFrame) -> dict[str, Any]:
    columns = [
        {"name": str(name), "type": _type(frame.iloc[:, place]), "values": _values(frame.iloc[:, place])}
        for place, name in enumerate(frame.columns)
    ]
    return {"columns": columns, "rows": len(frame), "attrs": encoded(frame.attrs)}


def _type(column: pd.Series) -> str:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return "time"
    if pd.api.types.is_extension_array_dtype(column.dtype) and not pd.api.types.is_string_dtype(column.dtype):
        return "any"  # has a value for what is missing, which plain flags and integers have not
    if pd.api.types.is_bool_dtype(column.dtype):
        return "flag"
    if pd.api.types.is_integer_dtype(column.dtype):
        return "integer"
    if pd.api.types.is_float_dtype(column.dtype):
        return "number"
    return "text" if pd.api.types.is_string_dtype(column.dtype) and column.dtype != object else "any"


def _values(column: pd.Series) -> list[Any]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        # as microseconds since 1970: a third of the text, and no parsing
        whole = column.dt.as_unit("us")
        return [None if missing else int(number) for number, missing in zip(whole.astype("int64"), whole.isna(), strict=True)]
    return [encoded(item) for item in column.tolist()]


def _decoded_frame(content: Mapping[str, Any]) -> Frame:
    series = [_column(column["type"], column["values"]) for column in content["columns"]]
    names = [column["name"] for column in content["columns"]]
    built = Frame(pd.concat(series, axis=1) if series else pd.DataFrame(index=range(content["rows"])))
    built.columns = pd.Index(names, dtype="str")
    built.attrs.update(decoded(content["attrs"]))
    return built


def _column(kind: str, values: list[Any]) -> pd.Series:
    if kind == "time":
        times = [pd.NaT if value is None else datetime.fromtimestamp(value / 1e6, UTC) for value in values]
        return pd.to_datetime(pd.Series(times, dtype="object"), utc=True).astype("datetime64[us, UTC]")
    dtypes: dict[str, Any] = {"flag": "bool", "integer": "int64", "number": "float64", "text": "str", "any": "object"}
    plain: pd.Series = pd.Series([decoded(value) for value in values], dtype="object").astype(dtypes[kind])
    return plain
