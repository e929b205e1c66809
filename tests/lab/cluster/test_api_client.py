"""The official Python client works on the API, typed as it is."""

import os
import time

import pytest
from kubernetes import client, config, watch
from kubernetes.stream import stream

from runbook_lab.cluster.access import OPERATOR, READER

pytestmark = pytest.mark.lab


@pytest.fixture
def connect(api):
    def as_user(user=OPERATOR):
        return config.new_client_from_config(str(api.kubeconfig), context=user)

    return as_user


def test_lists_are_typed(connect):
    pods = client.CoreV1Api(connect(READER)).list_namespaced_pod("shop")

    assert [pod.metadata.name for pod in pods.items] == ["orders-0"]
    assert pods.items[0].kind is None, "as on a real server, where the list tells the kind"


def test_a_stale_replacement_is_a_conflict(connect):
    apps = client.AppsV1Api(connect())
    stale = apps.read_namespaced_deployment("orders", "shop")
    apps.patch_namespaced_deployment("orders", "shop", {"spec": {"replicas": 2}})
    stale.spec.replicas = 9
    with pytest.raises(client.ApiException) as refused:
        apps.replace_namespaced_deployment("orders", "shop", stale)

    assert refused.value.status == 409


def test_an_apply_takes_a_field_from_another_only_by_force(connect):
    core, apply = client.CoreV1Api(connect()), {"_content_type": "application/apply-patch+yaml"}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1"}}
    core.patch_namespaced_config_map("applied", "shop", config_map, field_manager="first", **apply)
    config_map["data"] = {"a": "2"}
    with pytest.raises(client.ApiException) as refused:
        core.patch_namespaced_config_map("applied", "shop", config_map, field_manager="second", **apply)
    assert refused.value.status == 409
    taken = core.patch_namespaced_config_map("applied", "shop", config_map, field_manager="second", force=True, **apply)

    assert (taken.data, [entry.manager for entry in taken.metadata.managed_fields]) == ({"a": "2"}, ["second"])


def test_a_server_side_dry_run_changes_nothing(connect):
    apps = client.AppsV1Api(connect())
    scale = apps.patch_namespaced_deployment_scale("orders", "shop", {"spec": {"replicas": 9}}, dry_run="All")

    assert scale.spec.replicas == 9
    assert apps.read_namespaced_deployment("orders", "shop").spec.replicas == 3


def test_access_is_reviewed(connect):
    attributes = client.V1ResourceAttributes(namespace="shop", verb="patch", group="apps", resource="deployments", name="orders")
    review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
    allowed = {
        user: client.AuthorizationV1Api(connect(user)).create_self_subject_access_review(review).status.allowed
        for user in (READER, OPERATOR)
    }

    assert allowed == {READER: False, OPERATOR: True}


def test_a_watch_is_typed_and_ends(connect):
    core = client.CoreV1Api(connect(READER))
    events = list(watch.Watch().stream(core.list_namespaced_pod, "shop", timeout_seconds=1))

    assert [(event["type"], event["object"].metadata.name) for event in events] == [("ADDED", "orders-0")]


def test_exec_gives_streams_and_return_code(connect):
    core = client.CoreV1Api(connect())
    command = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    ran = stream(
        core.connect_get_namespaced_pod_exec,
        "orders-0",
        "shop",
        command=command,
        stderr=True,
        stdin=False,
        stdout=True,
        tty=False,
        _preload_content=False,
    )
    ran.run_forever(timeout=10)

    assert (ran.read_stdout(), ran.read_stderr(), ran.returncode) == ("out\n", "err\n", 3)


def test_what_leaves_with_its_client_is_ended(api, connect):
    core = client.CoreV1Api(connect())
    ran = stream(
        core.connect_get_namespaced_pod_exec,
        "orders-0",
        "shop",
        command=["sh", "-c", "echo $$; exec sleep 600"],
        stderr=True,
        stdin=False,
        stdout=True,
        tty=False,
        _preload_content=False,
    )
    pid = int(ran.readline_stdout(timeout=10))
    ran.close()

    assert _ends(pid)


def _ends(pid, *, seconds=10.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_pod_metrics_logs_and_version_are_read(connect):
    reader = connect(READER)
    metrics = client.CustomObjectsApi(reader).list_namespaced_custom_object("metrics.k8s.io", "v1beta1", "shop", "pods")

    assert metrics["items"][0]["containers"][0]["usage"] == {"cpu": "250000000n", "memory": "65536Ki"}
    assert client.CoreV1Api(reader).read_namespaced_pod_log("orders-0", "shop", tail_lines=1) == "line 5\n"
    assert client.VersionApi(reader).get_code().major == "1"
