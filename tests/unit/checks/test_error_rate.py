"""How many requests fail, since when, and which; what is silent is not well."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.checks.error_rate import error_breakdown, error_ratio, error_symptom
from runbook_lib.checks.key_metrics import key_metrics
from runbook_lib.models.cause import Symptom
from runbook_lib.models.finding import Finding, FindingStatus, Presence
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import format_instant
from runbook_lib.testing import (
    FakeDatabase,
    FakeMetrics,
    ago,
    context,
    each_pod,
    fake_sources,
    line,
    service,
    together,
)
from runbook_lib.testing import error_symptom as symptom_since


def measured(answer: Any, *, live: bool = True) -> tuple[Finding, Symptom]:
    given = context(sources=fake_sources(metrics=FakeMetrics({"error_ratio": answer})), live=live)
    finding = error_ratio(given)
    return finding, error_symptom(given, finding)


def test_a_high_ratio_is_told_with_its_onset_limit_and_level_before() -> None:
    finding, symptom = measured(line(0.001, 0.3, at=ago(10)))
    assert finding.summary == (
        "30.0% of the requests to shop fail since 2026-03-01T03:50:00Z (limit 5%, before 0.1%, peak 30.0%)."
    )
    assert finding.status is FindingStatus.CRITICAL
    assert (symptom.breached, symptom.value, symptom.unit, symptom.onset_at) == (True, 0.3, "ratio", ago(10))
    assert finding.figure is not None
    assert [threshold.value for threshold in finding.figure.thresholds] == [0.05, 0.01]


@pytest.mark.parametrize(("ratio", "status"), [(0.0, "normal"), (0.02, "warning"), (0.08, "critical")])
def test_the_status_follows_the_thresholds_of_the_service_file(ratio: float, status: str) -> None:
    assert measured(line(0.0, ratio, at=ago(20)))[0].status == status


def test_a_ratio_that_was_high_all_the_time_has_an_onset_no_later_than_the_window() -> None:
    finding, symptom = measured(line(0.4))
    assert "for at least the whole window" in finding.summary
    assert symptom.onset_at == ago(60)


def test_an_earlier_episode_is_mentioned_and_is_no_symptom_while_the_window_is_live() -> None:
    finding, symptom = measured(line(0.0, 0.6, at=ago(40), until=ago(30)))
    assert symptom.breached is False
    assert "the highest in the window was 60.0%" in finding.summary
    assert measured(line(0.0, 0.6, at=ago(40), until=ago(30)), live=False)[1].breached is True


def test_a_dip_below_the_limit_is_no_recovery() -> None:
    series = line(0.0, 0.3, at=ago(10))
    dipping = Frame(series.assign(value=series["value"].where(series["time"] < ago(0.6), 0.04)))
    assert measured(dipping)[1].breached is True


def test_a_ratio_that_two_replicas_of_prometheus_tell_is_no_sum() -> None:
    told_twice = together(*(line(0.03, prometheus_replica=name) for name in ("prometheus-0", "prometheus-1")))
    finding, symptom = measured(told_twice)
    assert "3.0% of the requests" in finding.summary
    assert symptom.breached is False


def test_silence_is_unknown_and_not_well() -> None:
    quiet = Frame(line(0.0)[lambda rows: rows["time"] < ago(8)])
    finding, symptom = measured(quiet)
    assert finding.summary.startswith("shop answered no requests since 2026-03-01T03:51:45Z")
    assert (finding.status, symptom.breached, symptom.value) == (FindingStatus.UNKNOWN, None, None)


def test_silence_after_errors_leaves_the_errors_standing() -> None:
    cut_off = Frame(line(0.0, 0.9, at=ago(20))[lambda rows: rows["time"] < ago(8)])
    assert measured(cut_off)[1].breached is True


def test_a_service_without_request_metrics_is_told_how_to_name_them() -> None:
    finding, symptom = measured(None)
    assert "set instrumentation.preset" in finding.summary
    assert symptom.breached is None


def test_the_breakdown_names_status_route_and_the_pod_that_fails_more() -> None:
    uneven = together(line(0.9, pod="shop-1"), line(0.0, pod="shop-2"))
    metrics = FakeMetrics(
        {
            "errors_by_status": together(line(8.0, status="503"), line(2.0, status="500")),
            "errors_by_route": line(10.0, route="/orders"),
            "error_ratio_by_pod": uneven,
            "error_ratio_by_version": together(line(0.6, version="2.0"), line(0.0, version="1.0")),
        }
    )
    situation = context(sources=fake_sources(metrics=metrics), symptom=symptom_since(ago(10)))
    finding = error_breakdown(situation)
    average = f"on average since {format_instant(situation.focus().start)}"
    assert finding.summary == f"10 requests per second fail {average}, 80% of them with status 503; 100% of them on /orders."
    assert finding.notes[0] == "Pod shop-1 fails 90% of its requests, the next one 0%."
    signal = finding.signal("errors_differ_by_version")
    assert signal is not None
    assert signal.presence is Presence.PRESENT


def test_key_metrics_are_held_against_their_thresholds_with_units() -> None:
    metrics = FakeMetrics({"latency_quantile": 1.25, "cpu_usage": each_pod(0.97), "error_ratio": 0.02})
    database = FakeDatabase(limits={"used_connections": 85})
    finding = key_metrics(context(sources=fake_sources(metrics=metrics, database=database)))
    assert finding.status is FindingStatus.CRITICAL
    assert "p95 latency 1.25 s (critical)" in finding.summary
    assert "CPU usage of limit 97.00% (critical)" in finding.summary
    assert "database connections of maximum 85.00% (warning)" in finding.summary


def test_a_metric_that_is_not_exported_is_not_known_and_not_normal() -> None:
    finding = key_metrics(context(sources=fake_sources(metrics=FakeMetrics({"cpu_limit": None}))))
    assert finding.summary == "5 of 6 key metrics are normal; not known: CPU usage of limit."


def test_pods_without_a_limit_have_no_ratio() -> None:
    empty = frame([], columns=["time", "pod", "value"])
    metrics = FakeMetrics({"memory_ratio": empty, "cpu_limit": each_pod(0.0)})
    finding = key_metrics(context(service(), fake_sources(metrics=metrics)))
    assert "not known: CPU usage of limit, memory usage of limit" in finding.summary


def test_the_cpu_limits_of_pods_that_are_gone_are_not_those_of_the_pods_that_run() -> None:
    limits = each_pod(1.0, pods=("shop-1", "shop-2", "shop-3", "shop-evicted-1", "shop-evicted-2"))
    metrics = FakeMetrics({"cpu_usage": each_pod(0.97), "cpu_limit": limits})
    assert "CPU usage of limit 97.00% (critical)" in key_metrics(context(sources=fake_sources(metrics=metrics))).summary


def test_cpu_that_is_told_of_all_pods_together_is_held_against_a_limit_that_is_told_so_too() -> None:
    metrics = FakeMetrics({"cpu_usage": line(2.91), "cpu_limit": line(3.0)})
    assert "CPU usage of limit 97.00% (critical)" in key_metrics(context(sources=fake_sources(metrics=metrics))).summary


def test_cpu_without_a_pod_that_has_use_and_limit_is_not_known() -> None:
    metrics = FakeMetrics({"cpu_limit": each_pod(1.0, pods=("shop-evicted-1",))})
    assert "not known: CPU usage of limit" in key_metrics(context(sources=fake_sources(metrics=metrics))).summary


def rarely(*, rate: float, share: float, minutes: float, live: bool = True) -> tuple[Finding, Symptom]:
    """A service with so many requests per second, of which a share fails for the last minutes."""
    answers = {"error_ratio": line(0.0, share, at=ago(minutes)), "request_rate": line(rate)}
    given = context(sources=fake_sources(metrics=FakeMetrics(answers, rate_window_seconds=300)), live=live)
    finding = error_ratio(given)
    return finding, error_symptom(given, finding)


def test_a_single_failed_request_of_a_few_is_told_with_its_count_and_is_no_breach() -> None:
    finding, symptom = rarely(rate=16 / 300, share=1 / 16, minutes=4)
    assert finding.summary == (
        "1 of 16 requests to shop failed since 2026-03-01T03:56:00Z: too few to judge by, though 6.2% is above the limit of 5%."
    )
    assert (finding.status, symptom.breached, symptom.value) == (FindingStatus.WARNING, False, 1 / 16)


def test_a_nightly_request_that_fails_is_no_breach_either() -> None:
    finding, symptom = rarely(rate=1 / 300, share=1.0, minutes=4)
    assert finding.summary.startswith("1 of 1 requests to shop failed")
    assert symptom.breached is False


def test_few_requests_that_keep_failing_add_up_to_a_breach() -> None:
    assert rarely(rate=3 / 300, share=1.0, minutes=4)[1].breached is False
    assert rarely(rate=3 / 300, share=1.0, minutes=30)[1].breached is True


def test_usual_traffic_that_ceases_amid_its_errors_leaves_the_breach_standing() -> None:
    answers = {"error_ratio": line(0.0, 0.9, at=ago(10)), "request_rate": line(50.0, 0.001, at=ago(6))}
    given = context(sources=fake_sources(metrics=FakeMetrics(answers, rate_window_seconds=300)))
    assert error_symptom(given, error_ratio(given)).breached is True


def test_a_service_that_does_not_count_its_requests_is_judged_by_the_share_alone() -> None:
    answers = {"error_ratio": line(0.0, 0.3, at=ago(4)), "request_rate": None}
    given = context(sources=fake_sources(metrics=FakeMetrics(answers)))
    assert error_symptom(given, error_ratio(given)).breached is True
