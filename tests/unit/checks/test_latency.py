"""The response time by what there is of it: histograms, a summary, or no more than an average."""

from __future__ import annotations

from dataclasses import replace

from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.latency import latency, latency_breakdown
from runbook_lib.models.finding import Finding, FindingStatus, Presence
from runbook_lib.models.frame import Frame
from runbook_lib.testing import FakeMetrics, ago, context, curve, fake_sources, line


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


def ending(seconds: float, end: float) -> Finding:
    """The finding where p95 rises to these seconds, by a histogram whose buckets end there."""
    return latency(with_buckets_that(end, rises=line(0.05, seconds, at=ago(10))))


def with_buckets_that(end: float, *, rises: Frame) -> CheckContext:
    measured = {"latency_quantile": rises, "latency_by_route": rises.assign(route="/orders")}
    seen = context(sources=fake_sources(metrics=FakeMetrics(measured)))
    known = dict(seen.expressions().known)
    known["latency_quantile"] = replace(known["latency_quantile"], ends=end)
    expressions = replace(seen.expressions(), known=known)
    return replace(seen, expressions=lambda: expressions)


def presence_of(finding: Finding) -> Presence:
    signal = finding.signal("latency_high")
    assert signal is not None
    return signal.presence


def test_where_the_buckets_end_at_the_limit_what_takes_longer_is_above_the_limit() -> None:
    finding = ending(1.0, 1.0)
    assert presence_of(finding) is Presence.PRESENT
    assert finding.status is FindingStatus.CRITICAL
    assert finding.summary.startswith("5% of the requests to shop take more than 1 s since")
    assert finding.notes == ("The histogram's buckets end at 1 s: whatever takes longer is told as this.",)
    assert presence_of(ending(0.99, 1.0)) is Presence.ABSENT


def test_where_the_buckets_end_below_the_limit_it_is_not_known_whether_p95_is_above_it() -> None:
    finding = ending(0.5, 0.5)
    assert presence_of(finding) is Presence.UNKNOWN
    assert finding.status is FindingStatus.UNKNOWN
    assert finding.summary == (
        "5% of the requests to shop take at least 500 ms, and the histogram ends there: whether p95 is above the limit of 1 s "
        "is not known. Export a bucket above the limit."
    )
    assert presence_of(ending(0.45, 0.5)) is Presence.ABSENT
    assert presence_of(ending(10.0, 10.0)) is Presence.PRESENT


def test_a_part_that_reaches_the_end_of_the_buckets_says_so_too() -> None:
    slow = line(0.05, 2.5, at=ago(10))
    assert latency_breakdown(with_buckets_that(2.5, rises=slow)).notes == (
        "The histogram's buckets end at 2.5 s: whatever takes longer is told as this.",
    )
    assert latency_breakdown(with_buckets_that(5.0, rises=slow)).notes == ()


def p95_that_is(answer: Frame) -> Finding:
    return latency(context(sources=fake_sources(metrics=FakeMetrics({"latency_quantile": answer}))))


def test_a_service_that_runs_close_to_its_limit_has_recovered_from_a_blip_once_it_is_as_usual() -> None:
    finding = p95_that_is(line(0.6, 1.2, at=ago(50), until=ago(48)))
    signal = finding.signal("latency_high")
    assert signal is not None
    assert signal.presence is Presence.ABSENT
    assert finding.status is not FindingStatus.CRITICAL


def test_half_a_recovery_of_a_service_that_is_fast_otherwise_is_none() -> None:
    finding = p95_that_is(curve(lambda at: 0.05 if at < ago(20) else 3.0 if at < ago(8) else 0.7))
    signal = finding.signal("latency_high")
    assert signal is not None
    assert signal.presence is Presence.PRESENT
    assert signal.since == ago(20)


def test_minutes_without_a_percentile_do_not_move_the_onset() -> None:
    whole = line(0.05, 3.0, at=ago(40))
    finding = p95_that_is(Frame(whole[(whole["time"] < ago(25)) | (whole["time"] >= ago(15))].reset_index(drop=True)))
    signal = finding.signal("latency_high")
    assert signal is not None
    assert signal.since == ago(40)
    assert "since 2026-03-01T03:20:00Z" in finding.summary
