"""A measure taken apart: by route, pod, version or whatever label tells the parts from one another."""

from __future__ import annotations

from collections.abc import Mapping

from runbook_lib.analysis.series import split
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import Window

__all__ = ["averages", "outlier", "ranking"]


def averages(answer: Frame | None, by: str, focus: Window) -> dict[str, float]:
    """The mean of each series over a window, in its unit; empty where the answer does not carry the label."""
    if answer is None or answer.empty or by not in answer.columns:
        return {}
    inside = {name: series[focus.start : focus.end] for name, series in split(answer, by).items()}
    return {name: float(series.mean()) for name, series in inside.items() if len(series)}


def ranking(amounts: Mapping[str, float], name: str, unit: str) -> Frame:
    """The amounts as a table, the largest first."""
    return frame(sorted(amounts.items(), key=lambda item: -item[1]), columns=[name, unit])


def outlier(amounts: Mapping[str, float], *, apart: float) -> tuple[str, float, float] | None:
    """The part that lies at least `apart` above the next one, with its amount and that of the next one; None when none does."""
    if len(amounts) < 2:
        return None
    (worst, high), (_, next_high) = sorted(amounts.items(), key=lambda item: -item[1])[:2]
    return (worst, high, next_high) if high - next_high >= apart else None
