"""Tidy frames that know their unit and where they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from pandas.api.types import is_object_dtype


class Frame(pd.DataFrame):
    """A pandas frame with provenance; `display` plots it when it has the columns `time` and `value`.

    Conventions (docs/nomenclature.md lists every column): one observation a row; `time` is aware, UTC; `value` is a
    float in `unit`; labels are columns of strings. `attrs` holds `unit`, `source`, `query` and `command` (the shell command
    that a person would have typed); pandas carries them through most operations, and a Frame of another frame has its attrs.
    """

    def __init__(self, data: Any = None, *arguments: Any, **options: Any) -> None:
        super().__init__(data, *arguments, **options)  # type: ignore[call-arg]  # pandas comes without types
        if isinstance(data, pd.DataFrame):  # which pandas itself takes for mere data
            self.attrs.update(data.attrs)

    @property
    def _constructor(self) -> Callable[..., Frame]:
        return Frame

    @property
    def unit(self) -> str:
        """The unit of the column `value`; empty when unknown."""
        return str(self.attrs.get("unit", ""))

    @property
    def command(self) -> str:
        """The shell command that asks the same question."""
        return str(self.attrs.get("command", ""))


def frame(
    data: Any, *, columns: list[str] | None = None, unit: str = "", source: str = "", query: str = "", command: str = ""
) -> Frame:
    """Build a Frame with its provenance set. Half a surrogate pair, which no server should send, is spelled: `\\ud83d`."""
    try:
        built = Frame(data, columns=columns)
        _all_encodable(built)
    except UnicodeEncodeError:  # text is UTF-8 in archives and Arrow; JSON logs that were cut within an emoji are none
        built = Frame(_encodable(data), columns=columns)
    built.attrs.update({"unit": unit, "source": source, "query": query, "command": command})
    return built


def _all_encodable(built: Frame) -> None:
    """Raise UnicodeEncodeError for text that is no UTF-8. Arrow has looked already, where pandas keeps text in it."""
    for place, kind in enumerate(built.dtypes):
        if is_object_dtype(kind) or (isinstance(kind, pd.StringDtype) and kind.storage == "python"):
            values = built.iloc[:, place].to_numpy(dtype=object).tolist()  # iterating the column itself takes ten times as long
            "".join(value for value in values if isinstance(value, str)).encode("utf-8")


def _encodable(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(data, Mapping):
        return {_encodable(name): _encodable(value) for name, value in data.items()}
    return [_encodable(value) for value in data] if isinstance(data, list | tuple) else data
