"""Pods that name what there is not: refused, told, and let in once it is there."""

import pytest

from runbook_lab.cluster.controllers.deployment import DeploymentController
from runbook_lab.cluster.controllers.loop import REFUSED_SECONDS
from runbook_lab.cluster.controllers.replicaset import ReplicaSetController
from runbook_lab.cluster.controllers.service_accounts import ServiceAccountController
from runbook_lab.cluster.errors import Forbidden
from runbook_lab.cluster.metadata import condition
from runbook_lab.cluster.pod_admission import admit_pod
from runbook_lab.cluster.store import Store


@pytest.fixture
def store():
    return Store(seed=1)


def deployment(**spec):
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web:1"}], **spec}}
    return {"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"serviceAccountName": "robot"}, 'error looking up service account shop/robot: serviceaccount "robot" not found'),
        ({"priorityClassName": "urgent"}, "no PriorityClass with name urgent was found"),
    ],
)
def test_a_pod_that_names_what_there_is_not_is_forbidden(store, spec, why):
    with pytest.raises(Forbidden) as refused:
        admit_pod(store, {"metadata": {"name": "web"}, "spec": spec}, namespace="shop")

    assert refused.value.message == f'pods "web" is forbidden: {why}'
    admit_pod(store, {"metadata": {"name": "web"}, "spec": {"priorityClassName": "system-node-critical"}}, namespace="shop")


def test_a_workload_says_why_it_has_no_pods_and_gets_them_later(store):
    store.create("deployments", deployment(serviceAccountName="robot"), namespace="shop")
    deployments, replica_sets = DeploymentController(store), ReplicaSetController(store)

    def settle():
        deployments.reconcile(("shop", "web"))
        [found] = store.list("replicasets")
        again = replica_sets.reconcile(("shop", found["metadata"]["name"]))
        deployments.reconcile(("shop", "web"))
        return again, condition(store.get("deployments", "web", namespace="shop"), "ReplicaFailure")

    again, failure = settle()
    assert again == REFUSED_SECONDS
    assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
    assert 'serviceaccount "robot" not found' in failure["message"]
    assert "FailedCreate" in {event["reason"] for event in store.list("events")}
    store.create("serviceaccounts", {"metadata": {"name": "robot"}}, namespace="shop")
    assert settle() == (None, None)
    assert len(store.list("pods")) == 2


def test_each_namespace_has_a_default_service_account_again_when_it_was_deleted(store):
    controller = ServiceAccountController(store)
    store.create("namespaces", {"metadata": {"name": "shop"}})
    for _ in range(2):
        controller.reconcile(("", "shop"))
        assert [account["metadata"]["name"] for account in store.list("serviceaccounts")] == ["default"]
        store.delete("serviceaccounts", "default", namespace="shop")
