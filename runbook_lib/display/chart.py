"""A figure of the models as both drawings need it: few points, gaps as gaps, colours, a unit that people read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import pandas as pd

from runbook_lib.display.theme import PALETTE
from runbook_lib.models.figure import BarFigure, LineFigure, Marker, Threshold

__all__ = ["Chart", "Line", "bars_of", "chart_of"]

_MAXIMUM_POINTS = 400
_MAXIMUM_LINES = 12
_LABEL_HEIGHT = 0.08  # of the axis: labels of levels that lie closer would be written over each other
_GAP = 3.5  # steps without a sample are a hole in the data, and drawn as one


@dataclass(frozen=True, slots=True)
class Line:
    """A line: aware times, floats (NaN where there is a hole), and its colour."""

    name: str
    times: list[datetime]
    values: list[float]
    colour: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A line chart, its values divided by `scale` so that `unit` reads well. `left_out` counts lines that are not drawn."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    thresholds: tuple[Threshold, ...]
    markers: tuple[Marker, ...]
    left_out: int = 0

    @property
    def labels_at_left(self) -> tuple[bool, ...]:
        """For each threshold whether its label stands at the left end of its line: above each other, 5% and 1% cannot be read."""
        drawn = [value for line in self.lines for value in line.values if not math.isnan(value)]
        levels = [one.value for one in self.thresholds]
        height = _LABEL_HEIGHT * (max(0.0, *drawn, *levels) - min(0.0, *drawn, *levels)) if levels else 0.0
        left: list[bool] = []
        for place, level in enumerate(levels):
            left.append(
                any(abs(level - other) < height for other, at_left in zip(levels[:place], left, strict=True) if not at_left)
            )
        return tuple(left)


def chart_of(figure: LineFigure) -> Chart:
    """The chart of a figure over time."""
    shown = figure.frame.assign(value=_drawable(figure.frame["value"])) if len(figure.frame) else figure.frame
    parts = {str(name): part for name, part in shown.groupby("series", sort=False)} if len(shown) else {}
    scale, unit = _scale(figure.unit, shown["value"] if len(shown) else pd.Series(dtype="float64"))
    drawn = list(parts.items())[:_MAXIMUM_LINES]
    lines = tuple(
        _line(name, part.sort_values("time"), scale, PALETTE[place % len(PALETTE)]) for place, (name, part) in enumerate(drawn)
    )
    return Chart(
        title=figure.title,
        unit=unit,
        lines=lines,
        thresholds=tuple(
            Threshold(one.value / scale, one.label, one.severity) for one in figure.thresholds if math.isfinite(one.value)
        ),
        markers=figure.markers,
        left_out=len(parts) - len(drawn),
    )


def bars_of(figure: BarFigure) -> tuple[list[tuple[str, float]], str]:
    """Categories with their amounts, largest first, and the unit they are in."""
    values = figure.frame.assign(value=_drawable(figure.frame["value"]))
    totals = values.groupby("category", sort=False)["value"].sum().sort_values(ascending=False)
    scale, unit = _scale(figure.unit, totals)
    return [(str(name), float(value) / scale) for name, value in totals.head(_MAXIMUM_LINES).items()], unit


def _drawable(values: pd.Series) -> pd.Series:
    """Infinities as missing: no axis reaches that far, and JSON cannot say them."""
    return values.astype("float64").replace([np.inf, -np.inf], np.nan)


def _scale(unit: str, values: pd.Series) -> tuple[float, str]:
    """By what to divide, and what the unit is then called."""
    top = float(values.abs().max()) if len(values) and values.notna().any() else 0.0
    if unit == "ratio":
        return 0.01, "%"
    if unit == "seconds":
        return (0.001, "ms") if top < 1 else (1.0, "s")
    if unit == "bytes":
        power = min(4, max(0, int(np.log2(top) // 10))) if top >= 1 else 0
        return float(1024**power), ("B", "KiB", "MiB", "GiB", "TiB")[power]
    return 1.0, unit


def _line(name: str, part: pd.DataFrame, scale: float, colour: str) -> Line:
    times = pd.DatetimeIndex(part["time"])
    values = part["value"].to_numpy(dtype="float64") / scale
    keep = _fewer(values)
    times, values = times[keep], values[keep]
    seconds = times.as_unit("us").asi8 / 1e6
    steps = np.diff(seconds)
    holes = np.flatnonzero(steps > _GAP * np.median(steps)) + 1 if len(steps) > 2 else np.empty(0, dtype=np.intp)
    values = np.insert(values, holes, np.nan)
    stamps = [stamp.to_pydatetime() for stamp in times]
    for offset, place in enumerate(holes):
        stamps.insert(int(place) + offset, stamps[int(place) + offset - 1])
    return Line(name, stamps, [float(f"{value:.6g}") for value in values], colour)


def _fewer(values: np.ndarray) -> np.ndarray:
    """Positions of at most 400 samples: of each stretch the one that stands out most, so that no peak is lost."""
    if len(values) <= _MAXIMUM_POINTS:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), _MAXIMUM_POINTS + 1).astype(int)
    middle = np.nanmedian(values) if not np.isnan(values).all() else 0.0
    apart = np.abs(np.nan_to_num(values - middle, nan=-1.0))
    return np.array([start + int(np.argmax(apart[start:end])) for start, end in pairwise(edges)])
