"""Tidy frames that know their unit and where they came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd


class Frame(pd.DataFrame):
    """A pandas frame with provenance; `display` plots it when it has the columns `time` and `value`.

    Conventions (docs/nomenclature.md lists every column): one observation a row; `time` is aware, UTC; `value` is a
    float in `unit`; labels are columns of strings. `attrs` holds `unit`, `source`, `query` and `command` (the shell command
    that a person would have typed); pandas carries them through most operations.
    """

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
    """Build a Frame with its provenance set."""
    built = Frame(data, columns=columns)
    built.attrs.update({"unit": unit, "source": source, "query": query, "command": command})
    return built
