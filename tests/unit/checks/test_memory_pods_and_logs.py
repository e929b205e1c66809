"""Memory against its limit, the state of the pods, and what the logs say."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from runbook_lib.checks.logs import error_logs
from runbook_lib.checks.memory import memory
from runbook_lib.checks.memory_trend import memory_trend
from runbook_lib.checks.pods import pod_status
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import frame
from runbook_lib.testing import (
    PODS,
    FakeCluster,
    FakeLogs,
    FakeMetrics,
    ago,
    context,
    curve,
    each_pod,
    error_symptom,
    events,
    fake_sources,
    log_lines,
    pods,
    service,
    together,
)

MIB = 2.0**20
ONSET = ago(10)


def told(finding: Finding, name: str) -> Signal:
    signal = finding.signal(name)
    assert signal is not None
    return signal


def growing(at: datetime) -> float:
    return (60 + 3 * (at - ago(60)).total_seconds() / 60) * MIB


def look(check: Any, **sources: Any) -> Finding:
    finding: Finding = check(context(sources=fake_sources(**sources), symptom=error_symptom(ONSET)))
    return finding


# --- memory


def test_growth_is_told_in_mebibytes_per_minute_with_when_the_limit_is_reached() -> None:
    measured = {"memory_working_set": together(*(curve(growing, pod=pod) for pod in PODS)), "memory_limit": each_pod(256 * MIB)}
    finding = look(memory, metrics=FakeMetrics(measured))
    assert "3 of 3 pods grow, the fastest by 3.0 MiB per minute" in finding.summary
    assert told(finding, "memory_growing").unit == "bytes/min"
    assert told(finding, "memory_near_limit").presence is Presence.PRESENT
    assert finding.frame is not None
    assert finding.frame["full in"].tolist() == ["5m 20s"] * 3


def test_pods_without_a_limit_have_no_share_of_it() -> None:
    metrics = FakeMetrics({"memory_limit": frame([], columns=["time", "pod", "value"])})
    finding = look(memory, metrics=metrics)
    assert "(it has no limit)" in finding.summary
    assert told(finding, "memory_near_limit").presence is Presence.UNKNOWN
    assert told(finding, "memory_near_limit").text.endswith("the pods have no memory limit")


def test_use_now_and_the_most_of_the_limit_are_not_mixed_up() -> None:
    falling = curve(lambda at: (90 if at < ago(1) else 50) * MIB, pod="shop-1")
    limit = curve(lambda at: 100 * MIB, pod="shop-1")
    finding = look(memory, metrics=FakeMetrics({"memory_working_set": falling, "memory_limit": limit}))
    assert finding.summary == "shop-1 uses 50 MiB (50% of its limit, 90% at the most)."


def test_pods_of_earlier_rollouts_are_not_listed_among_those_of_now() -> None:
    now, gone = curve(lambda at: 50 * MIB, pod="shop-1"), curve(lambda at: 99 * MIB, pod="old-1")
    used = together(now, gone[gone["time"] < ago(40)])
    finding = look(memory, metrics=FakeMetrics({"memory_working_set": used}))
    assert finding.frame is not None
    assert finding.frame["pod"].tolist() == ["shop-1"]


def test_a_level_that_sways_does_not_grow() -> None:
    swaying = curve(lambda at: (100 + 15 * (at.minute % 2)) * MIB, pod="shop-1")
    assert told(look(memory, metrics=FakeMetrics({"memory_working_set": swaying})), "memory_growing").presence is Presence.ABSENT


def test_a_leak_is_dated_where_it_began_and_not_where_its_process_did() -> None:
    slow = curve(lambda at: (60 + 1.0 * (at - ago(60)).total_seconds() / 60) * MIB, pod="shop-1")
    bent = slow.assign(value=slow["value"] + [max(0.0, (at - ago(20)).total_seconds() / 60) * 5 * MIB for at in slow["time"]])
    limit = each_pod(300 * MIB, pods=["shop-1"])
    since = told(look(memory, metrics=FakeMetrics({"memory_working_set": bent, "memory_limit": limit})), "memory_growing").since
    assert since is not None
    assert ago(23) < since < ago(17)


def test_a_leak_that_filled_the_pods_within_a_minute_is_growth() -> None:
    def fast(at: datetime) -> float:
        return (60 + max(0.0, (at - ago(1)).total_seconds())) * MIB

    measured = {"memory_working_set": together(*(curve(fast, pod=pod) for pod in PODS)), "memory_limit": each_pod(128 * MIB)}
    signal = told(look(memory, metrics=FakeMetrics(measured)), "memory_growing")
    assert signal.presence is Presence.PRESENT
    assert signal.since is not None
    assert signal.since >= ago(2)


@pytest.mark.parametrize(("ended", "presence"), [(ago(9), Presence.PRESENT), (ago(60 * 24 * 3), Presence.ABSENT)])
def test_only_kills_of_this_episode_count(ended: datetime, presence: Presence) -> None:
    killed = FakeCluster(pods=pods(only="shop-2", last_state="OOMKilled (exit 137)", last_terminated_at=ended))
    finding = look(memory, cluster=killed)
    assert told(finding, "oom_kills").presence is presence
    assert told(finding, "oom_kills").since == (ended if presence is Presence.PRESENT else None)


# --- pods


def test_pods_that_wait_are_told_with_why_and_how_many() -> None:
    waiting = FakeCluster(pods=pods(only="shop-3", ready=False, restarts=7, state="waiting: CrashLoopBackOff"))
    finding = look(pod_status, cluster=waiting)
    assert finding.summary == "2 of 3 pods are ready; their containers restarted 7 times; 1 wait: CrashLoopBackOff."
    assert finding.status is FindingStatus.WARNING
    assert told(finding, "pods_not_ready").text == "1 of 3 pods are not ready"


def test_how_a_container_ended_and_when_are_told_apart() -> None:
    ended = {"last_state": "OOMKilled (exit 137) at 2026-03-01T03:59:00Z", "last_terminated_at": ago(1)}
    table = dict(look(pod_status, cluster=FakeCluster(pods=pods(only="shop-2", **ended))).tables)["Pods"]
    assert dict(zip(table["pod"], table["last_end"], strict=True)) == {
        "shop-1": "",
        "shop-2": "OOMKilled (exit 137)",
        "shop-3": "",
    }
    assert table["ended_at"].dropna().tolist() == [ago(1)]


def test_a_new_pod_that_cannot_start_is_a_warning_even_while_enough_are_ready() -> None:
    four = [*PODS, "shop-4"]
    stuck = FakeCluster(pods=pods(four, only="shop-4", ready=False, state="waiting: ImagePullBackOff"))
    finding = look(pod_status, cluster=stuck)
    assert finding.summary.startswith("3 of 3 pods are ready")
    assert finding.status is FindingStatus.WARNING


def test_a_pod_that_is_about_to_end_is_not_missed() -> None:
    ending = FakeCluster(pods=pods([*PODS, "shop-4"], only="shop-4", ready=False, state="terminating"))
    finding = look(pod_status, cluster=ending)
    assert told(finding, "pods_not_ready").presence is Presence.ABSENT
    assert finding.status is FindingStatus.NORMAL


def test_no_pod_at_all_is_critical_whatever_the_deployment_asks_for() -> None:
    finding = look(pod_status, cluster=FakeCluster(pods=pods([]), deployment={"replicas": 0}))
    assert finding.summary == "0 of 1 pods are ready."
    assert finding.status is FindingStatus.CRITICAL


def test_fewer_pods_than_the_team_needs_is_a_warning() -> None:
    known = service(components={"application": {"deployment": "shop", "selector": "app=shop", "replicas_minimum": 3}})
    one = fake_sources(cluster=FakeCluster(pods=pods(["shop-1"]), deployment={"replicas": 1}))
    assert pod_status(context(known, one)).summary == "1 of 3 pods are ready."


def test_an_autoscaler_is_named_since_scaling_by_hand_is_undone_by_it() -> None:
    autoscaler = {"name": "shop", "min_replicas": 2, "max_replicas": 9, "current_replicas": 3}
    finding = look(pod_status, cluster=FakeCluster(autoscaler=autoscaler, events=events((ago(5), "Unhealthy", "shop-1", "x"))))
    assert "2 to 9 replicas (now 3)" in finding.notes[0]
    assert [caption for caption, _ in finding.tables] == ["Pods", "Events"]


# --- logs


def test_the_most_frequent_error_is_told_with_its_share_and_example() -> None:
    logs = FakeLogs(
        log_lines("PoolTimeout: couldn't get a connection", since=ONSET, every_seconds=2),
        log_lines("KeyError: 'currency'", since=ONSET, every_seconds=8),
    )
    finding = look(error_logs, logs=logs)
    assert finding.summary.startswith("375 errors in the logs of 3 of 3 pods")
    assert "80% of them: PoolTimeout: couldn't get a connection (no free database connection)" in finding.summary
    pool = told(finding, "log_database_pool_errors")
    assert (pool.presence, pool.since, pool.value, pool.unit) == (Presence.PRESENT, ONSET, 0.8, "ratio")
    assert told(finding, "log_application_errors").presence is Presence.PRESENT


def test_a_handful_among_many_is_a_by_product() -> None:
    logs = FakeLogs(
        log_lines("KeyError: 'currency'", since=ONSET, every_seconds=1),
        log_lines("redis: MISCONF", since=ONSET, every_seconds=60),
    )
    finding = look(error_logs, logs=logs)
    assert told(finding, "log_cache_errors").presence is Presence.ABSENT
    assert told(finding, "log_cache_errors").text == "only 10 of 610 errors in the logs: cache errors"
    assert told(finding, "log_memory_errors").text == "the logs show no errors of the kind: out of memory"


def test_the_same_error_an_hour_ago_does_not_date_this_one() -> None:
    logs = FakeLogs(log_lines("KeyError: 'a'", since=ago(50), until=ago(45)), log_lines("KeyError: 'a'", since=ONSET))
    assert told(look(error_logs, logs=logs), "log_application_errors").since == ONSET


def test_the_dependency_that_most_errors_name_is_the_subject() -> None:
    logs = FakeLogs(log_lines("ReadTimeout: POST http://payments:8080/charges", since=ONSET))
    assert told(look(error_logs, logs=logs), "log_downstream_errors").subject == "payments"


def test_lines_without_a_level_are_read_by_their_words() -> None:
    logs = FakeLogs(
        log_lines("Exception in thread main: KeyError", since=ONSET, level=""), log_lines("served", since=ONSET, level="")
    )
    assert "120 errors" in look(error_logs, logs=logs).summary


def test_what_was_left_out_is_told() -> None:
    logs = FakeLogs(attrs={"truncated": ["shop-1"], "unread": {"shop-2": "forbidden"}})
    notes = " ".join(look(error_logs, logs=logs).notes)
    assert "Older lines were left out for 1 pods" in notes
    assert "1 containers could not be read: shop-2" in notes


def test_the_command_reads_all_pods_over_the_window_and_not_ten_lines_of_each() -> None:
    options = "-l app=shop --all-containers --prefix --tail=-1 --since=1h"
    assert look(error_logs).command == f"kubectl -n shop logs {options} | grep -i error"


@pytest.mark.parametrize(
    ("values", "container", "presence"),
    [
        ({"last_state": "OOMKilled (exit 137) in vector at 2026-03-01T03:50:00Z"}, "shop", Presence.ABSENT),
        ({"state": "terminated: OOMKilled (exit 137) (vector)"}, "shop", Presence.ABSENT),
        ({"state": "waiting: init container migrate: OOMKilled (exit 137)"}, "shop", Presence.ABSENT),
        ({"last_state": "OOMKilled (exit 137) in vector at 2026-03-01T03:50:00Z"}, None, Presence.PRESENT),
        ({"last_state": "OOMKilled (exit 137) at 2026-03-01T03:50:00Z"}, "shop", Presence.PRESENT),
        ({"state": "terminated: OOMKilled (exit 137) (shop)"}, "shop", Presence.PRESENT),
    ],
)
def test_a_kill_of_a_container_that_is_not_the_applications_is_none_of_its_memory(
    values: dict[str, str], container: str | None, presence: Presence
) -> None:
    known = service(components={"application": {"deployment": "shop", "selector": "app=shop", "container": container}})
    found = pods(only="shop-1", last_terminated_at=ago(1), **values)
    given = context(known, fake_sources(cluster=FakeCluster(pods=found)))
    assert told(memory(given), "oom_kills").presence is presence
    assert told(memory_trend(given), "memory_kills").presence is presence
