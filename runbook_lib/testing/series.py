"""Values over time, as Prometheus would have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd

from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import Window

__all__ = ["HOUR", "NOW", "PODS", "ago", "curve", "each_pod", "line", "together"]

NOW = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
"""The end of every window that these builders make."""

HOUR = Window(NOW - timedelta(hours=1), NOW)
"""The window of every builder that is given no other."""

PODS = ("shop-1", "shop-2", "shop-3")
"""The pods of a healthy service."""

_POINTS = 240


def ago(minutes: float) -> datetime:
    """This many minutes before `NOW`."""
    return NOW - timedelta(minutes=minutes)


def curve(value_at: Callable[[datetime], float], *, window: Window = HOUR, **labels: str) -> Frame:
    """A series over the window with 241 points, each computed from its instant. `labels` become columns.

    curve(lambda at: 100e6 + 50e3 * (at - ago(60)).total_seconds(), pod="shop-1")
    """
    times = pd.date_range(window.start, window.end, periods=_POINTS + 1)
    return frame({"time": times, **labels, "value": [float(value_at(moment.to_pydatetime())) for moment in times]})


def line(
    before: float,
    after: float | None = None,
    *,
    at: datetime | None = None,
    until: datetime | None = None,
    window: Window = HOUR,
    **labels: str,
) -> Frame:
    """A level: `before`, from `at` on `after`, and from `until` on `before` again."""

    def value_at(moment: datetime) -> float:
        changed = after is not None and at is not None and at <= moment and (until is None or moment < until)
        return after if changed and after is not None else before

    return curve(value_at, window=window, **labels)


def together(*parts: Frame) -> Frame:
    """Several series as one answer."""
    return Frame(pd.concat(parts, ignore_index=True))


def each_pod(
    before: float,
    after: float | None = None,
    *,
    at: datetime | None = None,
    until: datetime | None = None,
    pods: Sequence[str] = PODS,
    window: Window = HOUR,
) -> Frame:
    """The same level on each pod."""
    return together(*(line(before, after, at=at, until=until, window=window, pod=pod) for pod in pods))
