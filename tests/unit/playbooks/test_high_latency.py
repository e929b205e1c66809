"""High latency: what requests wait for is confirmed, what follows from it is named so, and a slow release is the release."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from runbook_lib.checks.autoscaling import autoscaling_told
from runbook_lib.models.cause import Verdict
from runbook_lib.models.finding import Presence
from runbook_lib.models.frame import Frame, frame
from runbook_lib.testing import (
    PODS,
    Examination,
    FakeCache,
    FakeCluster,
    FakeDatabase,
    FakeMetrics,
    Sick,
    access,
    ago,
    changed,
    config_edit,
    curve,
    each_pod,
    examine,
    line,
    looks,
    plans,
    pods,
    revisions,
    statistics,
    together,
)
from tests.unit.playbooks.faults import closed_to

ISSUE = "high_latency"
ONSET = ago(10)
SLOW = line(0.2, 1.6, at=ONSET)
BUSY = each_pod(1.0, 4.0, at=ONSET)
WAITING = {"wait_event": "Lock: transactionid", "state_seconds": 1.2, "blocked_by": [7], "query": "insert into orders"}
IMPORT = {
    "pid": 7,
    "application": "price-import",
    "user": "batch",
    "state": "active",
    "wait_event": "Timeout: PgSleep",
    "backend_start": ago(11),
    "transaction_start": ago(0.02),
    "query": "select sku from products for update",
}


def slow(**measured: Any) -> FakeMetrics:
    return FakeMetrics({"latency_quantile": SLOW, "latency_by_route": SLOW.assign(route="/orders"), **measured})


def release(*edits: tuple[str, str, str, str], minutes: float = 10.5) -> FakeCluster:
    edit = edits or (("containers.shop.image", "image", "shop:1.0", "shop:2.0"),)
    return FakeCluster(history=revisions((1, ago(7 * 24 * 60)), (2, ago(minutes))), diffs={(1, 2): changed(*edit)})


def locked(*, blocker: dict[str, Any] | None = None) -> FakeDatabase:
    return FakeDatabase(activity=looks(4, others=(IMPORT | (blocker or {}),), **WAITING))


def look(metrics: FakeMetrics, **sources: Any) -> Examination:
    return examine(ISSUE, metrics=metrics, **sources)


# --- the symptom


def test_a_service_that_is_quick_confirms_nothing() -> None:
    seen = look(FakeMetrics())
    assert seen.roots == []
    assert seen.symptom.breached is False
    assert seen.findings["latency"].summary == ("95% of the requests to shop take no more than 50 ms, within the limit of 1 s.")


def test_the_symptom_is_dated_and_says_what_was_before() -> None:
    seen = look(slow())
    assert seen.symptom.breached
    assert seen.symptom.onset_at is not None
    assert abs(seen.symptom.onset_at - ONSET) < timedelta(seconds=30)
    assert seen.symptom.value == pytest.approx(1.6)
    assert "before 200 ms, peak 1.6 s" in seen.findings["latency"].summary
    assert seen.roots == []
    assert "/orders" in seen.findings["latency_breakdown"].summary


def test_a_service_without_requests_has_no_latency() -> None:
    nothing = Frame(SLOW[SLOW["time"] < ago(30)])
    seen = look(FakeMetrics({"latency_quantile": nothing}))
    assert seen.symptom.breached is None
    assert "answered no requests since" in seen.findings["latency"].summary


# --- causes


def test_whoever_holds_a_lock_that_statements_wait_for_is_named() -> None:
    seen = look(slow(pool_in_use=BUSY), database=locked())
    assert seen.roots == ["lock_contention"]
    cause = seen.cause("lock_contention")
    assert cause.subject == "pid 7 (price-import, active)"
    assert cause.actions == ("cancel_statement", "terminate_session"), "the gentler one first"
    assert cause.since is not None
    assert abs(cause.since - ONSET) < timedelta(seconds=30), "since the service holds more connections"


def test_a_transaction_that_was_left_open_dates_the_waiting() -> None:
    forgotten = {"state": "idle in transaction", "transaction_start": ago(12)}
    cause = look(slow(), database=locked(blocker=forgotten)).cause("lock_contention")
    assert cause.verdict is Verdict.CONFIRMED
    assert cause.since == ago(12)
    assert cause.actions == ("terminate_session",), "who is idle is at no statement that could be cancelled"


VACUUM = {"pid": 55, "application": "", "user": "", "kind": "autovacuum", "query": "autovacuum: VACUUM public.orders"}


def test_a_prepared_transaction_is_named_with_what_takes_it_back_and_no_action_is_offered() -> None:
    query = "ROLLBACK PREPARED 'order-1'"
    left = {"pid": 0, "application": "prepared transaction", "kind": "prepared", "state": "prepared", "query": query}
    activity = looks(3, others=(left | {"transaction_start": ago(12)},), **{**WAITING, "blocked_by": [0]})
    seen = look(slow(), database=FakeDatabase(activity=activity))
    cause = seen.cause("lock_contention")
    assert (cause.verdict, cause.since, cause.actions) == (Verdict.CONFIRMED, ago(12), ())
    assert "ROLLBACK PREPARED 'order-1'" in cause.why
    assert "pid 0" not in " ".join((cause.why, *seen.findings["database_activity"].notes))


def test_of_those_who_queue_behind_an_autovacuum_the_first_is_the_one_to_end() -> None:
    ddl = {**WAITING, "pid": 7, "application": "migration", "blocked_by": [55], "query": "alter table orders"}
    activity = looks(3, others=(ddl, VACUUM), **WAITING)
    seen = look(slow(pool_in_use=BUSY), database=FakeDatabase(activity=activity))
    cause = seen.cause("lock_contention")
    assert (cause.subject, cause.actions) == ("pid 7 (migration, active)", ("cancel_statement", "terminate_session"))
    notes = " ".join(seen.findings["database_activity"].notes)
    assert "waits itself for pid 55 (autovacuum: VACUUM public.orders)" in notes


def test_an_autovacuum_that_the_service_itself_waits_for_is_let_alone() -> None:
    activity = looks(3, others=(VACUUM,), **{**WAITING, "blocked_by": [55]})
    cause = look(slow(pool_in_use=BUSY), database=FakeDatabase(activity=activity)).cause("lock_contention")
    assert (cause.subject, cause.actions) == ("pid 55 (autovacuum: VACUUM public.orders)", ())


def test_an_idle_session_that_holds_a_lock_can_be_ended() -> None:
    idle = {"state": "idle", "application": "migrator"}
    cause = look(slow(pool_in_use=BUSY), database=locked(blocker=idle)).cause("lock_contention")
    assert (cause.subject, cause.actions) == ("pid 7 (migrator, idle)", ("terminate_session",))


def test_a_chain_of_waits_leads_to_its_root() -> None:
    between = {**WAITING, "pid": 8, "application": "worker", "blocked_by": [7]}
    activity = looks(3, others=(between, IMPORT), **{**WAITING, "blocked_by": [8]})
    assert look(slow(pool_in_use=BUSY), database=FakeDatabase(activity=activity)).cause("lock_contention").subject == (
        "pid 7 (price-import, active)"
    )


def test_the_full_pool_of_waiting_statements_is_their_consequence() -> None:
    full = each_pod(1.0, 5.0, at=ONSET)
    seen = look(slow(pool_in_use=full, pool_waiting=each_pod(0.0, 8.0, at=ONSET)), database=locked())
    assert seen.roots == ["lock_contention"]
    assert seen.consequences == {"db_pool_exhausted": "lock_contention"}


def test_statements_that_work_for_long_are_slow_and_no_contention() -> None:
    activity = looks(4, state_seconds=0.9, query="select * from orders where customer = ?")
    scanned = access("orders", live_rows=2e6, sequential_scans=5.0, sequential_rows=1e7)
    seen = look(slow(pool_in_use=BUSY), database=FakeDatabase(activity=activity, access=scanned))
    assert seen.roots == ["slow_statements"]
    assert any("public.orders (2,000,000 rows) is read" in line.text for line in seen.cause("slow_statements").evidence)


WITHOUT_INDEX = plans("(orders.customer = $1)")


def scanning(**values: Any) -> FakeDatabase:
    busy = looks(4, state_seconds=1.2, query="select * from orders where customer = ?", wait_event="IO: DataFileRead")
    scanned = access("orders", live_rows=1e5, sequential_scans=3.0, sequential_rows=3e5)
    return FakeDatabase(**{"activity": busy, "access": scanned, "plans": WITHOUT_INDEX, **values})


def test_statements_that_lack_an_index_are_slow_and_the_index_is_the_remedy() -> None:
    seen = look(slow(pool_in_use=BUSY), database=scanning())
    assert seen.roots == ["slow_statements"]
    cause = seen.cause("slow_statements")
    assert cause.actions == ("create_index",)
    assert any("to find about 20, and customer has no index" in line.text for line in cause.evidence)
    assert seen.findings["missing_index"].summary == (
        "A statement reads all 100,000 rows of public.orders to find about 20: "
        "an index on public.orders (customer) would find them."
    )


def test_the_full_pool_of_slow_statements_is_their_consequence() -> None:
    full = {"pool_in_use": each_pod(1.0, 5.0, at=ONSET), "pool_waiting": each_pod(0.0, 8.0, at=ONSET)}
    seen = look(slow(**full), database=scanning())
    assert seen.roots == ["slow_statements"]
    assert seen.consequences == {"db_pool_exhausted": "slow_statements"}


def test_where_no_pool_is_measured_the_counters_of_the_table_date_it() -> None:
    new = access("orders", live_rows=1e5, sequential_scans=3.0, sequential_rows=3e5, sequential_rows_before=3e5 * 640)
    seen = look(slow(pool_in_use=None), database=scanning(access=new))
    assert seen.roots == ["slow_statements"]
    assert seen.cause("slow_statements").since == ONSET


def test_a_table_that_was_read_so_all_week_is_no_news() -> None:
    week = access("orders", live_rows=1e5, sequential_scans=3.0, sequential_rows=3e5, sequential_rows_before=3e5 * 7 * 86_400)
    seen = look(slow(pool_in_use=None), database=scanning(access=week))
    assert seen.roots == []
    assert seen.verdicts["slow_statements"] is Verdict.SUSPECTED


def test_statistics_that_are_stale_are_told() -> None:
    stale = access("orders", live_rows=1e5, modified_rows=4e4)
    assert any(
        "ANALYZE public.orders" in note for note in look(slow(), database=scanning(access=stale)).findings["table_access"].notes
    )


def test_a_table_without_statistics_is_told_as_never_analyzed_only_when_all_its_rows_are_new() -> None:
    def notes(modified_rows: float) -> tuple[str, ...]:
        seen = access("orders", live_rows=1e5, modified_rows=modified_rows, last_analyze_at=None)
        return look(slow(), database=scanning(access=seen)).findings["table_access"].notes

    assert any("public.orders (100,000 rows) was never analyzed" in note for note in notes(1e5))
    assert not any("analyzed" in note for note in notes(0.0))


def test_code_that_brought_the_statement_is_the_release() -> None:
    seen = look(slow(pool_in_use=BUSY), database=scanning(), cluster=release())
    assert seen.roots == ["bad_deployment"]
    assert seen.consequences == {"slow_statements": "bad_deployment"}


def test_a_lock_beside_a_missing_index_leaves_both() -> None:
    rows = looks(4, state_seconds=1.2).to_dict("records") + looks(4, others=(IMPORT,), **WAITING).to_dict("records")
    both = frame(rows)
    both.attrs.update({"hidden": 0, "samples": 8})
    seen = look(slow(pool_in_use=BUSY), database=scanning(activity=both))
    assert set(seen.roots) == {"lock_contention", "slow_statements"}


def test_a_table_that_is_always_read_whole_is_no_cause_while_nothing_is_slow() -> None:
    seen = look(FakeMetrics(), database=scanning())
    assert seen.roots == []
    quick = scanning(activity=looks(1, state_seconds=0.01))
    assert look(slow(), database=quick).verdicts["slow_statements"] is Verdict.RULED_OUT


def test_an_index_whose_plan_may_not_be_seen_is_not_ruled_out() -> None:
    denied = plans("(orders.customer = $1)", plan=None, problem="permission denied", statement="select f($1)")
    seen = look(slow(pool_in_use=BUSY), database=scanning(plans=denied))
    assert seen.roots == ["slow_statements"]
    assert seen.cause("slow_statements").actions == ()
    signal = seen.findings["missing_index"].signal("index_missing")
    assert signal is not None
    assert signal.presence is Presence.UNKNOWN


def test_statements_of_somebody_else_are_not_the_service_s() -> None:
    other = plans("(orders.customer = $1)", application="reports")
    seen = look(slow(pool_in_use=BUSY), database=scanning(plans=other))
    assert not seen.cause("slow_statements").actions


def test_one_statement_that_runs_on_and_on_is_the_one_to_cancel() -> None:
    report = {"state_seconds": 630.0, "query_start": ago(10.5), "query": "select count(*) from a, b"}
    seen = look(slow(), database=FakeDatabase(activity=looks(1, **report)))
    assert seen.roots == ["slow_statements"]
    assert seen.cause("slow_statements").actions == ("cancel_statement",)
    assert seen.cause("slow_statements").since == ago(10.5)


def test_a_nightly_report_of_somebody_else_is_no_cause() -> None:
    report = {"pid": 9, "application": "reports", "state_seconds": 900.0, "query_start": ago(15)}
    seen = look(slow(pool_in_use=BUSY), database=FakeDatabase(activity=looks(1, others=(report,))))
    assert seen.roots == []
    assert "pid 9 (reports) has been at one statement for 15 min" in seen.findings["database_activity"].notes[0]


def test_a_backup_beside_slow_statements_is_not_the_one_to_cancel() -> None:
    backup = {"pid": 9, "application": "pg_dump", "database": "billing", "state_seconds": 900.0, "query_start": ago(15)}
    seen = look(slow(pool_in_use=BUSY), database=FakeDatabase(activity=looks(3, others=(backup,), state_seconds=1.2)))
    assert seen.roots == ["slow_statements"]
    assert seen.cause("slow_statements").actions == ()


def test_sessions_that_are_hidden_are_no_evidence_of_calm() -> None:
    seen = look(slow(), database=FakeDatabase(activity=looks(0, hidden=12)))
    assert seen.verdicts["lock_contention"] is Verdict.UNKNOWN
    assert "grant it pg_monitor" in seen.cause("lock_contention").why


def test_a_downstream_service_that_takes_long_and_answers_in_time() -> None:
    calls = together(line(0.02, 1.4, at=ONSET, downstream="payments"), line(0.02, downstream="inventory"))
    seen = look(slow(downstream_latency=calls))
    assert seen.roots == ["downstream_slow"]
    assert seen.cause("downstream_slow").subject == "payments"
    assert seen.cause("downstream_slow").actions == ("open_circuit_breaker",)


def test_calls_that_are_slow_since_they_were_redirected_are_the_rollout() -> None:
    calls = line(0.02, 1.4, at=ONSET, downstream="payments")
    edit = ("containers.shop.env.PAYMENTS_URL", "env", "http://payments", "http://payments.far")
    seen = look(slow(downstream_latency=calls), cluster=release(edit))
    assert seen.roots == ["bad_deployment"]
    assert seen.consequences == {"downstream_slow": "bad_deployment"}


def test_a_cache_that_ceased_to_answer() -> None:
    seen = look(
        slow(cache_hit_ratio=line(0.97, 0.05, at=ONSET)), cache=FakeCache(used_memory=64 * 2**20, maxmemory_policy="noeviction")
    )
    assert seen.roots == ["cache_misses"]
    assert seen.cause("cache_misses").actions == ("set_eviction_policy",)
    assert "Redis is full" in seen.findings["cache_health"].notes[0]


@pytest.mark.parametrize(
    ("app", "measured", "consequence"),
    [
        ("redis", {"cache_hit_ratio": line(0.97, 0.0, at=ONSET)}, "cache_misses"),
        ("postgres", {"pool_in_use": each_pod(1.0, 5.0, at=ONSET), "pool_size": each_pod(5.0)}, "db_pool_exhausted"),
    ],
)
def test_what_a_policy_keeps_the_pods_from_is_late_as_its_consequence(
    app: str, measured: dict[str, Any], consequence: str
) -> None:
    seen = look(slow(**measured), cluster=closed_to(app, at=ONSET - timedelta(seconds=5)))
    assert (seen.roots, seen.consequences) == (["network_partition"], {consequence: "network_partition"})
    assert seen.cause("network_partition").actions == ("delete_network_policy",)


def test_a_cache_that_answers_most_and_much_less_than_usual() -> None:
    seen = look(slow(cache_hit_ratio=line(0.98, 0.83, at=ONSET)), cache=FakeCache(used_memory=1))
    assert seen.roots == ["cache_misses"]
    assert seen.cause("cache_misses").actions == ("warm_cache",)


def test_a_cache_that_never_answered_much_is_no_news() -> None:
    assert look(slow(cache_hit_ratio=0.3)).verdicts["cache_misses"] is Verdict.RULED_OUT


def test_pods_at_their_cpu_limit() -> None:
    seen = look(slow(cpu_usage=each_pod(0.2, 0.99, at=ONSET)))
    assert seen.roots == ["cpu_exhaustion"]
    assert seen.cause("cpu_exhaustion").actions == ("scale_deployment",)


def test_pods_that_are_held_back_below_their_limit_are_short_of_cpu_too() -> None:
    seen = look(slow(cpu_usage=each_pod(0.2, 0.6, at=ONSET), cpu_throttled_ratio=each_pod(0.0, 0.7, at=ONSET)))
    assert seen.roots == ["cpu_exhaustion"]
    assert "held back by their limit" in seen.findings["cpu"].summary


def test_pods_that_are_held_back_may_be_given_more_beside_being_more() -> None:
    cause = look(slow(cpu_usage=each_pod(0.2, 0.6, at=ONSET), cpu_throttled_ratio=each_pod(0.0, 0.7, at=ONSET))).causes[0]
    assert cause.actions == ("scale_deployment", "set_resources")
    assert set(cause.pods) == set(PODS)


def test_pods_without_a_limit_that_wait_for_a_processor_are_short_of_it() -> None:
    seen = look(slow(cpu_usage=each_pod(0.2, 0.9, at=ONSET), cpu_limit=None, cpu_pressure_ratio=each_pod(0.02, 0.6, at=ONSET)))
    assert seen.roots == ["cpu_exhaustion"]
    assert "wait for a processor, up to 60% of the time" in seen.findings["cpu"].summary
    assert "180% of what it asks for" in seen.findings["cpu"].summary


def test_pods_whose_shortage_was_over_just_before_the_symptom_began_are_not_the_cause() -> None:
    begun, over = ONSET - timedelta(minutes=2), ONSET - timedelta(seconds=12)
    seen = look(slow(cpu_usage=each_pod(0.2, 0.99, at=begun, until=over)))
    assert seen.verdicts["cpu_exhaustion"] is Verdict.RULED_OUT


def test_a_node_that_has_no_cpu_to_give_makes_its_pods_slow() -> None:
    seen = look(slow(cpu_limit=None, cpu_pressure_ratio=None, node_cpu_ratio=line(0.5, 0.99, at=ONSET, node="node-1")))
    assert seen.roots == ["cpu_exhaustion"]
    cause = seen.cause("cpu_exhaustion")
    assert (cause.subject, set(cause.pods)) == ("node/node-1", set(PODS))
    assert cause.actions == ("scale_deployment", "delete_pods")


def test_a_node_that_is_full_now_and_was_never_watched_is_a_suspicion() -> None:
    full = FakeCluster().nodes().assign(cpu_cores=7.9)
    measured = slow(cpu_limit=None, cpu_pressure_ratio=None, node_cpu_ratio=None)
    assert look(measured, cluster=FakeCluster(nodes=Frame(full))).verdicts["cpu_exhaustion"] is Verdict.SUSPECTED


def test_who_may_not_see_the_nodes_is_told_so() -> None:
    seen = look(slow(node_cpu_ratio=None), cluster=FakeCluster(nodes=Sick("refused", "cannot list nodes")))
    finding = seen.findings["node_pressure"]
    assert "cannot list nodes" in finding.summary
    assert finding.signal("node_troubled").presence is Presence.UNKNOWN
    assert seen.verdicts["cpu_exhaustion"] is Verdict.UNKNOWN


def test_a_node_under_pressure_is_told_with_its_pods() -> None:
    troubled = FakeCluster().nodes().assign(since=ago(12))
    troubled["troubles"] = [["MemoryPressure"]]
    finding = look(slow(), cluster=FakeCluster(nodes=Frame(troubled))).findings["node_pressure"]
    assert finding.summary.startswith("node-1 is in trouble (MemoryPressure) with 3 pods of the service on it")
    assert finding.signal("node_troubled").since == ago(12)


def test_where_no_node_takes_more_pods_scaling_is_not_advised() -> None:
    waiting = pods(state="pending: Unschedulable", message="0/1 nodes are available: 1 Insufficient cpu.", only=PODS[2])
    seen = look(slow(cpu_usage=each_pod(0.2, 0.99, at=ONSET)), cluster=FakeCluster(pods=waiting))
    assert seen.roots == ["cpu_exhaustion"]
    assert "scale_deployment" not in seen.cause("cpu_exhaustion").actions


def test_pods_that_are_gone_are_not_counted() -> None:
    busy = each_pod(0.2, 0.99, at=ONSET)
    gone = line(0.9, pod="shop-old")
    seen = look(slow(cpu_usage=together(busy, Frame(gone[gone["time"] < ago(20)]))))
    assert seen.findings["cpu"].summary.startswith("3 of 3 pods use all the CPU they may")


def test_high_use_without_slow_requests_is_no_cause() -> None:
    seen = look(FakeMetrics({"cpu_usage": each_pod(0.2, 0.99, at=ONSET), "cpu_throttled_ratio": each_pod(0.0, 0.7, at=ONSET)}))
    assert seen.roots == []


def test_more_requests_are_told_as_the_reason_and_dearer_ones_as_another() -> None:
    busy = each_pod(0.3, 0.99, at=ONSET)
    notes = look(slow(cpu_usage=busy, request_rate=line(40.0, 90.0, at=ONSET))).findings["cpu"].notes
    assert notes[0].startswith("More requests come: 90 requests/s since")
    notes = look(slow(cpu_usage=busy, request_rate=40.0)).findings["cpu"].notes
    assert "each takes 3.3 times the CPU" in notes[0]


def test_what_follows_from_pods_that_stand_still_is_named_so() -> None:
    seen = look(
        slow(
            cpu_throttled_ratio=each_pod(0.0, 0.9, at=ONSET),
            downstream_latency=line(0.02, 1.4, at=ONSET, downstream="payments"),
            pool_in_use=each_pod(1.0, 5.0, at=ONSET),
            pool_waiting=each_pod(0.0, 8.0, at=ONSET),
        )
    )
    assert seen.roots == ["cpu_exhaustion"]
    assert seen.consequences == {"downstream_slow": "cpu_exhaustion", "db_pool_exhausted": "cpu_exhaustion"}


def test_an_autoscaler_that_can_give_no_more_says_so() -> None:
    blind = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"}
    facts = {
        "name": "shop", "min_replicas": 2, "max_replicas": 3, "current_replicas": 3, "desired_replicas": 3, "conditions": [blind],
    }  # fmt: skip
    seen = look(slow(cpu_usage=each_pod(0.2, 0.99, at=ONSET)), cluster=FakeCluster(autoscaler=facts))
    told = " ".join(seen.findings["cpu"].notes)
    assert "at its maximum of 3 replicas" in told
    assert "cannot read what it scales by: no metrics" in told
    assert seen.findings["cpu"].signal("autoscaler_at_maximum").presence is Presence.PRESENT


def test_an_autoscaler_that_rests_at_no_replicas_is_not_called_blind() -> None:
    message = "scaling is disabled since the replica count of the target is zero"
    resting = {"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled", "message": message}
    assert autoscaling_told({"name": "shop", "max_replicas": 3, "current_replicas": 0, "conditions": [resting]}) == []


def test_a_release_that_burns_cpu_is_the_release() -> None:
    seen = look(slow(cpu_usage=each_pod(0.2, 0.99, at=ONSET)), cluster=release())
    assert seen.roots == ["bad_deployment"]
    assert seen.consequences == {"cpu_exhaustion": "bad_deployment"}


def test_a_release_that_is_slow_by_itself_is_the_release() -> None:
    seen = look(slow(), cluster=release())
    assert seen.roots == ["bad_deployment"]
    assert seen.cause("bad_deployment").actions == ("rollback_deployment",)


def test_a_release_beside_a_lock_is_not_called_slow() -> None:
    seen = look(slow(pool_in_use=BUSY), cluster=release(), database=locked())
    assert seen.roots == ["lock_contention"]


def test_a_version_that_is_slower_than_the_other_is_the_release() -> None:
    versions = together(line(0.2, version="1.0"), line(0.2, 1.9, at=ONSET, version="2.0"))
    seen = look(slow(latency_by_version=versions), cluster=release())
    assert seen.roots == ["bad_deployment"]
    assert "Version 2.0 takes 1.75 s" in " ".join(seen.findings["latency_breakdown"].notes)


def test_a_pool_that_a_setting_made_too_small_is_the_setting() -> None:
    edits = config_edit("DATABASE_POOL_SIZE", "5", "1", at=ago(10.5))
    cluster = FakeCluster(config=edits)
    full = each_pod(1.0, 1.0)
    size = each_pod(5.0, 1.0, at=ONSET)
    seen = look(slow(pool_in_use=full, pool_size=size, pool_waiting=each_pod(0.0, 5.0, at=ONSET)), cluster=cluster)
    assert seen.roots == ["bad_deployment"]
    assert seen.cause("bad_deployment").actions == ("restore_configuration",)


def test_a_rollout_long_before_is_not_the_cause() -> None:
    assert look(slow(), cluster=release(minutes=55)).roots == []


def test_two_causes_at_once_are_both_roots() -> None:
    calls = line(0.02, 1.4, at=ONSET, downstream="payments")
    seen = look(slow(pool_in_use=BUSY, downstream_latency=calls), database=locked())
    assert set(seen.roots) == {"lock_contention", "downstream_slow"}


# --- sick sources


@pytest.mark.parametrize(
    ("dead", "unknown"),
    [
        ("database", {"lock_contention", "slow_statements"}),
        ("cluster", {"bad_deployment"}),
    ],
)
def test_a_dead_source_makes_its_causes_unknown(dead: str, unknown: set[str]) -> None:
    seen = look(slow(), **{dead: Sick("timeout", name=dead)})
    assert unknown <= {name for name, verdict in seen.verdicts.items() if verdict is Verdict.UNKNOWN}
    assert not seen.roots


def test_without_prometheus_the_symptom_is_not_known_and_the_lock_still_is_seen() -> None:
    seen = examine(ISSUE, metrics=Sick("unreachable", name="prometheus"), database=locked(blocker={"transaction_start": ago(9)}))
    assert seen.symptom.breached is None
    assert seen.verdicts["lock_contention"] is Verdict.UNKNOWN
    signal = seen.findings["database_activity"].signal("statements_wait_for_locks")
    assert signal is not None
    assert signal.presence is Presence.PRESENT


def test_every_pod_is_told_with_its_cpu() -> None:
    table = look(slow()).findings["cpu"].tables[0][1]
    assert sorted(table["pod"]) == sorted(PODS)


# --- what statements cost


def test_a_statement_that_takes_longer_than_before_is_told_by_prometheus_with_its_date() -> None:
    history = together(line(0.01, 0.4, at=ONSET, statement="42"), line(0.02, statement="43"))
    seen = look(slow(statement_latency=history))
    assert seen.roots == ["slow_statements"]
    cause = seen.cause("slow_statements")
    assert cause.since is not None
    assert abs(cause.since - ONSET) < timedelta(seconds=60)
    assert "takes 400 ms on average, 10 ms before (from Prometheus, before the onset)" in seen.findings["statements"].summary


def test_without_a_history_the_mean_since_the_reset_is_named_as_what_it_is() -> None:
    costs = statistics(mean_seconds=0.9, load=4.5, reset_at=ago(60 * 24))
    seen = look(slow(pool_in_use=BUSY), database=scanning(statements=costs, plans=plans()))
    assert seen.roots == ["slow_statements"]
    finding = seen.findings["statements"]
    assert "10 ms before (the mean since 2026-02-28T04:00:00Z, this incident included)" in finding.summary
    assert any("Prometheus has no history of single statements" in note for note in finding.notes)


def test_more_calls_of_a_statement_that_takes_as_long_as_ever_are_no_regression() -> None:
    costs = statistics(calls=500.0, load=5.0)
    assert look(slow(), database=FakeDatabase(statements=costs)).verdicts["slow_statements"] is Verdict.RULED_OUT


def test_without_the_extension_what_statements_cost_is_unknown_and_the_cause_is_not_ruled_out() -> None:
    seen = look(slow(), database=FakeDatabase(statements=statistics(missing="pg_stat_statements is not installed")))
    finding = seen.findings["statements"]
    assert finding.summary == "What statements cost is not known: pg_stat_statements is not installed."
    signal = finding.signal("statements_regressed")
    assert signal is not None
    assert signal.presence is Presence.UNKNOWN


def test_a_statement_that_waits_for_a_lock_takes_longer_and_is_no_second_cause() -> None:
    history = line(0.01, 1.2, at=ONSET, statement="42")
    seen = look(slow(pool_in_use=BUSY, statement_latency=history), database=locked())
    assert seen.roots == ["lock_contention"]
    assert seen.consequences == {"slow_statements": "lock_contention"}


def test_a_short_and_noisy_rise_of_connections_is_dated_by_the_symptom() -> None:
    begun, noise = ago(0.7), itertools.cycle((0.0, 2.0, 1.0, 3.0, 0.0))
    slow_since = line(0.2, 1.6, at=begun)
    busy = curve(lambda at: (4.0 if at >= begun else 2.0) + next(noise), pod="shop-1")
    metrics = FakeMetrics({"latency_quantile": slow_since, "pool_in_use": busy})
    seen = look(metrics, database=scanning(access=access("orders")))
    assert seen.roots == ["slow_statements"]
