"""How finely a range is asked for: an onset is dated well, a figure needs less, and a busy Prometheus is spared."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from runbook_lib.analysis.episodes import latest_episode
from runbook_lib.analysis.series import as_series
from runbook_lib.models.window import Window
from runbook_lib.testing import NOW, FakeMetrics, ago, context, fake_sources, line


def test_a_single_series_is_asked_for_most_finely_and_a_percentile_of_each_pod_least() -> None:
    seen = context()
    fine, usual, coarse = (seen.step_seconds(seen.window, steps=steps) for steps in ("fine", "usual", "coarse"))
    assert fine < usual <= coarse


def test_a_prometheus_that_was_too_busy_is_asked_for_no_more_than_a_figure_shows() -> None:
    seen = context()
    spared = replace(seen, sparing=True)
    assert spared.step_seconds(seen.window, steps="fine") == seen.step_seconds(seen.window, steps="coarse")


@pytest.mark.parametrize(("hours", "rate_window_seconds"), [(1, 60.0), (24, 60.0), (96, 300.0)])
def test_an_episode_is_found_however_long_the_window_is(hours: int, rate_window_seconds: float) -> None:
    window = Window(NOW - timedelta(hours=hours), NOW)
    seen = context(sources=fake_sources(metrics=FakeMetrics(rate_window_seconds=rate_window_seconds)), window=window)
    rise = as_series(line(0.0, 1.0, at=ago(20 * hours), window=window))  # at the distance of a figure's samples
    found = latest_episode(rise, threshold=0.5, gap=seen.gap)
    assert found is not None
    assert found.ongoing
    assert seen.gap >= timedelta(seconds=rate_window_seconds)


def test_a_recovery_of_a_quarter_minute_parts_two_outages_where_samples_show_it() -> None:
    seen = context(sources=fake_sources(metrics=FakeMetrics(rate_window_seconds=20.0)))
    assert seen.gap_of("fine") == timedelta(seconds=20)
    assert seen.gap_of("coarse") == seen.gap > timedelta(seconds=20)
