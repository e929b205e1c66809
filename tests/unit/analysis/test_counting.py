"""Counts behind a share: within a window, or over all of a longer stretch."""

from __future__ import annotations

import pandas as pd
import pytest

from runbook_lib.analysis.counting import Counted, counted

TIMES = pd.date_range("2026-03-01T03:00Z", periods=61, freq="15s")  # a quarter of an hour
SINCE, UNTIL = TIMES[0].to_pydatetime(), TIMES[-1].to_pydatetime()


def level(value: float) -> pd.Series:
    return pd.Series(value, index=TIMES)


def count(share: pd.Series, rate: pd.Series, *, window_seconds: float = 300.0, since: pd.Timestamp = TIMES[0]) -> Counted | None:
    return counted(share, rate, since=since.to_pydatetime(), until=UNTIL, window_seconds=window_seconds)


@pytest.mark.parametrize(("window_seconds", "whole"), [(300.0, 90.0), (1800.0, 180.0)])
def test_the_longer_of_stretch_and_window_counts(window_seconds: float, whole: float) -> None:
    found = count(level(0.1), level(0.1), window_seconds=window_seconds)
    assert found is not None
    assert (found.part, found.whole) == pytest.approx((whole / 10, whole))


def test_only_the_stretch_counts() -> None:
    rate = level(0.1).where(TIMES[40] <= TIMES, 100.0)
    found = count(level(0.1), rate, since=TIMES[40])
    assert found is not None
    assert found.whole == pytest.approx(30.0)


def test_times_that_do_not_meet_give_no_count() -> None:
    later = level(0.1).set_axis(TIMES + pd.Timedelta("1s"))
    assert count(level(0.1), later) is None
    assert count(level(0.1), level(0.1).iloc[:0]) is None
