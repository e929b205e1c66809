"""High latency by a slow network: told from slow neighbours, a full pool, a lack of CPU, and a database that is far away."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from runbook_lib.models.cause import Verdict
from runbook_lib.models.finding import Presence
from runbook_lib.models.frame import Frame
from runbook_lib.testing import PODS, Examination, FakeCluster, FakeMetrics, Sick, ago, each_pod, examine, line, pods, together

ISSUE = "high_latency"
ONSET = ago(10)
SLOW = line(0.2, 1.6, at=ONSET)
SETTINGS = {
    "DATABASE_URL": "postgresql://postgres:5432/shop",
    "REDIS_URL": "redis://redis:6379",
    "PAYMENTS_URL": "http://payments:8080",
}
PLACES = ("postgres:5432", "redis:6379", "payments:8080")
LATE = {"connects": {pod: dict.fromkeys(PLACES, 0.3) for pod in PODS}}
ALL_CALLS_LONGER = together(line(0.02, 0.45, at=ONSET, downstream="payments"), line(0.03, 0.5, at=ONSET, downstream="inventory"))


def cluster(**told: Any) -> FakeCluster:
    return FakeCluster(settings=SETTINGS, **told)


def look(*, metrics: dict[str, Any] | None = None, **sources: Any) -> Examination:
    return examine(ISSUE, metrics=FakeMetrics({"latency_quantile": SLOW, **(metrics or {})}), **sources)


def test_pods_that_connect_slowly_while_all_calls_take_longer_have_a_slow_network() -> None:
    seen = look(metrics={"downstream_latency": ALL_CALLS_LONGER}, cluster=cluster(**LATE))
    assert seen.roots == ["network_slow"]
    cause = seen.cause("network_slow")
    assert cause.since == ONSET
    assert set(cause.pods) == set(PODS)
    assert cause.actions == ("delete_pods",)
    assert seen.findings["connectivity"].summary == "3 of 3 pods take 300 ms to 300 ms to connect to anything that they need."


def test_one_pod_with_a_slow_network_is_told_by_its_answers() -> None:
    first, *others = PODS
    late = together(line(0.2, 2.5, at=ONSET, pod=first), *(line(0.2, pod=pod) for pod in others))
    seen = look(metrics={"latency_by_pod": late}, cluster=cluster(connects={first: dict.fromkeys(PLACES, 0.3)}))
    assert seen.roots == ["network_slow"]
    assert seen.cause("network_slow").pods == (first,)
    assert f"Pod {first} takes 300 ms to connect to anything that it needs, the others" in seen.findings["connectivity"].summary


def test_a_full_pool_follows_from_a_slow_network() -> None:
    full = {"pool_in_use": each_pod(2.0, 10.0, at=ONSET), "pool_waiting": each_pod(0.0, 5.0, at=ONSET)}
    seen = look(metrics={"downstream_latency": ALL_CALLS_LONGER, **full}, cluster=cluster(**LATE))
    assert seen.roots == ["network_slow"]
    assert seen.consequences.get("db_pool_exhausted") in (None, "network_slow")


def test_slow_calls_to_every_service_over_a_slow_network_are_no_slow_service() -> None:
    slow = together(line(0.02, 0.8, at=ONSET, downstream="payments"), line(0.03, 0.9, at=ONSET, downstream="inventory"))
    seen = look(metrics={"downstream_latency": slow}, cluster=cluster(**LATE))
    assert seen.roots == ["network_slow"]
    assert seen.cause("downstream_slow").verdict is Verdict.RULED_OUT


def test_one_slow_service_is_that_service() -> None:
    slow = together(line(0.02, 0.8, at=ONSET, downstream="payments"), line(0.03, downstream="inventory"))
    seen = look(metrics={"downstream_latency": slow}, cluster=cluster())
    assert seen.roots == ["downstream_slow"]


def test_where_pods_cannot_be_asked_slow_calls_to_every_service_name_nobody() -> None:
    slow = together(line(0.02, 0.8, at=ONSET, downstream="payments"), line(0.03, 0.9, at=ONSET, downstream="inventory"))
    seen = look(metrics={"downstream_latency": slow}, cluster=cluster(connects=Sick("refused", "pods/exec is forbidden")))
    assert seen.roots == []
    assert seen.cause("network_slow").verdict is Verdict.UNKNOWN
    assert seen.cause("downstream_slow").verdict is Verdict.UNKNOWN
    assert "pods/exec is forbidden" in seen.findings["connectivity"].summary


def test_pods_that_are_short_of_cpu_connect_slowly_for_that() -> None:
    starved = {"cpu_usage": each_pod(0.2, 0.98, at=ONSET), "cpu_throttled_ratio": each_pod(0.0, 0.9, at=ONSET)}
    seen = look(metrics={"downstream_latency": ALL_CALLS_LONGER, **starved}, cluster=cluster(**LATE))
    assert seen.roots == ["cpu_exhaustion"]
    assert seen.consequences["network_slow"] == "cpu_exhaustion"


def test_dependencies_that_were_always_far_away_are_not_the_cause() -> None:
    far = {"connects": {pod: dict.fromkeys(PLACES, 0.08) for pod in PODS}}
    assert look(cluster=cluster(**far)).roots == []


def test_a_database_that_takes_long_to_accept_connections_is_no_slow_network() -> None:
    busy = {"connects": {pod: {"postgres:5432": 0.9} for pod in PODS}}
    seen = look(metrics={"downstream_latency": ALL_CALLS_LONGER}, cluster=cluster(**busy))
    assert seen.findings["connectivity"].signal("connects_slow").presence is Presence.ABSENT


def test_a_healthy_service_connects_to_all_that_it_needs() -> None:
    seen = examine(ISSUE, cluster=cluster())
    assert seen.roots == []
    assert seen.findings["connectivity"].summary.startswith("3 pods of shop connect to all of")


@pytest.mark.parametrize("source", ["metrics", "cluster"])
def test_a_sick_source_makes_it_unknown_and_never_ruled_out(source: str) -> None:
    sick = Sick("unreachable", name={"metrics": "prometheus", "cluster": "kubernetes"}[source])
    told = {
        "metrics": FakeMetrics({"latency_quantile": SLOW, "downstream_latency": ALL_CALLS_LONGER}),
        "cluster": cluster(**LATE),
    }
    seen = examine(ISSUE, **{**told, source: sick})
    assert seen.cause("network_slow").verdict is Verdict.UNKNOWN


def test_retransmits_that_rise_support_it() -> None:
    lossy = line(0.001, 0.06, at=ONSET, node="node-1")
    seen = look(metrics={"downstream_latency": ALL_CALLS_LONGER, "tcp_retransmit_ratio": lossy}, cluster=cluster(**LATE))
    signal = seen.findings["connectivity"].signal("retransmits_rose")
    assert (signal.presence, signal.since, signal.subject) == (Presence.PRESENT, ONSET, "node/node-1")


def test_connecting_is_tried_from_no_pod_of_a_job() -> None:
    batch = pods([f"batch-{number}" for number in range(6)], owner="Job/batch")
    both = Frame(pd.concat([batch, pods()], ignore_index=True))
    seen = look(cluster=cluster(pods=both)).findings["connectivity"]
    assert set(dict(seen.tables)["Connections from inside the pods"]["pod"]) == set(PODS)
    assert not any(note.startswith("Tried from") for note in seen.notes)
