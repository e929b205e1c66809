"""Any frame of ours as a table, and as lines over time when it has `time` and `value`."""

from __future__ import annotations

import pandas as pd

from runbook_lib.display import html, text
from runbook_lib.display.cells import as_table
from runbook_lib.models.figure import LineFigure
from runbook_lib.models.frame import Frame, frame

__all__ = ["figure_of", "frame_html", "frame_text"]

_MOST_LINES = 40


def frame_html(shown: pd.DataFrame) -> str:
    """The table, and the question that it answers."""
    notes = [str(note) for note in shown.attrs.get("notes") or ()]
    head = html.paragraph(f"{len(shown):,} rows", name="say")
    by_hand = html.details("The same by hand", html.command(str(shown.attrs.get("command", ""))))
    body = html.table("", as_table(shown)) if len(shown.columns) else ""
    return html.card("info", head, html.bullets(notes), body, by_hand)


def frame_text(shown: pd.DataFrame) -> str:
    """The table as plain text."""
    notes = [str(note) for note in shown.attrs.get("notes") or ()]
    return text.block(f"{len(shown):,} rows", notes, text.table("", as_table(shown)) if len(shown.columns) else "")


def figure_of(shown: pd.DataFrame) -> LineFigure | None:
    """A line for each combination of labels; None for what is no series over time, or lies at one instant only."""
    if not {"time", "value"} <= set(map(str, shown.columns)) or shown["time"].nunique() < 2:
        return None
    labels = [name for name in shown.columns if name not in ("time", "value") and shown[name].nunique(dropna=False) > 1]
    names = shown[labels].astype(str).agg(" ".join, axis=1) if labels else pd.Series("value", index=shown.index)
    unit = str(shown.attrs.get("unit", ""))
    tidy: Frame = frame({"time": shown["time"], "series": names, "value": shown["value"]}, unit=unit)
    peaks = tidy.groupby("series")["value"].max().nlargest(_MOST_LINES)
    title = str(shown.attrs.get("query") or "values over time")
    return LineFigure(title=title[:160], unit=unit, frame=Frame(tidy[tidy["series"].isin(peaks.index)]))
