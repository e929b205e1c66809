"""The services that are called: whether the calls fail, and whether those services are well themselves."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.checks.breakers import circuit_breakers
from runbook_lib.checks.downstream import downstream_health
from runbook_lib.checks.downstream_latency import downstream_latency
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.service.called import measured_names
from runbook_lib.service.models import Downstream
from runbook_lib.testing import FakeHttp, FakeMetrics, Sick, ago, context, error_symptom, fake_sources, line, service, together

ONSET = ago(10)


def payments(value: float, name: str = "payments", **when: Any) -> Any:
    return together(line(0.0, value, downstream=name, **{"at": ONSET, **when}), line(0.0, downstream="inventory"))


def seen(metrics: Any = None, http: Any = None, *, onset: Any = ONSET, known: Any = None) -> Finding:
    sources = fake_sources(metrics=FakeMetrics(metrics), http=FakeHttp(http))
    return downstream_health(context(known, sources, symptom=error_symptom(onset)))


def of(finding: Finding, name: str, subject: str = "payments") -> Signal:
    return next(signal for signal in finding.signals if signal.name == name and signal.subject in (subject, None))


def test_failing_calls_and_an_unwell_service_are_told_together() -> None:
    finding = seen({"downstream_error_ratio": payments(0.9)}, {"payments": 503})
    assert finding.summary == (
        "payments: 90% of the calls to payments fail since 2026-03-01T03:50:00Z; its health endpoint answers 503 in 0.01 s."
    )
    assert finding.status is FindingStatus.CRITICAL
    failing = of(finding, "downstream_calls_failing")
    assert (failing.presence, failing.since, failing.value, failing.unit) == (Presence.PRESENT, ONSET, 0.9, "ratio")
    assert of(finding, "downstream_calls_failing", "inventory").presence is not Presence.UNKNOWN


def test_calls_that_take_nearly_as_long_as_the_timeout_are_slow() -> None:
    finding = seen({"downstream_latency": payments(1.9)})
    assert of(finding, "downstream_slow").value == 1.9
    assert "its 95th percentile is 1.9 s (timeout 2 s)" in finding.summary


def test_calls_that_failed_and_no_longer_do_are_no_news_for_a_service_that_is_well() -> None:
    finding = seen({"downstream_error_ratio": payments(0.9, at=ago(3), until=ago(2))}, onset=None)
    assert finding.status is FindingStatus.NORMAL


def test_one_endpoint_that_does_not_answer_is_that_services_trouble() -> None:
    finding = seen(http={"payments": Sick("timeout", "no answer within 2 s")})
    assert of(finding, "downstream_unhealthy").presence is Presence.PRESENT
    assert finding.status is FindingStatus.WARNING


def test_when_no_endpoint_at_all_answers_it_may_be_our_side() -> None:
    finding = seen(http={"": Sick("unreachable", "no route")})
    assert of(finding, "downstream_unhealthy").presence is Presence.UNKNOWN
    assert "from here" in of(finding, "downstream_unhealthy").text


def test_the_label_of_the_metrics_may_differ_from_the_name() -> None:
    known = service(dependencies={"downstream": [{"name": "payments", "label": "pay-v2", "timeout_seconds": 2}]})
    finding = seen({"downstream_error_ratio": payments(0.9, "pay-v2")}, known=known)
    assert of(finding, "downstream_calls_failing").subject == "payments"


HOST = "payments.shop.svc.cluster.local"


@pytest.mark.parametrize("label", [HOST, "payments:8080", "dns:///payments:50051", "http://Payments/"])
def test_a_host_that_begins_with_the_name_is_the_service(label: str) -> None:
    finding = seen({"downstream_error_ratio": payments(0.9, label), "downstream_latency": payments(1.9, label)})
    assert of(finding, "downstream_calls_failing").value == 0.9
    assert of(finding, "downstream_slow").value == 1.9
    calls = downstream_latency(context(sources=fake_sources(metrics=FakeMetrics({"downstream_latency": payments(1.9, label)}))))
    assert of(calls, "downstream_takes_time").presence is Presence.PRESENT
    assert of(calls, "downstream_takes_time").subject == "payments"


def test_calls_that_are_measured_under_no_name_of_the_service_are_unknown() -> None:
    other = {"downstream_error_ratio": payments(0.9, "pay-v2"), "downstream_latency": payments(1.9, "pay-v2")}
    finding = seen(other)
    for name in ("downstream_calls_failing", "downstream_slow"):
        assert of(finding, name).presence is Presence.UNKNOWN
        assert "no calls named payments are measured; there are: inventory, pay-v2" in of(finding, name).text
    assert finding.summary == (
        "Calls to 1 of 2 downstream services are answered normally (payments could not be looked at). "
        "No calls named payments are measured; there are: inventory, pay-v2."
    )
    assert of(finding, "downstream_calls_failing", "inventory").presence is Presence.ABSENT


@pytest.mark.parametrize("labels", [(HOST, "payments.billing"), ("payments:80", "payments:81")])
def test_a_name_that_may_be_two_hosts_is_neither(labels: tuple[str, str]) -> None:
    both = together(*(line(0.0, 0.9, at=ONSET, downstream=label) for label in labels))
    finding = seen({"downstream_error_ratio": both, "downstream_latency": None})
    assert of(finding, "downstream_calls_failing").presence is Presence.UNKNOWN
    assert finding.status is FindingStatus.UNKNOWN


def test_a_host_that_two_services_may_mean_is_neither() -> None:
    two = [Downstream(name="payments"), Downstream(name="pay", label="payments.shop")]
    assert measured_names(two, {HOST}) == {}
    assert measured_names(two, {HOST, "payments"}) == {"payments": "payments", HOST: "pay"}


def test_without_metrics_of_calls_they_are_unknown() -> None:
    finding = seen({"downstream_error_ratio": None, "downstream_latency": None})
    assert of(finding, "downstream_calls_failing").presence is Presence.UNKNOWN
    assert "exports no metric of its outgoing calls" in of(finding, "downstream_calls_failing").text


def test_a_service_that_calls_nobody_has_nothing_that_fails() -> None:
    finding = seen(known=service(dependencies={}))
    assert {signal.presence for signal in finding.signals} == {Presence.ABSENT}
    assert finding.summary == "The service file of shop names no downstream services."


@pytest.mark.parametrize(
    "body",
    [
        {"payments": {"state": "open"}},
        {"payments": "OPEN"},
        {"circuitBreakers": {"payments": {"state": "FORCED_OPEN"}}},
    ],
)
def test_an_open_breaker_is_read_from_whatever_the_framework_answers(body: Any) -> None:
    sources = fake_sources(http=FakeHttp({"circuit-breaker-status": body}))
    finding = circuit_breakers(context(sources=sources))
    assert finding.summary == "The circuit breaker of payments is open: calls are answered by the fallback."


@pytest.mark.parametrize("body", ["<html>", [], {"payments": 7}, {"circuitBreakers": None}, 503])
def test_an_odd_answer_about_breakers_is_no_error(body: Any) -> None:
    sources = fake_sources(http=FakeHttp({"circuit-breaker-status": body}))
    assert circuit_breakers(context(sources=sources)).status is FindingStatus.INFO


def test_an_open_breaker_is_read_from_the_metric() -> None:
    metrics = FakeMetrics({"breaker_state": together(line(1.0, downstream="payments"), line(0.0, downstream="inventory"))})
    finding = circuit_breakers(context(sources=fake_sources(metrics=metrics)))
    signal = finding.signal("breaker_open")
    assert signal is not None
    assert (signal.presence, signal.subject) == (Presence.PRESENT, "payments")
