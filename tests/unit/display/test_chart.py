"""A figure as both drawings need it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runbook_lib.display.chart import chart_of
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.frame import frame

AT = datetime(2026, 3, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(("highest", "left"), [(0.9, (False, True)), (0.06, (False, False))])
def test_labels_of_two_limits_that_lie_close_stand_at_different_ends(highest: float, left: tuple[bool, bool]) -> None:
    lines = frame({"time": [AT, AT + timedelta(minutes=1)], "series": ["error ratio"] * 2, "value": [0.0, highest]}, unit="ratio")
    limits = (Threshold(0.05, "critical 5%", "critical"), Threshold(0.01, "warning 1%", "warning"))
    assert chart_of(LineFigure(title="", unit="ratio", frame=lines, thresholds=limits)).labels_at_left == left
