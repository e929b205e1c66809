"""A deployment whose pods another controller keeps: to change it would mend nothing, or start others beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.guard import propose
from runbook_lib.actions.interface import Action
from runbook_lib.actions.restart import RESTART_PODS
from runbook_lib.actions.rollback import ROLLBACK_DEPLOYMENT
from runbook_lib.actions.scale import SCALE_DEPLOYMENT
from tests.unit.actions.cluster_api import Cluster
from tests.unit.actions.situations import a_context

ACTIONS = (SCALE_DEPLOYMENT, ROLLBACK_DEPLOYMENT, RESTART_PODS)


def pod(cluster: Cluster, name: str, **metadata: Any) -> None:
    labelled = {"labels": {"app": "orders"}, **metadata}
    cluster.put("pods", name, metadata=labelled, spec={"containers": []}, status={"phase": "Running"})


def kept(kind: str, name: str, uid: str) -> dict[str, Any]:
    return {"ownerReferences": [{"kind": kind, "name": name, "uid": uid, "controller": True}]}


@pytest.fixture
def emptied(cluster: Cluster) -> Cluster:
    """A deployment at 0, without any pod."""
    cluster.objects["deployments", "orders"]["spec"]["replicas"] = 0
    for key in [key for key in cluster.objects if key[0] == "pods"]:
        del cluster.objects[key]
    return cluster


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_a_deployment_beside_the_rollout_that_keeps_the_pods_is_left_alone(
    tmp_path: Path, emptied: Cluster, api: ApiClient, action: Action
) -> None:
    owner = kept("Rollout", "shop-orders", "rollout-1")
    emptied.put("replicasets", "orders-7c9", metadata={"labels": {"app": "orders"}, **owner}, spec={"template": {}})
    for index in range(2):
        pod(emptied, f"orders-7c9-{index}", **kept("ReplicaSet", "orders-7c9", _uid(emptied, "orders-7c9")))
    outcome = propose(action, a_context(tmp_path, api_client=api)).outcome
    assert outcome.status == "refused"
    assert "no pod of app=orders belongs to deployment/orders: rollout/shop-orders keeps the 2 that are there" in outcome.text
    assert "Make the change on rollout/shop-orders" in outcome.text
    assert emptied.writes() == []


def test_pods_of_its_own_beside_those_of_another_make_it_the_services(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    pod(cluster, "orders-0", **kept("StatefulSet", "orders", "set-1"))
    for action in ACTIONS:
        assert propose(action, a_context(tmp_path, api_client=api)).plan is not None


def test_pods_that_go_that_nobody_keeps_or_that_a_job_made_hold_nothing_back(
    tmp_path: Path, emptied: Cluster, api: ApiClient
) -> None:
    pod(emptied, "orders-ending", deletionTimestamp="2026-03-01T03:12:00Z", **kept("StatefulSet", "orders", "set-1"))
    pod(emptied, "orders-debug")
    pod(emptied, "orders-migrate", **kept("Job", "orders-migrate", "job-1"))
    assert propose(SCALE_DEPLOYMENT, a_context(tmp_path, api_client=api)).plan is not None


def test_pods_that_cannot_be_seen_stop_nobody_and_that_is_told(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.fails["GET pods"] = "500"
    for action in ACTIONS:
        plan = propose(action, a_context(tmp_path, api_client=api)).plan
        assert plan is not None
        assert any("whether another controller keeps the pods could not be looked at" in one for one in plan.warnings)


def _uid(cluster: Cluster, replica_set: str) -> str:
    return str(cluster.objects["replicasets", replica_set]["metadata"]["uid"])
