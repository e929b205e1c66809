"""The response time by what there is of it: histograms, a summary, or no more than an average."""

from __future__ import annotations

from dataclasses import replace

from runbook_lib.checks.latency import latency
from runbook_lib.models.finding import Presence
from runbook_lib.testing import FakeMetrics, context, fake_sources


def test_a_summary_says_that_the_worst_counts_and_which_quantile_stands_in_place_of_another() -> None:
    seen = context(sources=fake_sources(metrics=FakeMetrics()))
    known = dict(seen.expressions().known)
    known["latency_quantile"] = replace(known["latency_quantile"], quantiles=("0.5", "0.9", "0.99"))
    summary = replace(seen.expressions(), known=known)
    notes = latency(replace(seen, expressions=lambda: summary)).notes
    assert "the worst series counts" in notes[0]
    assert "in place of p95 stands quantile 0.99" in notes[1]
    assert "p50" not in notes[1]


def test_histograms_need_no_such_word() -> None:
    assert latency(context()).notes == ()


def test_an_average_is_told_and_is_no_percentile() -> None:
    finding = latency(context(sources=fake_sources(metrics=FakeMetrics({"latency_quantile": None, "latency_mean": 0.35}))))
    assert "an average (350 ms) and no percentile" in finding.summary
    signal = finding.signal("latency_high")
    assert signal is not None
    assert signal.presence is Presence.UNKNOWN
