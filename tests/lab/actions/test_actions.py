"""Actions against the lab cluster: real rollouts, real refusals, the same patches as in production."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.audit import AuditLog, verify_chain
from runbook_lib.actions.configuration import RESTORE_CONFIGURATION
from runbook_lib.actions.guard import propose
from runbook_lib.actions.interface import ActionContext, Gauge
from runbook_lib.actions.pod_deletion import DELETE_PODS
from runbook_lib.actions.pool_size import RAISE_POOL_SIZE
from runbook_lib.actions.resources import SET_RESOURCES
from runbook_lib.actions.restart import RESTART_PODS
from runbook_lib.actions.rollback import ROLLBACK_DEPLOYMENT
from runbook_lib.service import Service
from tests.lab.cluster import running
from tests.lab.cluster.running import READY, RunningCluster, container, deployment, until

pytestmark = pytest.mark.lab

lab, namespace = running.lab, running.namespace
Connect = Callable[..., ActionContext]


@pytest.fixture
def shop(lab: RunningCluster, namespace: str) -> str:
    """The deployment `web` with three pods on revision 2, which reads the config map `web-config`."""
    reads = {"envFrom": [{"configMapRef": {"name": "web-config"}}]}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config", "namespace": namespace}}
    lab.apply(config | {"data": {"DATABASE_POOL_SIZE": "10"}})
    lab.apply(deployment("web", namespace, container(readinessProbe=READY, **reads)))
    until(lambda: through(lab, namespace, "1"))
    lab.change(
        "deployments", "web", namespace, lambda one: one["spec"]["template"]["spec"]["containers"][0].update(image="web:2")
    )
    until(lambda: through(lab, namespace, "2"))
    return namespace


def through(lab: RunningCluster, namespace: str, revision: str) -> bool:
    found = lab.store("get", "deployments", "web", namespace=namespace)
    status = found.get("status") or {}
    seen = (found["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision") == revision
    return seen and status.get("replicas") == status.get("updatedReplicas") == status.get("availableReplicas") == 3


@pytest.fixture
def connect(lab: RunningCluster, shop: str, tmp_path: Path) -> Connect:
    def connected(*, user: str = "lab-operator", dry_run: bool = False) -> ActionContext:
        from kubernetes import config

        client: ApiClient = config.new_client_from_config(str(lab.cluster.kubeconfig), context=user)
        return ActionContext(
            service=a_service(shop),
            mode="interactive",
            incident="incident-1",
            audit=AuditLog(tmp_path / "audit.jsonl", redact=str),
            now=lambda: datetime.now(UTC),
            sleep=time.sleep,
            operator="alice",
            dry_run=dry_run,
            api_client=client,
            symptom=Gauge(title="error rate", unit="ratio", threshold=0.05, read=lambda: 0.0),
            poll_seconds=0.1,
        )

    return connected


def a_service(namespace: str) -> Service:
    return Service.model_validate(
        {
            "name": "web",
            "environment": "lab",
            "overview": {"purpose": "Answers.", "owner": "Web team", "tier": 2},
            "components": {
                "application": {"deployment": "web", "selector": "app=web", "config_map": "web-config"},
                "database": {"name": "shop"},
            },
            "connections": {"kubernetes": {"namespace": namespace}},
            "policy": {"verify_within_seconds": 20},
        }
    )


def pod_names(lab: RunningCluster, namespace: str) -> set[str]:
    return {pod["metadata"]["name"] for pod in lab.pods(namespace)}


def test_a_restart_replaces_every_pod_and_returns_when_the_old_ones_are_gone(
    lab: RunningCluster, shop: str, connect: Connect
) -> None:
    before, context = pod_names(lab, shop), connect()
    proposal = propose(RESTART_PODS, context)
    assert proposal.approve is not None, proposal.outcome.text
    outcome = proposal.approve(None)
    assert outcome.status == "executed", outcome.text
    after = pod_names(lab, shop)
    assert len(after) == 3
    assert not before & after
    assert verify_chain(context.audit.path).intact


def test_the_pods_that_are_named_leave_and_the_others_stay(lab: RunningCluster, shop: str, connect: Connect) -> None:
    first, second, third = sorted(until(lambda: len(names := pod_names(lab, shop)) == 3 and names))
    proposal = propose(DELETE_PODS, connect(), pods=[first, third])
    assert proposal.approve is not None, proposal.outcome.text
    outcome = proposal.approve(None)
    assert outcome.status == "executed", outcome.text
    after = pod_names(lab, shop)
    assert second in after
    assert not after & {first, third}


def test_another_cpu_limit_reaches_the_pods(lab: RunningCluster, shop: str, connect: Connect) -> None:
    proposal = propose(SET_RESOURCES, connect(), cpu_limit="500m", cpu_request="50m")
    assert proposal.approve is not None, proposal.outcome.text
    outcome = proposal.approve(None)
    assert outcome.status == "executed", outcome.text
    given = [pod["spec"]["containers"][0]["resources"] for pod in lab.pods(shop)]
    assert given == [{"limits": {"cpu": "500m"}, "requests": {"cpu": "50m"}}] * 3
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert not any(pod["spec"]["containers"][0].get("resources") for pod in lab.pods(shop))


def test_a_rollback_brings_the_earlier_image_back_and_forward_again(lab: RunningCluster, shop: str, connect: Connect) -> None:
    def image() -> str:
        found = lab.store("get", "deployments", "web", namespace=shop)
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    proposal = propose(ROLLBACK_DEPLOYMENT, connect())
    assert proposal.plan is not None, proposal.outcome.text
    assert proposal.plan.command == f"kubectl -n {shop} rollout undo deployment/web --to-revision=1"
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert image() == "web:1"
    sets = lab.store("list", "replicasets", namespace=shop)
    assert len(sets) == 2, "the old replica set is taken into use again, as after kubectl rollout undo"
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert image() == "web:2"


def test_a_larger_pool_reaches_the_pods_environment(lab: RunningCluster, shop: str, connect: Connect) -> None:
    proposal = propose(RAISE_POOL_SIZE, connect())
    assert proposal.approve is not None, proposal.outcome.text
    assert proposal.approve(None).status == "executed"
    data = lab.store("get", "configmaps", "web-config", namespace=shop)["data"]
    assert data == {"DATABASE_POOL_SIZE": "20"}


def test_a_configuration_that_somebody_edited_is_restored(lab: RunningCluster, shop: str, connect: Connect) -> None:
    proposal = propose(RESTORE_CONFIGURATION, connect(), data={"DATABASE_POOL_SIZE": "50"})
    assert proposal.approve is not None, proposal.outcome.text
    assert proposal.approve(None).status == "executed"
    assert lab.store("get", "configmaps", "web-config", namespace=shop)["data"] == {"DATABASE_POOL_SIZE": "50"}


def test_a_dry_run_leaves_the_cluster_as_it_is(lab: RunningCluster, shop: str, connect: Connect) -> None:
    before = lab.store("get", "deployments", "web", namespace=shop)["metadata"]["generation"]
    proposal = propose(RESTART_PODS, connect(dry_run=True))
    assert proposal.approve is not None, proposal.outcome.text
    assert "would have done" in proposal.approve(None).steps[0]
    assert lab.store("get", "deployments", "web", namespace=shop)["metadata"]["generation"] == before


def test_the_readers_identity_is_refused_by_the_cluster_itself(connect: Connect) -> None:
    outcome = propose(RESTART_PODS, connect(user="lab-reader")).outcome
    assert outcome.refusal is not None
    assert outcome.refusal.by == "permissions"


def test_a_plan_is_stale_once_somebody_else_changed_the_deployment(lab: RunningCluster, shop: str, connect: Connect) -> None:
    proposal = propose(RESTART_PODS, connect())
    lab.change("deployments", "web", shop, lambda one: one["spec"].update(minReadySeconds=1))
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.refusal is not None
    assert outcome.refusal.by == "unchanged since the plan"


def test_new_pods_that_crash_are_told_with_their_reason(lab: RunningCluster, shop: str, connect: Connect) -> None:
    lab.change("deployments", "web", shop, lambda one: one["spec"]["template"]["spec"]["containers"][0].update(image="crash:1"))
    until(lambda: "BackOff" in lab.reasons(shop))
    before, patience = pod_names(lab, shop), timedelta()

    def sleep(seconds: float) -> None:
        nonlocal patience
        time.sleep(seconds)
        if any(crash_loops(pod) for pod in lab.pods(shop) if pod["metadata"]["name"] not in before):
            patience = timedelta(hours=1)  # has run out

    context = replace(connect(), sleep=sleep, now=lambda: datetime.now(UTC) + patience)
    proposal = propose(RESTART_PODS, context)
    assert proposal.approve is not None, proposal.outcome.text
    outcome = proposal.approve(None)
    assert outcome.status == "failed"
    assert "CrashLoopBackOff, last exit 7" in outcome.text


def crash_loops(pod: dict[str, Any]) -> bool:
    (status,) = pod["status"].get("containerStatuses") or [{}]
    waiting = (status.get("state") or {}).get("waiting") or {}
    return waiting.get("reason") == "CrashLoopBackOff" and bool((status.get("lastState") or {}).get("terminated"))
