"""Deleting pods one by one: which, how far budget and policy let it go, and where it stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.guard import propose
from runbook_lib.actions.pod_deletion import DELETE_PODS
from runbook_lib.models.cause import Cause, Diagnosis, Verdict
from runbook_lib.models.plan import Outcome, Plan, Proposal
from tests.unit.actions.cluster_api import Cluster
from tests.unit.actions.situations import START, a_context, a_diagnosis

FIRST, SECOND, THIRD = (f"orders-14-{index}" for index in range(3))


def proposed(folder: Path, api: ApiClient, *pods: str, **fields: Any) -> Proposal:
    context = a_context(folder, api_client=api, **fields)
    return propose(DELETE_PODS, context, pods=list(pods)) if pods else propose(DELETE_PODS, context)


def planned(folder: Path, api: ApiClient, *pods: str, **fields: Any) -> Plan:
    proposal = proposed(folder, api, *pods, **fields)
    assert proposal.plan is not None, proposal.outcome.text
    return proposal.plan


def done(folder: Path, api: ApiClient, *pods: str, typed: str | None = None) -> Outcome:
    proposal = proposed(folder, api, *pods)
    assert proposal.approve is not None, proposal.outcome.text
    return proposal.approve(typed)


def naming(*pods: str) -> Diagnosis:
    """A confirmed leak that was seen in these pods."""
    leak = Cause(
        name="memory_leak", title="Memory leak", verdict=Verdict.CONFIRMED, confidence=0.9, why="", pods=pods,
        actions=("delete_pods",),
    )  # fmt: skip
    return Diagnosis(symptoms=a_diagnosis().symptoms, causes=(leak,), summary="", at=START)


def unready(cluster: Cluster, *names: str) -> None:
    for name in names:
        cluster.objects["pods", name]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]


def owned_by(cluster: Cluster, name: str, *owners: dict[str, Any]) -> None:
    cluster.objects["pods", name]["metadata"]["ownerReferences"] = [{"uid": "-", "controller": True, **one} for one in owners]


def test_the_pods_that_the_diagnosis_names_leave_one_after_the_other(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = proposed(tmp_path, api, diagnosis=naming(FIRST, THIRD))
    assert proposal.plan is not None
    assert (proposal.plan.risk, str(proposal.plan.target)) == ("low", "deployment/orders")
    assert proposal.plan.command.splitlines()[0].startswith(f"kubectl -n shop delete pod {FIRST} ")
    assert cluster.leaving == []
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "executed", outcome.text
    assert cluster.leaving == [FIRST, THIRD]
    assert ("pods", SECOND) in cluster.objects
    assert len(outcome.steps) == 2
    assert proposal.undo is None


def test_without_names_nothing_is_guessed(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    outcome = proposed(tmp_path, api).outcome
    assert outcome.status == "refused"
    assert "restart_pods replaces all of them" in outcome.text
    assert cluster.leaving == []


def test_the_grace_period_is_the_pods_own(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    assert done(tmp_path, api, FIRST).status == "executed"
    assert not [path for method, path in cluster.requests if method == "DELETE"], "an eviction was to be enough"
    assert all(set(options) == {"preconditions"} for options in cluster.asked)


def test_a_budget_without_room_is_waited_for_and_then_told(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.budget(0)
    proposal = proposed(tmp_path, api, FIRST)
    assert proposal.plan is not None
    assert any("pdb/orders needs 3 healthy pods and has 3" in warning for warning in proposal.plan.warnings)
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "refused"
    assert "waited 60s" in outcome.text
    assert cluster.leaving == []


def test_a_budget_that_is_spent_on_the_way_stops_it_and_what_was_done_stays(
    tmp_path: Path, cluster: Cluster, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = cluster.let_go

    def spends(name: str) -> None:
        leave(name)
        cluster.budget(0)

    monkeypatch.setattr(cluster, "let_go", spends)
    outcome = done(tmp_path, api, FIRST, SECOND)
    assert outcome.status == "failed"
    assert "step 2 of 2" in outcome.text
    assert "what was done before stays done" in outcome.text
    assert cluster.leaving == [FIRST]


@pytest.mark.parametrize("code", ["404", "405"])
def test_a_cluster_without_evictions_gets_a_deletion_bound_to_the_pod(
    tmp_path: Path, cluster: Cluster, api: ApiClient, code: str
) -> None:
    cluster.evictions, cluster.fails["POST eviction"] = False, code
    cluster.denied.add("create pods/eviction")  # who serves none needs no permission for it
    assert done(tmp_path, api, FIRST).status == "executed"
    assert [method for method, path in cluster.requests if path.endswith(FIRST) and method == "DELETE"] == ["DELETE"]


def test_without_evictions_the_budget_is_looked_at_all_the_same(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.evictions = False
    cluster.budget(0)
    outcome = done(tmp_path, api, FIRST)
    assert outcome.status == "refused"
    assert "pdb/orders" in outcome.text
    assert cluster.leaving == []


def test_evictions_that_the_cluster_lists_and_does_not_serve_are_done_as_deletions(
    tmp_path: Path, cluster: Cluster, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.evictions = False
    monkeypatch.setattr("runbook_lib.actions.cluster.Operator.serves_evictions", lambda _: True)
    assert done(tmp_path, api, FIRST).status == "executed"
    assert cluster.leaving == [FIRST]


def test_the_next_one_goes_only_when_another_is_ready(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.stuck = True
    outcome = done(tmp_path, api, FIRST, SECOND)
    assert outcome.status == "failed"
    assert "2 of 3 pods of deployment/orders are ready" in outcome.text
    assert cluster.leaving == [FIRST]


def test_a_pod_that_is_down_beside_it_keeps_the_next_one(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    unready(cluster, THIRD)
    outcome = done(tmp_path, api, FIRST)
    assert outcome.status == "refused"
    assert "policy.pods_at_once allows 1" in outcome.text
    assert cluster.leaving == []


def test_a_pod_that_does_not_serve_may_always_go_and_goes_first(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    unready(cluster, THIRD)
    assert done(tmp_path, api, FIRST, THIRD).status == "executed"
    assert cluster.leaving == [THIRD, FIRST]


def test_the_only_pod_that_serves_is_a_high_risk(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    unready(cluster, SECOND, THIRD)
    plan = planned(tmp_path, api, FIRST)
    assert plan.risk == "high"
    assert "nothing serves until" in plan.affects


def test_another_pod_of_the_same_name_is_left_alone(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = proposed(tmp_path, api, FIRST)
    cluster.objects["pods", FIRST]["metadata"]["uid"] = "another"
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "refused"
    assert "not the one of the plan any more" in outcome.text
    assert cluster.leaving == []


@pytest.mark.parametrize(
    ("owners", "reason"),
    [
        ((), "it would not come back"),
        (({"kind": "Job", "name": "batch"},), "begin the work again"),
        (({"kind": "Node", "name": "node-1"},), "static pod"),
        (({"kind": "GameServerSet", "name": "games"},), "not known here"),
    ],
)
def test_what_nothing_replaces_is_refused(
    tmp_path: Path, cluster: Cluster, api: ApiClient, owners: tuple[dict[str, Any], ...], reason: str
) -> None:
    owned_by(cluster, FIRST, *owners)
    assert reason in proposed(tmp_path, api, FIRST).outcome.text


def test_a_pod_of_a_stateful_set_comes_back_under_its_name(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.put("statefulsets", "queue", spec={"replicas": 3, "selector": {"matchLabels": {"app": "orders"}}})
    owned_by(cluster, FIRST, {"kind": "StatefulSet", "name": "queue"})
    assert str(planned(tmp_path, api, FIRST).target) == "statefulset/queue"
    assert done(tmp_path, api, FIRST).status == "executed"


def test_a_daemon_has_no_other_pod_on_its_node(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    selector = {"matchLabels": {"app": "orders"}}
    cluster.put("daemonsets", "agent", spec={"selector": selector}, status={"desiredNumberScheduled": 3})
    owned_by(cluster, FIRST, {"kind": "DaemonSet", "name": "agent"})
    plan = planned(tmp_path, api, FIRST)
    assert plan.risk == "high"
    assert "on the nodes of these pods" in plan.affects


def test_pods_of_two_workloads_are_not_mixed(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.put("statefulsets", "queue", spec={"replicas": 1, "selector": {"matchLabels": {"app": "queue"}}})
    owned_by(cluster, FIRST, {"kind": "StatefulSet", "name": "queue"})
    assert "one of them at a time" in proposed(tmp_path, api, FIRST, SECOND).outcome.text


def test_a_pod_that_is_leaving_or_gone_is_told(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    assert "there is no pod/orders-9 any more" in proposed(tmp_path, api, "orders-9").outcome.text
    cluster.objects["pods", FIRST]["metadata"]["deletionTimestamp"] = "2026-03-01T04:00:00Z"
    assert "leaving already" in proposed(tmp_path, api, FIRST).outcome.text


def test_who_may_not_evict_is_told_so(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.denied.add("create pods/eviction")
    assert "create pods/eviction" in proposed(tmp_path, api, FIRST).outcome.text
