"""What a figure says, free of any plotting library: `display` draws it live (plotly) and still (matplotlib)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from runbook_lib.models.frame import Frame

Severity = Literal["normal", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A horizontal line at `value` (in the figure's unit)."""

    value: float
    label: str
    severity: Severity = "critical"


@dataclass(frozen=True, slots=True)
class Marker:
    """A vertical line at an instant: a deploy, the onset, an alert, an action."""

    at: datetime
    label: str
    kind: Literal["onset", "deploy", "alert", "action", "event"] = "event"


@dataclass(frozen=True, kw_only=True, eq=False)
class LineFigure:
    """Values over time. `frame` has columns time (UTC), series (str), value (float, in `unit`).

    `title` is the conclusion, not the name of the metric. `unit` is a word of docs/nomenclature.md: ratio, seconds, bytes,
    requests/s, connections, ….
    """

    title: str
    unit: str
    frame: Frame
    thresholds: tuple[Threshold, ...] = ()
    markers: tuple[Marker, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class BarFigure:
    """Amounts by category. `frame` has columns category (str), value (float, in `unit`), and optionally series (str)."""

    title: str
    unit: str
    frame: Frame
    thresholds: tuple[Threshold, ...] = ()


Figure = LineFigure | BarFigure
