"""Running more pods: by how many, within what policy and autoscaler allow, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.guard import propose
from runbook_lib.actions.scale import SCALE_DEPLOYMENT
from runbook_lib.models.plan import Proposal
from tests.unit.actions.cluster_api import Cluster
from tests.unit.actions.situations import a_context, a_service


def proposed(folder: Path, api: ApiClient, *, policy: dict[str, Any] | None = None, **arguments: Any) -> Proposal:
    return propose(SCALE_DEPLOYMENT, a_context(folder, api_client=api, service=a_service(policy=policy)), **arguments)


def spec(cluster: Cluster, plural: str = "deployments") -> dict[str, Any]:
    found: dict[str, Any] = cluster.objects[plural, "orders"]["spec"]
    return found


@pytest.fixture
def scaler(cluster: Cluster) -> dict[str, Any]:
    target = {"kind": "Deployment", "name": "orders"}
    return cluster.put("horizontalpodautoscalers", "orders", spec={"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 8})


def test_half_as_many_pods_more_and_back(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    before = spec(cluster)["replicas"]
    proposal = proposed(tmp_path, api)
    assert proposal.plan is not None
    assert proposal.plan.risk == "low"
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert spec(cluster)["replicas"] > before
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert spec(cluster)["replicas"] == before


def test_another_number_may_be_given(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    plan = proposed(tmp_path, api, replicas=7).plan
    assert plan is not None
    assert plan.after == "replicas: 7"
    assert plan.command.endswith("scale deployment/orders --replicas=7")
    assert spec(cluster)["replicas"] != 7


def test_of_no_pods_at_all_it_becomes_what_the_service_needs_whatever_an_autoscaler_says(
    tmp_path: Path, cluster: Cluster, api: ApiClient, scaler: dict[str, Any]
) -> None:
    del scaler
    spec(cluster)["replicas"] = 0
    needed = a_service().components.application.replicas_minimum
    plan = proposed(tmp_path, api).plan
    assert plan is not None
    assert plan.after == f"replicas: {max(needed, 1)}"
    assert plan.command.endswith(f"scale deployment/orders --replicas={max(needed, 1)}")


def test_fewer_pods_are_refused(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    del cluster
    assert "only scales up" in proposed(tmp_path, api, replicas=1).outcome.text


def test_the_policy_has_the_last_word(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    del cluster
    outcome = proposed(tmp_path, api, policy={"replicas_maximum": 6}, replicas=7).outcome
    assert outcome.status == "refused"
    assert "policy.replicas_maximum" in outcome.text


def test_where_an_autoscaler_decides_its_minimum_is_raised(
    tmp_path: Path, cluster: Cluster, api: ApiClient, scaler: dict[str, Any]
) -> None:
    del scaler
    proposal = proposed(tmp_path, api, replicas=5)
    assert proposal.plan is not None
    assert (str(proposal.plan.target), proposal.plan.before, proposal.plan.after) == (
        "hpa/orders",
        "minReplicas: 2",
        "minReplicas: 5",
    )
    assert "minReplicas" in proposal.plan.command
    assert spec(cluster, "horizontalpodautoscalers")["minReplicas"] == 2


def test_more_than_the_autoscaler_allows_is_refused(tmp_path: Path, api: ApiClient, scaler: dict[str, Any]) -> None:
    del scaler
    outcome = proposed(tmp_path, api, replicas=9).outcome
    assert outcome.status == "refused"
    assert "raise maxReplicas of hpa/orders" in outcome.text


def test_an_autoscaler_at_its_maximum_has_that_raised_and_lowered_again(
    tmp_path: Path, cluster: Cluster, api: ApiClient, scaler: dict[str, Any]
) -> None:
    scaler["spec"]["maxReplicas"] = 3
    proposal = proposed(tmp_path, api)
    assert proposal.plan is not None
    assert "and up to 5: 3 is its maximum" in proposal.plan.title
    assert proposal.plan.after == "minReplicas: 5\nmaxReplicas: 5"
    assert proposal.plan.command.endswith("""-p '{"spec":{"minReplicas":5,"maxReplicas":5}}'""")
    assert proposal.plan.undo.endswith("""-p '{"spec":{"minReplicas":2,"maxReplicas":3}}'""")
    assert spec(cluster, "horizontalpodautoscalers")["maxReplicas"] == 3


def test_a_plan_on_an_autoscaler_outlives_its_status_and_no_change_of_its_levels(
    tmp_path: Path, cluster: Cluster, api: ApiClient, scaler: dict[str, Any]
) -> None:
    proposal = proposed(tmp_path, api, replicas=4)
    stale = proposed(tmp_path, api, replicas=5)
    scaler["status"] = {"currentMetrics": [{"type": "Resource"}]}
    cluster.touch("horizontalpodautoscalers", "orders")
    assert proposal.approve is not None
    assert proposal.approve(None).status != "refused"
    assert spec(cluster, "horizontalpodautoscalers")["minReplicas"] == 4
    assert stale.approve is not None
    assert "changed since the plan was made (minReplicas 2 is now 4)" in stale.approve(None).text


def test_what_the_autoscaler_still_allows_is_enough_and_its_maximum_uses_nothing_of_the_policy(
    tmp_path: Path, cluster: Cluster, api: ApiClient, scaler: dict[str, Any]
) -> None:
    scaler["spec"]["maxReplicas"] = 4
    plan = proposed(tmp_path, api).plan
    assert plan is not None
    assert (plan.after, plan.uses) == ("minReplicas: 4", {"replicas": 4})
    assert spec(cluster)["replicas"] == 3
    scaler["spec"]["maxReplicas"] = 50
    plan = proposed(tmp_path, api, policy={"replicas_maximum": 6}).plan
    assert plan is not None
    assert plan.uses == {"replicas": 5}


@pytest.fixture
def keda(scaler: dict[str, Any]) -> dict[str, Any]:
    """The autoscaler as KEDA makes it of a ScaledObject, whose labels it copies."""
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "orders-lag", "uid": "keda-1", "controller": True}
    labels = {"app.kubernetes.io/managed-by": "keda-operator", "argocd.argoproj.io/instance": "shop"}
    scaler["metadata"] |= {"ownerReferences": [owner], "labels": labels}
    return scaler


MADE = "hpa/orders is made by scaledobject/orders-lag, which takes the scaling back: set its "
LASTS = '(kubectl -n shop patch scaledobject orders-lag --type=merge -p \'{"spec":{'


def test_where_keda_makes_the_autoscaler_what_lasts_is_told_and_nothing_is_done_unattended(
    tmp_path: Path, cluster: Cluster, api: ApiClient, keda: dict[str, Any]
) -> None:
    plan = proposed(tmp_path, api, replicas=5).plan
    assert plan is not None
    told = f'{MADE}minReplicaCount {LASTS}"minReplicaCount":5}}}}\')'
    assert plan.unattended == (told,)
    assert told in plan.warnings
    assert not any("Argo CD" in warning or "keda-operator" in warning for warning in plan.warnings)
    keda["spec"]["maxReplicas"] = 3
    plan = proposed(tmp_path, api).plan
    assert plan is not None
    assert plan.unattended == (
        f'{MADE}minReplicaCount and maxReplicaCount {LASTS}"minReplicaCount":5,"maxReplicaCount":5}}}}\')',
    )
    assert spec(cluster, "horizontalpodautoscalers")["minReplicas"] == 2


def test_a_deployment_that_keda_may_have_scaled_to_0_is_raised_by_a_person_only(
    tmp_path: Path, cluster: Cluster, api: ApiClient, keda: dict[str, Any]
) -> None:
    del keda
    spec(cluster)["replicas"] = 0
    plan = proposed(tmp_path, api, replicas=2).plan
    assert plan is not None
    assert (str(plan.target), plan.after) == ("deployment/orders", "replicas: 2")
    told = f'{MADE}minReplicaCount {LASTS}"minReplicaCount":2}}}}\')'
    assert plan.unattended == (told,)
    assert told in plan.warnings


def test_undo_is_refused_when_somebody_scaled_since(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = proposed(tmp_path, api)
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    spec(cluster)["replicas"] = 9
    cluster.touch("deployments", "orders")
    assert proposal.undo is not None
    assert "scaled by somebody else since" in proposal.undo().text
