"""Pool size and configuration: changed where they are set, bounded, and taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.configuration import RESTORE_CONFIGURATION
from runbook_lib.actions.guard import propose
from runbook_lib.actions.pool_size import RAISE_POOL_SIZE
from runbook_lib.models.plan import Plan, Proposal
from tests.unit.actions.cluster_api import Cluster, template
from tests.unit.actions.situations import a_context, a_service


def plan_of(proposal: Proposal) -> Plan:
    assert proposal.plan is not None, proposal.outcome.text
    return proposal.plan


def data_of(cluster: Cluster) -> dict[str, str]:
    return dict(cluster.objects["configmaps", "orders-config"]["data"])


def test_the_pool_is_doubled_in_the_config_map_and_the_pods_are_restarted(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    proposal = propose(RAISE_POOL_SIZE, a_context(tmp_path, api_client=api))
    assert plan_of(proposal).command == (
        'kubectl -n shop patch configmap orders-config --type merge -p \'{"data":{"DATABASE_POOL_SIZE":"20"}}\''
        " && kubectl -n shop rollout restart deployment/orders"
    )
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "executed"
    assert data_of(cluster)["DATABASE_POOL_SIZE"] == "20"
    assert [write.split("?")[0].rpartition("/")[2] for write in cluster.writes()] == ["orders-config", "orders"]
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert data_of(cluster)["DATABASE_POOL_SIZE"] == "10"
    assert len(cluster.writes()) == 4


def test_a_size_that_was_changed_since_is_not_taken_back(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = propose(RAISE_POOL_SIZE, a_context(tmp_path, api_client=api))
    assert proposal.approve is not None
    proposal.approve(None)
    cluster.objects["configmaps", "orders-config"]["data"]["DATABASE_POOL_SIZE"] = "30"
    assert proposal.undo is not None
    assert "30 now: it was changed again" in proposal.undo().text
    assert data_of(cluster)["DATABASE_POOL_SIZE"] == "30"


def test_a_size_in_the_template_is_changed_there(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    settings = [{"name": "LOG_LEVEL", "value": "info"}, {"name": "DATABASE_POOL_SIZE", "value": "4"}]
    cluster.deploy(15, template(env=settings), created="2026-03-01T03:11:00Z")
    proposal = propose(RAISE_POOL_SIZE, a_context(tmp_path, api_client=api))
    assert plan_of(proposal).command == "kubectl -n shop set env deployment/orders DATABASE_POOL_SIZE=8"
    assert str(plan_of(proposal).target) == "deployment/orders"
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    container = cluster.objects["deployments", "orders"]["spec"]["template"]["spec"]["containers"][0]
    assert container["env"][1]["value"] == "8"
    assert data_of(cluster)["DATABASE_POOL_SIZE"] == "10"


def test_a_size_that_the_template_takes_from_another_key_is_changed_there(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    cluster.put("configmaps", "pools", data={"orders": "5"})
    reference = {"configMapKeyRef": {"name": "pools", "key": "orders"}}
    cluster.deploy(15, template(env=[{"name": "DATABASE_POOL_SIZE", "valueFrom": reference}]), created="2026-03-01T03:11:00Z")
    plan = plan_of(propose(RAISE_POOL_SIZE, a_context(tmp_path, api_client=api)))
    assert (str(plan.target), plan.after) == ("configmap/pools", "orders: 10")


@pytest.mark.parametrize(
    ("policy", "budget", "size"),
    [
        ({}, None, 20),
        ({"pool_size_maximum": 15}, None, 15),
        ({}, 60, 15),  # three pods, and one more while the rollout runs
    ],
)
def test_a_pool_grows_no_further_than_policy_and_database_bear(
    tmp_path: Path, cluster: Cluster, api: ApiClient, policy: Any, budget: int | None, size: int
) -> None:
    context = a_context(tmp_path, api_client=api, service=a_service(policy), connection_budget=lambda: budget)
    assert plan_of(propose(RAISE_POOL_SIZE, context)).arguments["size"] == str(size)
    beyond = propose(RAISE_POOL_SIZE, context, size=51).outcome
    assert beyond.status == "refused"
    assert "at most" in beyond.text


def test_a_pool_at_its_limit_is_not_raised(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    outcome = propose(RAISE_POOL_SIZE, a_context(tmp_path, api_client=api, connection_budget=lambda: 40)).outcome
    assert outcome.status == "refused"
    assert "the database has 40 connections for 4 pods" in outcome.text


@pytest.mark.parametrize("data", [{}, {"DATABASE_POOL_SIZE": "many"}])
def test_a_size_that_is_not_there_or_no_number_is_refused(tmp_path: Path, cluster: Cluster, api: ApiClient, data: Any) -> None:
    cluster.objects["configmaps", "orders-config"]["data"] = data
    assert propose(RAISE_POOL_SIZE, a_context(tmp_path, api_client=api)).outcome.status == "refused"


def applied(cluster: Cluster, data: dict[str, str]) -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": data})}
    cluster.objects["configmaps", "orders-config"]["metadata"]["annotations"] = annotations


def test_the_configuration_that_was_last_applied_is_restored(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    applied(cluster, {"DATABASE_POOL_SIZE": "10", "PAYMENTS_URL": "http://payments:80", "RETRIES": "3"})
    cluster.objects["configmaps", "orders-config"]["data"]["EXTRA"] = "x"
    before = data_of(cluster)
    proposal = propose(RESTORE_CONFIGURATION, a_context(tmp_path, api_client=api))
    plan = plan_of(proposal)
    assert plan.before == "EXTRA: x\nPAYMENTS_URL: http://payments:8080\nRETRIES: (not set)"
    assert plan.after == "EXTRA: (not set)\nPAYMENTS_URL: http://payments:80\nRETRIES: 3"
    assert '"EXTRA":null' in plan.command
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert data_of(cluster) == {"DATABASE_POOL_SIZE": "10", "PAYMENTS_URL": "http://payments:80", "RETRIES": "3"}
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert data_of(cluster) == before


def test_a_recorded_version_can_be_given(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    earlier = data_of(cluster) | {"DATABASE_POOL_SIZE": "50"}
    proposal = propose(RESTORE_CONFIGURATION, a_context(tmp_path, api_client=api), data=earlier)
    assert plan_of(proposal).after == "DATABASE_POOL_SIZE: 50"


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda cluster: None, "keeps no earlier version"),
        (lambda cluster: applied(cluster, data_of(cluster)), "nothing to restore"),
        (
            lambda cluster: (applied(cluster, {"A": "1"}), cluster.objects["configmaps", "orders-config"].update(immutable=True)),
            "immutable",
        ),
    ],
)
def test_what_cannot_be_restored_is_refused(tmp_path: Path, cluster: Cluster, api: ApiClient, prepare: Any, words: str) -> None:
    prepare(cluster)
    outcome = propose(RESTORE_CONFIGURATION, a_context(tmp_path, api_client=api)).outcome
    assert outcome.status == "refused"
    assert words in outcome.text


def test_other_readers_of_the_configuration_are_told(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    applied(cluster, {"DATABASE_POOL_SIZE": "50"})
    cluster.put("deployments", "reports", spec={"template": template()})
    warnings = plan_of(propose(RESTORE_CONFIGURATION, a_context(tmp_path, api_client=api))).warnings
    assert any("deployment/reports reads it too" in warning for warning in warnings)
