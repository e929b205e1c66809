"""Figures as plotly's JSON, written by hand: importing plotly takes longer than all checks of an incident together."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from runbook_lib.display.chart import bars_of, chart_of
from runbook_lib.display.theme import GREY, MARKERS, PALETTE, SEVERITIES
from runbook_lib.models.figure import BarFigure, Figure, LineFigure

__all__ = ["MIME", "plotly_json"]

MIME = "application/vnd.plotly.v1+json"
_FONT = {"family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", "size": 12}
_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "toImage"],
}


def plotly_json(figure: Figure) -> dict[str, Any]:
    """The figure for plotly.js 2 and later."""
    return _bars(figure) if isinstance(figure, BarFigure) else _lines(figure)


def _lines(figure: LineFigure) -> dict[str, Any]:
    chart = chart_of(figure)
    shapes, notes = [], []
    for threshold, at_left in zip(chart.thresholds, chart.labels_at_left, strict=True):
        colour = SEVERITIES[threshold.severity]
        line = {"color": colour, "width": 1.2, "dash": "dash"}
        shapes.append(
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": threshold.value, "y1": threshold.value, "line": line}
        )
        x, anchor = (0, "left") if at_left else (1, "right")
        notes.append(_note(threshold.label, colour, xref="paper", x=x, xanchor=anchor, y=threshold.value, yanchor="bottom"))
    for place, marker in enumerate(sorted(chart.markers, key=lambda one: one.at)):
        colour, at = MARKERS[marker.kind], _stamp(marker.at)
        line = {"color": colour, "width": 1.5, "dash": "dot"}
        shapes.append({"type": "line", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": line})
        # one above the other by turns, so that what happened close together can be told apart
        height = 1.0 + 0.075 * (place % 3)
        notes.append(_note(marker.label, colour, x=at, xanchor="left", yref="paper", y=height, yanchor="bottom"))
    data = [
        {
            "type": "scatter",
            "mode": "lines" if len(line.times) > 1 else "markers",
            "name": _plain(line.name),
            "x": [_stamp(time) for time in line.times],
            "y": [None if math.isnan(value) else value for value in line.values],
            "line": {"color": line.colour, "width": 1.8},
            "hovertemplate": f"%{{y:.4g}} {chart.unit}<extra>%{{fullData.name}}</extra>",
        }
        for line in chart.lines
    ]
    left_out = f" (and {chart.left_out} more lines)" if chart.left_out else ""
    layout = _layout(chart.title + left_out, chart.unit, legend=len(data) > 1)
    layout |= {"shapes": shapes, "annotations": notes, "hovermode": "x unified"}
    layout["xaxis"] |= {"type": "date", "title": {"text": "UTC"}}
    return {"data": data, "layout": layout, "config": dict(_CONFIG)}


def _bars(figure: BarFigure) -> dict[str, Any]:
    amounts, unit = bars_of(figure)
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "x": [value for _, value in amounts],
            "y": [_plain(name) for name, _ in amounts],
            "marker": {"color": PALETTE[0]},
            "hovertemplate": f"%{{x:.4g}} {unit}<extra>%{{y}}</extra>",
        }
    ]
    layout = _layout(figure.title, "", legend=False)
    layout["height"] = 110 + 30 * max(1, len(amounts))
    layout["xaxis"] |= {"title": {"text": unit}, "rangemode": "tozero"}
    layout["yaxis"] = {"automargin": True, "autorange": "reversed"}
    return {"data": data, "layout": layout, "config": dict(_CONFIG)}


def _layout(title: str, unit: str, *, legend: bool) -> dict[str, Any]:
    axis = {"gridcolor": "rgba(128,128,128,0.2)", "zeroline": False, "linecolor": "rgba(128,128,128,0.5)"}
    return {
        "title": {"text": _plain(title), "x": 0, "xanchor": "left", "y": 0.98, "yanchor": "top", "font": {"size": 13}},
        "height": 368 if legend else 340,
        "margin": {"l": 64, "r": 24, "t": 92, "b": 72 if legend else 44},
        "font": _FONT | {"color": GREY},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": PALETTE[0]},
        "showlegend": legend,
        "legend": {"orientation": "h", "y": -0.28, "x": 0, "yanchor": "top"},  # below the axis and its title
        "xaxis": dict(axis),
        "yaxis": axis | {"title": {"text": unit}, "rangemode": "tozero", "automargin": True},
    }


def _note(text: str, colour: str, **place: Any) -> dict[str, Any]:
    return {"text": _plain(text), "showarrow": False, "font": {"color": colour, "size": 11}, **place}


def _plain(text: str) -> str:
    """plotly reads a little HTML in its texts; ours hold none."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _stamp(time: datetime) -> str:
    """plotly has no time zones: UTC without its offset."""
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds")
