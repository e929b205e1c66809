"""What every check of every playbook promises: a sick, empty or odd source costs its own evidence, and never the run."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from runbook_lib.models.finding import Finding, FindingStatus, Presence
from runbook_lib.models.frame import Frame, frame
from runbook_lib.playbooks import names, playbook
from runbook_lib.playbooks.declaration import CheckStep
from runbook_lib.testing import (
    NOW,
    FakeCluster,
    FakeDatabase,
    FakeHttp,
    FakeLogs,
    FakeMetrics,
    Sick,
    Sickness,
    ago,
    context,
    each_pod,
    error_symptom,
    fake_sources,
    line,
    pods,
    service,
    sessions,
)

STEPS = list({step.run: step for issue in names() for step in playbook(issue).checks}.values())
SICKNESSES: tuple[Sickness, ...] = ("timeout", "unreachable", "refused", "invalid_answer")
SOURCES = ("metrics", "cluster", "logs", "database", "cache", "http")
REASSURING = {"connects_quick"}  # signals of what is well
every_check = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)


def run(step: CheckStep, **sources: Any) -> Finding:
    return step.run(context(sources=fake_sources(**sources), symptom=error_symptom(ago(10))))


def troubles(finding: Finding) -> set[str]:
    return {signal.name for signal in finding.signals if signal.presence is Presence.PRESENT} - REASSURING


@every_check
def test_a_healthy_service_gives_a_finding_with_a_sentence_and_no_warning(step: CheckStep) -> None:
    finding = step.run(context())
    assert finding.name == step.name
    assert finding.status in (FindingStatus.NORMAL, FindingStatus.INFO)
    assert finding.summary.endswith(".")
    assert all(signal.presence is Presence.ABSENT for signal in finding.signals if signal.name not in REASSURING)
    assert all(status.status == "ok" for status in finding.sources)


@every_check
@pytest.mark.parametrize("sickness", SICKNESSES)
def test_with_all_sources_sick_it_says_so_and_knows_nothing(step: CheckStep, sickness: Sickness) -> None:
    finding = run(step, **{name: Sick(sickness, "broken", name=name) for name in SOURCES})
    assert finding.status is FindingStatus.UNKNOWN
    assert all(signal.presence is Presence.UNKNOWN for signal in finding.signals if signal.name != "database_unreachable")
    assert {status.status for status in finding.sources} <= {sickness, "ok"}
    assert any(status.status == sickness and status.error == "broken" for status in finding.sources)


@every_check
@pytest.mark.parametrize("dead", SOURCES)
def test_with_one_source_sick_no_signal_of_a_healthy_service_is_present(step: CheckStep, dead: str) -> None:
    finding = step.run(context(sources=fake_sources(**{dead: Sick("timeout", name=dead)})))
    assert not troubles(finding) or dead == "database"


@every_check
def test_empty_answers_are_not_evidence(step: CheckStep) -> None:
    nothing = FakeMetrics({name: frame([], columns=["time", "value"]) for name in FakeMetrics().label_values("__name__")})
    empty = FakeCluster(
        pods=pods([]), history=frame([], columns=["revision", "created_at", "change_cause", "first_ready_at", "current"])
    )
    finding = run(step, metrics=nothing, cluster=empty)
    present = {signal.name for signal in finding.signals if signal.presence is Presence.PRESENT}
    # a list without pods is what a service or a database that was scaled away looks like
    assert present <= {"database_pods_down", "unavailable"}


@every_check
def test_a_service_that_exports_nothing_is_no_error(step: CheckStep) -> None:
    silent = FakeMetrics(dict.fromkeys(FakeMetrics().label_values("__name__")))
    finding = run(step, metrics=silent)
    assert finding.summary.endswith(".")
    assert not troubles(finding)


@every_check
def test_values_that_are_not_numbers_are_no_evidence(step: CheckStep) -> None:
    def without_numbers(name: str) -> Frame:
        answer = FakeMetrics().instant(name)
        return Frame(answer.assign(value=float("nan")))

    odd = FakeMetrics({name: without_numbers(name) for name in FakeMetrics().label_values("__name__")})
    finding = run(step, metrics=odd)
    assert not troubles(finding)
    assert "nan" not in finding.summary


@every_check
def test_labels_that_are_missing_are_no_error(step: CheckStep) -> None:
    bare = FakeMetrics({name: line(0.0) for name in FakeMetrics().label_values("__name__")})
    assert run(step, metrics=bare).summary.endswith(".")


@pytest.mark.parametrize("name", ["memory", "database_connections", "error_breakdown", "pod_status", "key_metrics"])
def test_a_thousand_pods_are_told_of_in_bounded_space(name: str) -> None:
    step = next(step for step in STEPS if step.name == name)
    many = [f"shop-{number}" for number in range(1000)]
    times = pd.date_range(ago(15), NOW, periods=8)

    def on_all(value: float) -> Frame:
        return frame({"time": list(times) * len(many), "pod": [pod for pod in many for _ in times], "value": value})

    measured = {"pool_in_use": 5.0, "pool_size": 5.0, "memory_working_set": 1.9e8, "memory_limit": 2e8, "error_ratio_by_pod": 0.5}
    finding = run(
        step,
        metrics=FakeMetrics({measure: on_all(value) for measure, value in measured.items()}),
        cluster=FakeCluster(pods=pods(many), deployment={"replicas": 1000}),
    )
    assert len(finding.summary) < 500
    if finding.figure is not None and "series" in finding.figure.frame.columns:
        assert finding.figure.frame["series"].nunique() <= 8


@every_check
def test_a_past_window_is_looked_at_without_the_present_state_of_the_database(step: CheckStep) -> None:
    held = FakeDatabase(sessions=sessions(20, state="idle in transaction", state_seconds=900.0))
    finding = step.run(
        context(sources=fake_sources(database=held), live=False, symptom=error_symptom(ago(40), last_seen=ago(20)))
    )
    told = {signal.name: signal for signal in finding.signals}
    for name in ("connections_held_beyond_request", "sessions_blocked", "server_connections_exhausted"):
        if name in told:
            assert told[name].presence is Presence.UNKNOWN
            assert "past window" in told[name].text


@every_check
def test_a_service_file_that_knows_little_is_enough(step: CheckStep) -> None:
    bare = service(
        components={"application": {"deployment": "shop", "selector": "app=shop"}},
        dependencies={},
        connections={},
        instrumentation={},
    )
    assert step.run(context(bare)).summary.endswith(".")


@every_check
def test_signals_carry_aware_times_and_units(step: CheckStep) -> None:
    sources = fake_sources(
        metrics=FakeMetrics({"error_ratio": line(0.0, 0.5, at=ago(10)), "pool_in_use": each_pod(1, 5, at=ago(10))}),
        logs=FakeLogs(),
        http=FakeHttp({"payments": 503}),
    )
    for signal in step.run(context(sources=sources, symptom=error_symptom(ago(10)))).signals:
        assert signal.text
        assert signal.since is None or pd.Timestamp(signal.since).tzinfo is not None
        assert signal.value is None or signal.unit
