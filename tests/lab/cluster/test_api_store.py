"""The store keeps objects as Kubernetes does: versions, preconditions, watches, deletion."""

import asyncio
from datetime import timedelta

import pytest

from runbook_lab.cluster.history import KEPT_CHANGES
from runbook_lab.cluster.store import AlreadyExists, Conflict, Gone, Invalid, NotFound
from tests.lab.cluster.conftest import MOMENT, deployment_manifest, pod_manifest

pytestmark = pytest.mark.lab


def config(name="settings", **data):
    return {"metadata": {"name": name}, "data": data}


def test_what_is_created_carries_what_only_the_server_writes(store):
    made = store.create("configmaps", config(a="1") | {"status": "ignored"}, namespace="shop")

    assert made["apiVersion"] == "v1"
    assert made["kind"] == "ConfigMap"
    assert made["metadata"]["namespace"] == "shop"
    assert made["metadata"]["creationTimestamp"] == "2026-01-02T03:04:05Z"
    assert made["metadata"]["resourceVersion"] == "1"
    assert made["metadata"]["uid"]
    assert store.get("configmaps", "settings", namespace="shop") == made


def test_objects_given_out_are_copies(store):
    store.create("configmaps", config(a="1"), namespace="shop")
    store.get("configmaps", "settings", namespace="shop")["data"]["a"] = "changed"

    assert store.get("configmaps", "settings", namespace="shop")["data"] == {"a": "1"}


def test_a_secret_written_as_text_is_kept_encoded(store):
    made = store.create("secrets", {"metadata": {"name": "s"}, "stringData": {"password": "secret"}}, namespace="shop")

    assert made["data"] == {"password": "c2VjcmV0"}
    assert "stringData" not in made


def test_names_are_unique_in_a_namespace_and_generated_on_request(store):
    store.create("configmaps", config(), namespace="shop")
    store.create("configmaps", config(), namespace="other")
    with pytest.raises(AlreadyExists, match='configmaps "settings" already exists'):
        store.create("configmaps", config(), namespace="shop")
    made = store.create("configmaps", {"metadata": {"generateName": "settings-"}}, namespace="shop")

    assert made["metadata"]["name"].startswith("settings-")
    assert len(made["metadata"]["name"]) == len("settings-") + 5
    with pytest.raises(Invalid, match="name or generateName is required"):
        store.create("configmaps", {}, namespace="shop")


def test_an_update_of_an_old_version_is_a_conflict_and_without_a_version_wins(store):
    old = store.create("configmaps", config(a="1"), namespace="shop")
    store.update("configmaps", {**old, "data": {"a": "2"}})
    with pytest.raises(Conflict, match="the object has been modified"):
        store.update("configmaps", {**old, "data": {"a": "3"}})
    del old["metadata"]["resourceVersion"]

    assert store.update("configmaps", {**old, "data": {"a": "3"}})["data"] == {"a": "3"}


def test_an_update_that_changes_nothing_gives_no_new_version(store):
    old = store.create("configmaps", config(a="1"), namespace="shop")

    assert store.update("configmaps", old) == old
    assert store.version == 1


def test_the_generation_counts_changes_of_the_spec_only(store):
    made = store.create("deployments", deployment_manifest(), namespace="shop")
    made["status"] = {"replicas": 3}
    with_status = store.update("deployments", made, subresource="status")
    with_status["spec"]["replicas"] = 5
    with_status["metadata"]["labels"] = {"team": "shop"}
    scaled = store.update("deployments", with_status)

    assert with_status["metadata"]["generation"] == 1
    assert scaled["metadata"]["generation"] == 2


def test_status_and_spec_are_written_apart(store):
    made = store.create("deployments", deployment_manifest(), namespace="shop")
    del made["metadata"]["resourceVersion"]
    both = {**made, "spec": {**made["spec"], "replicas": 9}, "status": {"replicas": 9}}

    assert "status" not in store.update("deployments", both)
    status = store.update("deployments", {**both, "spec": {}}, subresource="status")
    assert status["spec"]["replicas"] == 9
    assert status["status"] == {"replicas": 9}


def test_managed_fields_tell_who_wrote_what_and_when(store):
    made = store.create("configmaps", config(a="1", b="1"), namespace="shop", manager="first")
    made["data"] = {"b": "2", "c": "2"}
    changed = store.update("configmaps", made, manager="second")
    entries = {entry["manager"]: entry for entry in changed["metadata"]["managedFields"]}

    assert "first" not in entries, "all that it wrote was changed or removed"
    assert entries["second"]["fieldsV1"] == {"f:data": {"f:b": {}, "f:c": {}}}
    assert entries["second"]["time"] == "2026-01-02T03:04:05Z"


def test_a_dry_run_keeps_nothing(store):
    made = store.create("configmaps", config(a="1"), namespace="shop")

    assert store.create("configmaps", config("other"), namespace="shop", dry_run=True)["metadata"]["name"] == "other"
    assert store.update("configmaps", {**made, "data": {}}, dry_run=True)["data"] == {}
    store.delete("configmaps", "settings", namespace="shop", dry_run=True)
    assert store.list("configmaps") == [made]
    assert store.version == 1


def test_lists_are_selected_by_namespace_labels_and_fields(store):
    for name, tier in (("a", "web"), ("b", "web"), ("c", "batch")):
        store.create("pods", pod_manifest(name, tier=tier), namespace="shop")
    store.create("pods", pod_manifest("d", tier="web"), namespace="other")

    def names(**selection):
        return [pod["metadata"]["name"] for pod in store.list("pods", **selection)]

    assert names(namespace="shop") == ["a", "b", "c"]
    assert names(labels="tier=web") == ["d", "a", "b"], "sorted by namespace, then name"
    assert names(namespace="shop", labels="tier!=web") == ["c"]
    assert names(namespace="shop", labels="tier in (web, batch),!canary") == ["a", "b", "c"]
    assert names(namespace="shop", labels={"tier": "batch"}) == ["c"]
    assert names(fields="metadata.namespace=shop,metadata.name!=a,status.phase=Pending") == ["b", "c"]


def test_a_watch_gives_what_is_there_and_then_each_change(store):
    async def follow():
        events = store.watch("configmaps", namespace="shop")
        seen = [await anext(events)]
        made = store.create("configmaps", config("new"), namespace="shop")
        store.create("configmaps", config("elsewhere"), namespace="other")
        store.update("configmaps", {**made, "data": {"a": "1"}})
        store.delete("configmaps", "new", namespace="shop")
        return seen + [await anext(events) for _ in range(3)]

    store.create("configmaps", config("old"), namespace="shop")
    seen = [(kind, obj["metadata"]["name"]) for kind, obj in asyncio.run(follow())]

    assert seen == [("ADDED", "old"), ("ADDED", "new"), ("MODIFIED", "new"), ("DELETED", "new")]


def test_a_watch_from_a_version_gives_what_came_after_it_until_that_is_forgotten(store):
    async def after(version):
        subscription = store.subscribe("configmaps", since=version)
        change = await anext(subscription)
        subscription.close()
        return change

    first = store.create("configmaps", config("first"), namespace="shop")
    store.create("configmaps", config("second"), namespace="shop")
    change = asyncio.run(after(int(first["metadata"]["resourceVersion"])))
    assert (change.type, change.object["metadata"]["name"]) == ("ADDED", "second")

    for number in range(KEPT_CHANGES):
        store.create("configmaps", config(f"c{number}"), namespace="shop")
    with pytest.raises(Gone, match="too old resource version"):
        store.subscribe("configmaps", since=1)


def test_a_scheduled_pod_stays_for_its_grace_period_and_an_unscheduled_one_does_not(store):
    scheduled = pod_manifest("scheduled")
    scheduled["spec"]["nodeName"] = "lab-node"
    store.create("pods", scheduled, namespace="shop")
    store.create("pods", pod_manifest("waiting"), namespace="shop")
    store.delete("pods", "waiting", namespace="shop")
    deleted = store.delete("pods", "scheduled", namespace="shop", grace_seconds=5)

    assert [pod["metadata"]["name"] for pod in store.list("pods")] == ["scheduled"]
    assert deleted["metadata"]["deletionGracePeriodSeconds"] == 5
    assert deleted["metadata"]["deletionTimestamp"] == (MOMENT + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    longer = store.delete("pods", "scheduled", namespace="shop", grace_seconds=60)
    assert longer["metadata"]["deletionGracePeriodSeconds"] == 5, "a later deletion only ever shortens it"
    store.remove("pods", "scheduled", namespace="shop")
    assert store.list("pods") == []


def test_an_object_with_finalizers_goes_with_the_last_of_them(store):
    made = store.create("configmaps", {"metadata": {"name": "kept", "finalizers": ["lab/keep"]}}, namespace="shop")
    store.delete("configmaps", "kept", namespace="shop")
    terminating = store.get("configmaps", "kept", namespace="shop")
    assert "deletionTimestamp" in terminating["metadata"]
    terminating["metadata"]["finalizers"] = []
    store.update("configmaps", terminating)

    with pytest.raises(NotFound):
        store.get("configmaps", made["metadata"]["name"], namespace="shop")


def test_a_deletion_of_another_uid_is_refused(store):
    store.create("configmaps", config(), namespace="shop")
    with pytest.raises(Conflict, match="Precondition failed: UID"):
        store.delete("configmaps", "settings", namespace="shop", uid="another")


def test_orphans_lose_their_owner_at_once(store):
    owner = store.create("deployments", deployment_manifest(), namespace="shop")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders", "uid": owner["metadata"]["uid"]}
    store.create("pods", {**pod_manifest(), "metadata": {"name": "p", "ownerReferences": [reference]}}, namespace="shop")
    store.delete("deployments", "orders", namespace="shop", propagation="Orphan")

    assert store.get("pods", "p", namespace="shop")["metadata"]["ownerReferences"] == []


def test_foreground_deletion_waits_for_the_collector(store):
    store.create("deployments", deployment_manifest(), namespace="shop")
    store.delete("deployments", "orders", namespace="shop", propagation="Foreground")

    assert store.get("deployments", "orders", namespace="shop")["metadata"]["finalizers"] == ["foregroundDeletion"]
