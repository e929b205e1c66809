"""The fakes keep the sources' contract, so that a team's test says what an incident would."""

from __future__ import annotations

import doctest
import inspect

import pytest

from runbook_lib import errors, testing
from runbook_lib.models.cause import Verdict
from runbook_lib.models.finding import FindingStatus
from runbook_lib.sources import interface
from runbook_lib.testing import (
    NOW,
    FakeCache,
    FakeCluster,
    FakeDatabase,
    FakeHttp,
    FakeLogs,
    FakeMetrics,
    Hanging,
    Sick,
    Sickness,
    ago,
    examine,
    fake_sources,
    line,
    log_lines,
    service,
)

FAKES = {
    interface.Metrics: FakeMetrics,
    interface.Cluster: FakeCluster,
    interface.Logs: FakeLogs,
    interface.Database: FakeDatabase,
    interface.Cache: FakeCache,
    interface.Http: FakeHttp,
}


def test_the_example_of_the_documentation_runs() -> None:
    result = doctest.testmod(testing)
    assert result.attempted > 5
    assert result.failed == 0


@pytest.mark.parametrize(("protocol", "fake"), FAKES.items())
def test_a_fake_takes_the_same_arguments_as_its_source(protocol: type, fake: type) -> None:
    asked = {name: method for name, method in inspect.getmembers(protocol, inspect.isfunction) if not name.startswith("_")}
    assert asked
    for name, method in asked.items():
        assert inspect.signature(getattr(fake, name)) == inspect.signature(method), name


def test_a_healthy_service_confirms_nothing_and_warns_of_nothing() -> None:
    seen = examine("high_error_rate")
    assert seen.symptom.breached is False
    assert set(seen.verdicts.values()) == {Verdict.RULED_OUT}
    assert {finding.status for finding in seen.findings.values()} <= {FindingStatus.NORMAL, FindingStatus.INFO}


@pytest.mark.parametrize(
    ("sickness", "error"),
    [
        ("timeout", errors.SourceTimeout),
        ("unreachable", errors.SourceUnreachable),
        ("refused", errors.SourceRefused),
        ("invalid_answer", errors.SourceAnswerInvalid),
    ],
)
def test_a_sick_source_raises_what_the_real_one_does(sickness: Sickness, error: type[errors.SourceError]) -> None:
    sick = fake_sources(database=Sick(sickness, name="postgres")).database
    with pytest.raises(error, match="postgres: it is sick"):
        sick.limits()
    assert sick.probe().status == sickness


def test_a_sick_http_source_answers_without_a_status_as_the_real_one_does() -> None:
    answer = fake_sources(http=Sick("timeout")).http.get("http://payments.invalid/health", timeout_seconds=2)
    assert (answer.ok, answer.status, answer.state) == (False, None, "timeout")


def test_a_single_answer_may_be_sick() -> None:
    database = FakeDatabase(chains=Sick("refused", "permission denied"))
    assert database.limits()["max_connections"] == 100
    with pytest.raises(errors.SourceRefused, match="postgres: permission denied"):
        database.blocking_chains()


def test_a_hanging_source_ends_when_it_is_released() -> None:
    hanging = Hanging("prometheus")
    hanging.release()
    with pytest.raises(errors.SourceTimeout):
        hanging.instant("up")
    assert hanging.asked.is_set()


def test_series_are_cut_to_the_window_and_an_instant_is_the_last_row_of_each() -> None:
    metrics = FakeMetrics({"pool_in_use": 4.0, "error_ratio": line(0.0, 0.5, at=ago(5))})
    assert metrics.instant("error_ratio")["value"].tolist() == [0.5]
    assert metrics.instant("error_ratio", at=ago(10))["value"].tolist() == [0.0]
    assert metrics.instant("pool_size")["pod"].tolist() == ["shop-1", "shop-2", "shop-3"]
    assert metrics.instant("never_given").empty


def test_a_measure_without_an_answer_is_not_exported() -> None:
    assert FakeMetrics({"pool_in_use": None}).expressions().get("pool_in_use") is None
    assert FakeMetrics(downstream=()).expressions().get("downstream_rate") is None


def test_logs_are_merged_in_time_order_and_cut_to_the_window() -> None:
    late, early = log_lines("b", since=ago(5), until=ago(4)), log_lines("a", since=ago(600), until=ago(599))
    read = FakeLogs(late, early).read("app=shop", window=testing.HOUR)
    assert read["time"].is_monotonic_increasing
    assert set(read["message"]) == {"b", "GET /health 200"}
    assert read["time"].iloc[-1] == NOW


def test_sections_of_the_service_file_can_be_replaced() -> None:
    assert service("cart", dependencies={}).dependencies.downstream == ()
    assert service("cart").components.application.selector == "app=cart"
