"""Figures as pictures, for viewers that run no script. matplotlib needs no browser and a tenth of a second."""

from __future__ import annotations

import io
import textwrap
from typing import Any

from runbook_lib.display.chart import bars_of, chart_of
from runbook_lib.display.theme import MARKERS, PALETTE, SEVERITIES
from runbook_lib.importing import importing
from runbook_lib.models.figure import BarFigure, Figure, LineFigure

Axes = Any  # matplotlib's own types take times for numbers

__all__ = ["png"]

_DOTS_PER_INCH = 120
_WIDTH, _HEIGHT = 8.6, 3.1  # inches


def png(figure: Figure) -> bytes:
    """The figure as a PNG of about 1,000 x 370 pixels. Uses no global state of matplotlib, so that threads may draw at once."""
    with importing("matplotlib"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Sheet

    sheet = Sheet(figsize=(_WIDTH, _HEIGHT), dpi=_DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(sheet)
    axes = sheet.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors="#444444")
    if isinstance(figure, BarFigure):
        _bars(axes, figure)
    else:
        _lines(axes, figure)
    picture = io.BytesIO()
    sheet.savefig(picture, format="png")
    return picture.getvalue()


def _lines(axes: Axes, figure: LineFigure) -> None:
    with importing("matplotlib"):
        from matplotlib import dates

    chart = chart_of(figure)
    for line in chart.lines:
        style: dict[str, Any] = {"marker": "o"} if len(line.times) == 1 else {}
        axes.plot(line.times, line.values, color=line.colour, linewidth=1.4, label=_short(line.name), **style)
    for threshold, at_left in zip(chart.thresholds, chart.labels_at_left, strict=True):
        colour = SEVERITIES[threshold.severity]
        axes.axhline(threshold.value, color=colour, linewidth=1, linestyle="--")
        axes.annotate(
            _literal(threshold.label),
            (0 if at_left else 1, threshold.value),
            xycoords=("axes fraction", "data"),
            ha="left" if at_left else "right",
            va="bottom",
            fontsize=7,
            color=colour,
        )
    for place, marker in enumerate(sorted(chart.markers, key=lambda one: one.at)):
        colour = MARKERS[marker.kind]
        axes.axvline(marker.at, color=colour, linewidth=1.1, linestyle=":")
        axes.annotate(
            f" {_short(marker.label)}",
            (marker.at, 0.99 - 0.08 * (place % 3)),
            xycoords=("data", "axes fraction"),
            va="top",
            fontsize=7,
            color=colour,
        )
    locator = dates.AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_ylabel(chart.unit, fontsize=8)
    axes.set_xlabel("UTC", fontsize=8)
    _title(axes, chart.title + (f" (and {chart.left_out} more lines)" if chart.left_out else ""))
    if len(chart.lines) > 1:
        axes.legend(fontsize=7, frameon=False, ncols=min(4, len(chart.lines)), loc="upper left", bbox_to_anchor=(0, -0.18))


def _bars(axes: Axes, figure: BarFigure) -> None:
    amounts, unit = bars_of(figure)
    axes.barh([_short(name) for name, _ in amounts], [value for _, value in amounts], color=PALETTE[0], height=0.6)
    axes.invert_yaxis()
    axes.set_xlabel(unit, fontsize=8)
    _title(axes, figure.title)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(_literal("\n".join(textwrap.wrap(text, 110))), fontsize=9, loc="left", color="#222222")


def _short(text: str) -> str:
    return _literal(text if len(text) <= 48 else f"{text[:47]}…")


def _literal(text: str) -> str:
    """matplotlib reads a pair of dollars as a formula."""
    return text.replace("$", r"\$")
