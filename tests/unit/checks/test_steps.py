"""How finely a range is asked for: an onset is dated well, a figure needs less, and a busy Prometheus is spared."""

from __future__ import annotations

from dataclasses import replace

from runbook_lib.testing import context


def test_a_single_series_is_asked_for_most_finely_and_a_percentile_of_each_pod_least() -> None:
    seen = context()
    fine, usual, coarse = (seen.step_seconds(seen.window, steps=steps) for steps in ("fine", "usual", "coarse"))
    assert fine < usual <= coarse


def test_a_prometheus_that_was_too_busy_is_asked_for_no_more_than_a_figure_shows() -> None:
    seen = context()
    spared = replace(seen, sparing=True)
    assert spared.step_seconds(seen.window, steps="fine") == seen.step_seconds(seen.window, steps="coarse")
