"""What a run that nobody watches leaves to a person, though the service's policy allows the action."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.configuration import RESTORE_CONFIGURATION
from runbook_lib.actions.guard import propose
from runbook_lib.actions.interface import Action
from runbook_lib.actions.memory_limit import RAISE_MEMORY_LIMIT
from runbook_lib.actions.pool_size import RAISE_POOL_SIZE
from runbook_lib.actions.resources import SET_RESOURCES
from runbook_lib.actions.restart import RESTART_PODS
from runbook_lib.actions.rollback import ROLLBACK_DEPLOYMENT
from runbook_lib.actions.scale import SCALE_DEPLOYMENT
from runbook_lib.actions.service_selector import FIX_SERVICE_SELECTOR
from runbook_lib.models.plan import Outcome
from tests.unit.actions.cluster_api import Cluster, template
from tests.unit.actions.situations import START, Clock, a_context, a_diagnosis, a_service, an_audit

ARGO = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/orders"}


def alerted(folder: Path, api: ApiClient, action: Action, *, blamed: int | None = None, **fields: Any) -> Outcome:
    """What an alert makes of an action that the policy allows and a confirmed cause calls for."""
    service = a_service({"auto_approve": [action.name]})
    diagnosis = a_diagnosis(action=action.name, subject=f"deployment/orders revision {blamed}" if blamed else None)
    return propose(
        action, a_context(folder, **{"mode": "alert", "api_client": api, "service": service, "diagnosis": diagnosis} | fields)
    ).outcome


def kept(cluster: Cluster, plural: str, name: str) -> None:
    metadata = cluster.objects[plural, name]["metadata"]
    metadata["annotations"] = (metadata.get("annotations") or {}) | ARGO


def hurried(cluster: Cluster) -> None:
    """Revision 13 was replaced five minutes after it began, and there is none before it."""
    cluster.objects["replicasets", "orders-13"]["metadata"]["creationTimestamp"] = "2026-03-01T03:05:00Z"
    del cluster.objects["replicasets", "orders-12"]


def test_an_alert_rolls_a_bad_deployment_back_to_the_revision_that_served(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    assert alerted(tmp_path, api, ROLLBACK_DEPLOYMENT, blamed=14).status == "executed"


def test_an_alert_passes_over_a_revision_that_was_replaced_at_once(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.objects["replicasets", "orders-13"]["metadata"]["creationTimestamp"] = "2026-03-01T03:05:00Z"
    outcome = alerted(tmp_path, api, ROLLBACK_DEPLOYMENT, blamed=14)
    assert outcome.status == "executed"
    assert "to revision 12" in outcome.text


def test_an_alert_rolls_back_to_no_revision_that_may_never_have_served(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    hurried(cluster)
    outcome = alerted(tmp_path, api, ROLLBACK_DEPLOYMENT, blamed=14)
    assert outcome.status == "refused"
    assert "revision 13 may never have served: it was replaced 5m after it began" in outcome.text
    assert "a person can still approve it" in outcome.text.lower()
    assert cluster.writes() == []


def test_an_alert_does_not_roll_forward_to_what_somebody_took_back(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    """Revision 14 was taken back to 13, which is 15 now, and blamed."""
    del cluster.objects["replicasets", "orders-13"], cluster.objects["replicasets", "orders-12"]
    cluster.deploy(15, template(), created="2026-02-28T10:00:00Z")
    outcome = alerted(tmp_path, api, ROLLBACK_DEPLOYMENT, blamed=15)
    assert outcome.status == "refused"
    assert "revision 14 was rolled back to what runs now" in outcome.text


def test_an_alert_changes_nothing_that_the_next_sync_takes_back(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    kept(cluster, "deployments", "orders")
    outcome = alerted(tmp_path, api, ROLLBACK_DEPLOYMENT, blamed=14)
    assert outcome.status == "refused"
    assert "kept by Argo CD" in outcome.text
    assert "change the Git repository of application shop" in outcome.text
    assert cluster.writes() == []


@pytest.mark.parametrize("mode", ["interactive", "papermill"])
def test_a_person_may_do_it_all_the_same(tmp_path: Path, cluster: Cluster, api: ApiClient, mode: Any) -> None:
    hurried(cluster)
    kept(cluster, "deployments", "orders")
    context = a_context(tmp_path, mode=mode, approve="rollback_deployment", api_client=api)
    proposal = propose(ROLLBACK_DEPLOYMENT, context)
    outcome = proposal.approve(None) if proposal.approve is not None else proposal.outcome
    assert outcome.status == "executed"


def test_a_restart_needs_not_last_and_is_made_whoever_keeps_the_deployment(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    kept(cluster, "deployments", "orders")
    assert alerted(tmp_path, api, RESTART_PODS).status == "executed"


@pytest.mark.parametrize(
    ("action", "plural", "name"),
    [
        (RAISE_POOL_SIZE, "configmaps", "orders-config"),
        (RESTORE_CONFIGURATION, "configmaps", "orders-config"),
        (RAISE_MEMORY_LIMIT, "deployments", "orders"),
        (SET_RESOURCES, "deployments", "orders"),
        (SCALE_DEPLOYMENT, "deployments", "orders"),
        (FIX_SERVICE_SELECTOR, "services", "orders"),
    ],
)
def test_what_has_to_last_is_left_to_a_person_where_its_own_object_is_kept(
    tmp_path: Path, cluster: Cluster, api: ApiClient, action: Action, plural: str, name: str
) -> None:
    container = cluster.objects["deployments", "orders"]["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"cpu": "250m", "memory": "128Mi"}}
    cluster.put("services", "orders", spec={"selector": {"app": "order"}})
    cluster.put("nodes", "node-1", status={"allocatable": {"cpu": "2", "memory": "4Gi"}}, spec={})
    applied = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": {"DATABASE_POOL_SIZE": "50"}})}
    cluster.objects["configmaps", "orders-config"]["metadata"]["annotations"] = applied
    kept(cluster, plural, name)
    outcome = alerted(tmp_path, api, action)
    assert outcome.status == "refused"
    assert "is kept by Argo CD" in outcome.text
    kept_by_nobody = cluster.objects[plural, name]["metadata"]["annotations"]
    del kept_by_nobody["argocd.argoproj.io/tracking-id"]
    assert alerted(tmp_path, api, action).status == "executed"


def test_a_setting_is_kept_where_it_stands(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    """The deployment is kept: that concerns a size in its template, and none in a config map beside it."""
    kept(cluster, "deployments", "orders")
    assert alerted(tmp_path, api, RAISE_POOL_SIZE, dry_run=True).status == "proposed"
    cluster.deploy(15, template(env=[{"name": "DATABASE_POOL_SIZE", "value": "4"}]), created="2026-03-01T03:11:00Z")
    assert "deployment/orders is kept by Argo CD" in alerted(tmp_path, api, RAISE_POOL_SIZE, dry_run=True).text


def hourly(folder: Path, api: ApiClient, clock: Clock, number: int, *readings: float | None) -> Outcome:
    """An hour later the alert is repeated, as an incident of its own."""
    clock.now = START + timedelta(hours=number, minutes=number)
    return alerted(folder, api, RESTART_PODS, clock=clock, incident=f"incident-{number}", readings=readings or (0.31, 0.001))


@pytest.mark.parametrize(
    ("readings", "told"),
    [
        ((0.31, 0.31), "its effect was same (error rate: 31.0% before, 31.0%"),
        ((0.31, 0.9), "its effect was worse (error rate: 31.0% before, 90.0%"),
        ((0.31, None), "its effect was unknown (the effect is not known"),
    ],
)
def test_what_did_not_help_is_not_done_again_every_hour_and_is_told(
    tmp_path: Path, cluster: Cluster, api: ApiClient, readings: Any, told: str
) -> None:
    clock = Clock()
    assert hourly(tmp_path, api, clock, 0, *readings).status == "executed"
    for number in (1, 2, 23):
        outcome = hourly(tmp_path, api, clock, number)
        assert outcome.status == "refused"
        assert "restart_pods of deployment/orders was done unasked at 2026-03-01T04:00:00Z" in outcome.text
        assert told in outcome.text
    assert len(cluster.writes()) == 1
    assert hourly(tmp_path, api, clock, 25).status == "executed"


def test_what_helped_is_done_again_when_it_breaks_again(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    clock = Clock()
    assert [hourly(tmp_path, api, clock, number).status for number in (0, 1)] == ["executed", "executed"]


def test_once_a_person_has_acted_on_the_target_the_policy_counts_again_and_for_no_mere_undo(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    clock = Clock()
    hourly(tmp_path, api, clock, 0, 0.31, 0.31)
    clock.sleep(60)
    audit = an_audit(tmp_path, clock, "by-hand")
    by_person = {"service": "orders", "environment": "test", "target": "deployment/orders", "approval": "person"}
    audit.append("intent", by_person | {"plan": "a", "action": "rollback_deployment", "undoes": "b"})
    audit.append("intent", by_person | {"plan": "c", "action": "restart_pods", "undoes": "", "target": "deployment/payments"})
    assert hourly(tmp_path, api, clock, 1).status == "refused"
    audit.append("intent", by_person | {"plan": "d", "action": "rollback_deployment", "undoes": ""})
    assert hourly(tmp_path, api, clock, 2).status == "executed"


@pytest.mark.parametrize(("status", "now"), [("refused", "executed"), ("failed", "refused"), (None, "refused")])
def test_only_what_the_cluster_refused_was_no_try(
    tmp_path: Path, cluster: Cluster, api: ApiClient, status: str | None, now: str
) -> None:
    """And of one that nobody told the end of, nobody knows that it helped."""
    clock = Clock()
    audit = an_audit(tmp_path, clock, "before")
    tried = {"service": "orders", "environment": "test", "target": "deployment/orders", "action": "restart_pods", "plan": "a"}
    audit.append("intent", tried | {"approval": "policy", "undoes": ""})
    if status is not None:
        audit.append(
            "outcome", tried | {"approval": "policy", "undoes": "", "status": status, "text": "No.", "effect": "unknown"}
        )
    assert hourly(tmp_path, api, clock, 2).status == now
