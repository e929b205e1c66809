"""High error rate: each fault's own cause is the only confirmed root, whatever else it brings with it."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from itertools import cycle
from typing import Any

import pytest

from runbook_lib.models.cause import Verdict
from runbook_lib.testing import (
    FakeCluster,
    FakeDatabase,
    FakeHttp,
    FakeLogs,
    FakeMetrics,
    Sick,
    Sickness,
    ago,
    each_pod,
    examine,
    log_lines,
    looks,
    sessions,
)
from tests.unit.playbooks import faults
from tests.unit.playbooks.faults import FAULTS, ONSET, POOL_TIMEOUT, errors, full_pool, rollout, sources

ISSUE = "high_error_rate"
SICKNESSES: tuple[Sickness, ...] = ("timeout", "unreachable", "refused", "invalid_answer")
CORE = (faults.leaked_connections, faults.slow_payments, faults.leaking_memory, faults.throwing_version, faults.wrong_address)
SOURCES = ("metrics", "cluster", "logs", "database", "cache", "http")
ONE_DEAD = [
    (fault, name, sickness) for (fault, name), sickness in zip([(f, s) for f in CORE for s in SOURCES], cycle(SICKNESSES))
]


@pytest.mark.parametrize(("fault", "cause"), FAULTS.values(), ids=FAULTS)
def test_the_fault_is_the_only_confirmed_root_and_ranks_first(fault: Any, cause: str) -> None:
    seen = examine(ISSUE, **sources(fault()))
    assert seen.roots == [cause], [(one.name, one.verdict, one.why) for one in seen.causes]
    assert seen.causes[0].name == cause
    assert seen.causes[0].confidence > 0.7


def test_a_healthy_service_confirms_nothing() -> None:
    seen = examine(ISSUE)
    assert seen.roots == []
    assert set(seen.verdicts.values()) == {Verdict.RULED_OUT}


# --- consequences


@pytest.mark.parametrize("fault", [faults.pool_shrunk_by_rollout, faults.pool_shrunk_by_config_map])
def test_a_full_pool_after_a_change_that_shrank_it_is_the_consequence_of_that_change(fault: Any) -> None:
    seen = examine(ISSUE, **sources(fault()))
    assert seen.consequences == {"db_pool_exhausted": "bad_deployment"}
    assert [cause.name for cause in seen.causes[:2]] == ["bad_deployment", "db_pool_exhausted"]
    assert "DATABASE_POOL_SIZE" in " ".join(line.text for line in seen.cause("bad_deployment").evidence)


@pytest.mark.parametrize(
    ("fault", "old", "new"),
    [
        (faults.wrong_address, {"PAYMENTS_URL": "http://payments:8080"}, {"PAYMENTS_URL": "http://payments:9"}),
        (faults.pool_shrunk_by_rollout, {"DATABASE_POOL_SIZE": "5"}, {"DATABASE_POOL_SIZE": "1"}),
    ],
)
def test_a_setting_in_a_config_map_named_by_its_hash_is_a_change_of_the_rollout(fault: Any, old: Any, new: Any) -> None:
    edit = ("containers[shop].envFrom", "env", "configmap/shop-7h2k9", "configmap/shop-m4f6t")
    maps = {"shop-7h2k9": old, "shop-m4f6t": new}
    told = {**fault(), "cluster": rollout(edit, at=ONSET - timedelta(seconds=30), config_maps=maps)}
    seen = examine(ISSUE, **sources(told))
    assert (seen.roots, set(seen.consequences.values())) == (["bad_deployment"], {"bad_deployment"})
    assert seen.cause("bad_deployment").actions == ("rollback_deployment",)


def test_calls_to_a_wrong_address_are_the_consequence_of_the_rollout_that_set_it() -> None:
    seen = examine(ISSUE, **sources(faults.wrong_address()))
    assert seen.consequences == {"downstream_timeout": "bad_deployment"}
    assert "PAYMENTS_URL" in " ".join(line.text for line in seen.cause("bad_deployment").evidence)


def test_code_that_runs_ahead_of_its_schema_is_the_consequence_of_its_rollout() -> None:
    seen = examine(ISSUE, **sources(faults.release_ahead_of_its_migration()))
    assert seen.consequences == {"schema_mismatch": "bad_deployment"}


def test_killed_pods_after_a_lowered_limit_are_the_consequence_of_the_rollout() -> None:
    seen = examine(ISSUE, **sources(faults.lowered_memory_limit()))
    assert seen.consequences in ({"memory_leak": "bad_deployment"}, {})
    assert "memory" in seen.cause("bad_deployment").why


@pytest.mark.parametrize(
    ("fault", "consequence", "actions"),
    [
        (faults.database_cut_off, "db_pool_exhausted", ("delete_network_policy",)),
        (faults.payments_cut_off, "downstream_timeout", ("open_circuit_breaker", "delete_network_policy")),
        (faults.cache_cut_off, "cache_unavailable", ("delete_network_policy",)),
    ],
)
def test_what_a_policy_keeps_the_pods_from_fails_as_its_consequence(
    fault: Any, consequence: str, actions: tuple[str, ...]
) -> None:
    seen = examine(ISSUE, **sources(fault()))
    assert seen.consequences == {consequence: "network_partition"}
    cause = seen.cause("network_partition")
    assert cause.actions == actions
    assert (cause.subject or "").startswith("networkpolicy/")


def test_a_policy_that_closed_the_way_long_ago_is_not_enforced_and_no_cause() -> None:
    told = {**faults.database_cut_off(), "cluster": faults.closed_to("postgres", at=ONSET - timedelta(days=3))}
    assert examine(ISSUE, **sources(told)).roots == ["db_pool_exhausted"]


def test_a_policy_that_closes_another_way_explains_nothing() -> None:
    told = {**faults.leaked_connections(), "cluster": faults.closed_to("payments")}
    assert examine(ISSUE, **sources(told)).roots == ["db_pool_exhausted"]


def test_connections_that_wait_for_a_slow_service_in_their_transaction_are_its_consequence() -> None:
    told = faults.slow_payments()
    told["metrics"] |= full_pool(ONSET + timedelta(seconds=20))
    told["logs"] = FakeLogs(
        log_lines(faults.READ_TIMEOUT, since=ONSET), log_lines(POOL_TIMEOUT, since=ONSET + timedelta(seconds=20))
    )
    told["database"] = FakeDatabase(sessions=sessions(15, state="idle in transaction", state_seconds=1.5))
    seen = examine(ISSUE, **sources(told))
    assert seen.roots == ["downstream_timeout"]
    assert seen.consequences == {"db_pool_exhausted": "downstream_timeout"}


def test_the_pool_that_slow_statements_fill_is_their_consequence_and_no_larger_one_is_offered() -> None:
    seen = examine(ISSUE, **sources(faults.slow_trigger()))
    assert seen.consequences == {"db_pool_exhausted": "slow_statements"}
    cause = seen.cause("slow_statements")
    assert (cause.actions, "high_latency" in cause.by_hand) == ((), True)
    stuck = looks(12, state_seconds=700.0, query_start=ONSET, query="select count(*) from a, b")
    stuck = {**faults.slow_trigger(), "database": FakeDatabase(activity=stuck)}
    assert examine(ISSUE, **sources(stuck)).cause("slow_statements").actions == ("cancel_statement",)


def test_what_pods_without_cpu_wait_for_is_the_consequence() -> None:
    seen = examine(ISSUE, **sources(faults.burnt_cpu()))
    assert seen.consequences == {"db_pool_exhausted": "cpu_exhaustion", "downstream_timeout": "cpu_exhaustion"}
    assert seen.cause("cpu_exhaustion").actions == ("scale_deployment",)
    assert set(examine(ISSUE, **sources(faults.cut_cpu())).consequences.values()) == {"bad_deployment"}


def test_pods_that_were_short_of_cpu_all_day_are_not_what_failed_the_requests() -> None:
    told = faults.slow_payments()
    told["metrics"]["cpu_usage"] = each_pod(0.99)
    seen = examine(ISSUE, **sources(told))
    assert seen.roots == ["downstream_timeout"]
    assert seen.verdicts["cpu_exhaustion"] is Verdict.RULED_OUT


def test_a_service_that_does_not_answer_stays_a_cause_beside_pods_without_cpu() -> None:
    told = faults.burnt_cpu()
    told["http"] = faults.slow_payments(health=Sick("timeout", "no answer within 2 s", name="http"))["http"]
    assert set(examine(ISSUE, **sources(told)).roots) == {"cpu_exhaustion", "downstream_timeout"}


def test_the_lock_that_fills_the_pool_is_named_and_ending_its_session_is_offered_in_place_of_a_restart() -> None:
    seen = examine(ISSUE, **sources(faults.locked_table()))
    cause = seen.cause("db_pool_exhausted")
    assert "pid 7 (psql, idle in transaction)" in cause.why
    assert cause.actions == ("terminate_session",)
    assert "pg_terminate_backend(7)" in " ".join(seen.findings["database_connections"].notes)


def test_a_larger_pool_is_not_offered_when_the_server_has_no_free_connection() -> None:
    assert "raise_pool_size" not in examine(ISSUE, **sources(faults.no_free_slots())).cause("db_pool_exhausted").actions


def test_where_the_database_limits_the_role_neither_a_restart_nor_a_larger_pool_is_offered() -> None:
    told = faults.too_much_load() | {"database": FakeDatabase(limits={"full_roles": ["shop"]})}
    cause = examine(ISSUE, **sources(told)).cause("db_pool_exhausted")
    assert cause.verdict is Verdict.CONFIRMED
    assert cause.actions == ()
    assert "role shop has as many connections as its CONNECTION LIMIT lets it have" in cause.why


@pytest.mark.parametrize("fault", [faults.changed_password, faults.refused_logins])
def test_a_pool_whose_connections_the_database_refuses_is_not_exhausted(fault: Any) -> None:
    seen = examine(ISSUE, **sources(fault()))
    assert seen.consequences == {"db_pool_exhausted": "database_refuses"}
    assert seen.cause("database_refuses").actions == ()


# --- two at once


def together(*parts: faults.Told) -> faults.Told:
    """Several faults in one service; their logs are merged."""
    merged: faults.Told = {}
    for part in parts:
        merged |= {name: value for name, value in part.items() if name not in ("metrics", "logs")}
    merged["metrics"] = {name: value for part in parts for name, value in part["metrics"].items()}
    records = [record for part in parts if "logs" in part for record in part["logs"].records]
    return {**merged, "logs": FakeLogs(*records)}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (faults.leaked_connections, faults.slow_payments, {"db_pool_exhausted", "downstream_timeout"}),
        (faults.throwing_version, faults.leaked_connections, {"bad_deployment", "db_pool_exhausted"}),
        (faults.slow_payments, faults.throwing_version, {"downstream_timeout", "bad_deployment"}),
        (faults.revoked, faults.slow_payments, {"database_refuses", "downstream_timeout"}),
    ],
)
def test_two_independent_faults_at_once_are_both_confirmed(first: Any, second: Any, expected: set[str]) -> None:
    seen = examine(ISSUE, **sources(together(first(), second())))
    assert set(seen.roots) == expected, [(one.name, one.verdict, one.why) for one in seen.causes]


# --- time


def test_a_pool_that_was_full_long_before_the_errors_and_not_since_is_not_their_cause() -> None:
    told = faults.throwing_version()
    told["metrics"] |= {
        "pool_in_use": each_pod(1.0, 5.0, at=ago(50), until=ago(40)),
        "pool_timeouts": each_pod(0.0, 3.0, at=ago(50), until=ago(40)),
    }
    seen = examine(ISSUE, **sources(told))
    assert seen.roots == ["bad_deployment"]
    assert seen.verdicts["db_pool_exhausted"] is Verdict.RULED_OUT


def test_what_begins_after_the_symptom_is_suspected_and_says_so() -> None:
    told = {"metrics": {**errors(ago(30)), **full_pool(ago(10))}, "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ago(10)))}
    cause = examine(ISSUE, **sources(told)).cause("db_pool_exhausted")
    assert cause.verdict is Verdict.SUSPECTED
    assert "after the symptom" in cause.why


@pytest.mark.parametrize("minutes", [45, 180])
def test_a_rollout_long_before_the_onset_is_not_the_cause_of_a_full_pool(minutes: int) -> None:
    edit = ("containers.shop.env.DATABASE_POOL_SIZE", "env", "8", "5")
    told = faults.leaked_connections() | {"cluster": rollout(edit, at=ONSET - timedelta(minutes=minutes))}
    assert examine(ISSUE, **sources(told)).roots == ["db_pool_exhausted"]


def test_a_mere_restart_before_the_onset_is_not_the_cause() -> None:
    restart = ("annotations.kubectl.kubernetes.io/restartedAt", "annotation", "", "2026-03-01T03:47:30Z")
    told = faults.leaked_connections() | {"cluster": rollout(restart, at=ONSET - timedelta(minutes=1))}
    seen = examine(ISSUE, **sources(told))
    assert seen.roots == ["db_pool_exhausted"]
    assert seen.verdicts["bad_deployment"] is Verdict.RULED_OUT


def test_a_harmless_rollout_just_before_another_fault_is_not_the_cause() -> None:
    edit = ("containers.shop.env.LOG_LEVEL", "env", "INFO", "DEBUG")
    for fault, cause in ((faults.leaked_connections, "db_pool_exhausted"), (faults.slow_payments, "downstream_timeout")):
        told = fault() | {"cluster": rollout(edit, at=ONSET - timedelta(minutes=1))}
        assert examine(ISSUE, **sources(told)).roots == [cause]


def test_a_cured_earlier_error_does_not_date_the_onset() -> None:
    told = faults.leaked_connections(since=ago(8))
    earlier = errors(ago(50), until=ago(40))["error_ratio"]
    told["metrics"]["error_ratio"] = earlier.assign(value=earlier["value"].where(earlier["time"] < ago(8), 0.4))
    told["logs"] = FakeLogs(
        log_lines("KeyError: 'currency'", since=ago(50), until=ago(40)), log_lines(POOL_TIMEOUT, since=ago(8))
    )
    seen = examine(ISSUE, **sources(told))
    assert seen.symptom.onset_at is not None
    assert abs(seen.symptom.onset_at - ago(8)) <= timedelta(seconds=30)
    assert seen.roots == ["db_pool_exhausted"]


def test_an_episode_that_has_ended_is_no_symptom_in_a_live_window_but_is_one_in_a_past_one() -> None:
    told = {"metrics": {**errors(ago(40), until=ago(20)), **full_pool(ago(40))}}
    told["metrics"]["pool_in_use"] = each_pod(1.0, 5.0, at=ago(40), until=ago(20))
    told["metrics"]["pool_timeouts"] = each_pod(0.0, 3.0, at=ago(40), until=ago(20))
    logs = FakeLogs(log_lines(POOL_TIMEOUT, since=ago(40), until=ago(20)))
    assert examine(ISSUE, **sources(told), logs=logs).symptom.breached is False
    past = examine(ISSUE, live=False, **sources(told), logs=logs)
    assert past.roots == ["db_pool_exhausted"]
    assert "connections_held_beyond_request" in [
        line.signal for line in past.cause("db_pool_exhausted").evidence if line.bearing == "missing"
    ]


# --- sick sources


@cache
def consequences(fault: Any) -> frozenset[str]:
    """What a fault brings with it when all sources are well: without the cluster, it may be all that is seen."""
    return frozenset(examine(ISSUE, **sources(fault())).consequences)


@pytest.mark.parametrize(("fault", "dead", "sickness"), ONE_DEAD)
def test_with_one_source_dead_nothing_wrong_is_confirmed_and_the_cause_is_not_ruled_out(
    fault: Any, dead: str, sickness: Sickness
) -> None:
    cause = dict(FAULTS.values())[fault]
    seen = examine(ISSUE, **(sources(fault()) | {dead: Sick(sickness, name=dead)}))
    assert set(seen.roots) <= {cause, *consequences(fault)}
    assert seen.verdicts[cause] is not Verdict.RULED_OUT
    asked = {status.name for finding in seen.findings.values() for status in finding.sources if status.status == sickness}
    assert asked == ({dead} if dead not in ("cache", "http") else set())


def test_without_prometheus_the_symptom_is_unknown_and_nothing_is_confirmed() -> None:
    seen = examine(ISSUE, **(sources(faults.leaked_connections()) | {"metrics": Sick("timeout", name="prometheus")}))
    assert seen.symptom.breached is None
    assert seen.roots == []
    assert {seen.verdicts[name] for name in ("db_pool_exhausted", "downstream_timeout")} == {Verdict.UNKNOWN}


def test_without_the_cluster_a_deployment_is_unknown_and_what_is_missing_is_told() -> None:
    seen = examine(ISSUE, **(sources(faults.throwing_version()) | {"cluster": Sick("refused", "forbidden", name="kubernetes")}))
    cause = seen.cause("bad_deployment")
    assert cause.verdict is Verdict.UNKNOWN
    assert "kubernetes refused: forbidden" in " ".join(line.text for line in cause.evidence if line.bearing == "missing")


def test_with_every_source_dead_all_is_unknown() -> None:
    seen = examine(ISSUE, **{name: Sick("unreachable", name=name) for name in SOURCES})
    assert set(seen.verdicts.values()) == {Verdict.UNKNOWN}


# --- other instrumentations


def test_without_pool_metrics_the_logs_tell_of_the_pool() -> None:
    told = faults.leaked_connections()
    told["metrics"] |= dict.fromkeys(("pool_in_use", "pool_size", "pool_waiting", "pool_timeouts"))
    assert examine(ISSUE, **sources(told)).roots == ["db_pool_exhausted"]


def test_without_metrics_of_outgoing_calls_the_logs_tell_of_the_dependency() -> None:
    told = faults.slow_payments() | {"http": FakeHttp({"payments": 503})}
    told["metrics"] |= {"downstream_error_ratio": None, "downstream_latency": None}
    seen = examine(ISSUE, **sources(told))
    assert seen.roots == ["downstream_timeout"]
    assert seen.cause("downstream_timeout").subject == "payments"


def test_a_service_without_dependencies_is_examined_all_the_same() -> None:
    seen = examine(ISSUE, metrics=FakeMetrics(errors(), downstream=()), cluster=FakeCluster())
    assert seen.roots == []
