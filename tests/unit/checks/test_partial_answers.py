"""A store behind Prometheus that does not answer: what was measured without it says so, and nothing is missing for its sake."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.checks.availability import availability
from runbook_lib.checks.breakers import circuit_breakers
from runbook_lib.checks.cache import cache_health
from runbook_lib.checks.connectivity import connectivity
from runbook_lib.checks.cpu import cpu
from runbook_lib.checks.database import database_connections
from runbook_lib.checks.downstream import downstream_health
from runbook_lib.checks.downstream_latency import downstream_latency
from runbook_lib.checks.error_rate import error_breakdown, error_ratio
from runbook_lib.checks.latency import latency, latency_breakdown
from runbook_lib.checks.memory import memory
from runbook_lib.checks.memory_trend import memory_trend
from runbook_lib.checks.node_pressure import node_pressure
from runbook_lib.checks.statements import statements
from runbook_lib.models.cause import Verdict
from runbook_lib.models.finding import Finding, Presence, Signal
from runbook_lib.testing import (
    FakeDatabase,
    FakeMetrics,
    ago,
    context,
    each_pod,
    error_symptom,
    examine,
    fake_sources,
    statistics,
)

DOWN = "store-1 is down"
CHECKS = [
    availability, cache_health, circuit_breakers, connectivity, cpu, database_connections, downstream_health, downstream_latency,
    error_breakdown, error_ratio, latency, latency_breakdown, memory, memory_trend, node_pressure,
]  # fmt: skip
ABSENT_IN_PART = [
    (memory, "memory_growing"),
    (memory, "memory_near_limit"),
    (memory_trend, "memory_leaking"),
    (memory_trend, "memory_levels_off"),
    (memory_trend, "memory_full"),
    (memory_trend, "memory_exhaustion_ahead"),
    (database_connections, "pool_saturated"),
    (database_connections, "pool_starved"),
    (database_connections, "pool_shrank"),
    (cpu, "cpu_throttled"),
    (downstream_health, "downstream_calls_failing"),
    (downstream_health, "downstream_slow"),
    (downstream_latency, "downstream_takes_time"),
    (error_breakdown, "errors_differ_by_version"),
    (latency_breakdown, "latency_differs_by_version"),
    (node_pressure, "node_cpu_short"),
    (connectivity, "retransmits_rose"),
    (circuit_breakers, "breaker_open"),
]
OF_THE_CLUSTER = [(memory, "oom_kills"), (memory_trend, "memory_kills"), (node_pressure, "node_troubled")]


def look(check: Any, answers: dict[str, Any] | None = None, *, missing: tuple[str, ...] = (DOWN,)) -> Finding:
    sources = fake_sources(metrics=FakeMetrics(answers, missing=missing))
    finding: Finding = check(context(sources=sources, symptom=error_symptom(ago(10))))
    return finding


def told(finding: Finding, name: str) -> Signal:
    signal = finding.signal(name)
    assert signal is not None, [one.name for one in finding.signals]
    return signal


@pytest.mark.parametrize("check", CHECKS)
def test_what_was_measured_without_a_store_that_does_not_answer_says_so_once(check: Any) -> None:
    assert look(check).notes.count(DOWN) == 1


@pytest.mark.parametrize(("check", "name"), ABSENT_IN_PART)
def test_what_is_absent_from_an_answer_in_part_is_not_known_to_be_absent(check: Any, name: str) -> None:
    assert told(look(check, missing=()), name).presence is Presence.ABSENT
    signal = told(look(check), name)
    assert signal.presence is Presence.UNKNOWN
    assert signal.text.endswith(f"and not all was asked: {DOWN}")


@pytest.mark.parametrize(("check", "name"), OF_THE_CLUSTER)
def test_what_the_cluster_itself_says_is_known_all_the_same(check: Any, name: str) -> None:
    assert told(look(check), name).presence is Presence.ABSENT


def test_what_is_seen_in_an_answer_in_part_is_there() -> None:
    full = {"pool_in_use": each_pod(5.0), "pool_size": each_pod(5.0)}
    assert told(look(database_connections, full), "pool_saturated").presence is Presence.PRESENT


@pytest.mark.parametrize(
    ("check", "measure", "name"),
    [
        (database_connections, "pool_in_use", "pool_saturated"),
        (memory_trend, "memory_working_set", "memory_leaking"),
        (memory, "memory_working_set", "memory_growing"),
        (downstream_health, "downstream_error_ratio", "downstream_calls_failing"),
    ],
)
def test_a_measure_that_was_not_found_is_not_told_as_one_that_is_not_exported(check: Any, measure: str, name: str) -> None:
    finding = look(check, {measure: None})
    signal = told(finding, name)
    assert signal.presence is Presence.UNKNOWN
    assert f"{measure} was not found, and not all was asked: {DOWN}" in signal.text
    assert "exports no" not in signal.text + finding.summary


def test_statements_of_a_database_that_does_not_count_them_are_told_in_whole_words() -> None:
    database = FakeDatabase(statements=statistics(missing="pg_stat_statements is not installed"))
    measured = FakeMetrics({"statement_latency": each_pod(0.01)}, missing=[DOWN])
    notes = statements(context(sources=fake_sources(metrics=measured, database=database))).notes
    assert DOWN in notes
    assert all(len(note) > 5 for note in notes)


def test_no_cause_is_ruled_out_by_what_was_not_answered() -> None:
    seen = examine("memory_leak", metrics=FakeMetrics(missing=[DOWN]))
    assert seen.verdicts["memory_leak"] is Verdict.UNKNOWN
    assert seen.roots == []
