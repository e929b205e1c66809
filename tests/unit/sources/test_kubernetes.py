import contextlib
import gzip
import json
import socket
import threading
import time
from datetime import UTC, datetime

import pytest

from runbook_lib.errors import (
    SourceAnswerInvalid,
    SourceMissingObject,
    SourceNotConfigured,
    SourceRefused,
    SourceTimeout,
    SourceUnreachable,
)
from runbook_lib.models.window import Window
from runbook_lib.service.models import KubernetesConnection
from runbook_lib.sources.kubernetes import KubernetesCluster
from tests.unit.sources.api_server import APPS, SHOP, Answer, ApiServer, forbidden, items, kubeconfig, serving, status
from tests.unit.sources.objects import deployment, pod, replica_set, waiting

WINDOW = Window(datetime(2026, 5, 4, 3, 0, tzinfo=UTC), datetime(2026, 5, 4, 4, 0, tzinfo=UTC))
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SELF = "/apis/authentication.k8s.io"


@pytest.fixture
def api():
    with serving() as server:
        yield server


@pytest.fixture
def cluster(api: ApiServer, tmp_path):
    with_default = KubernetesCluster(api.connection(tmp_path))
    yield with_default
    with_default.close()


def talking(serve) -> int:
    """A server that does with each connection whatever `serve` does; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


def sick(tmp_path, port, **settings):
    return KubernetesCluster(
        KubernetesConnection(
            **{"kubeconfig": str(kubeconfig(tmp_path, port)), "namespace": "shop", "timeout_seconds": 0.6, **settings}
        )
    )


# Pods and what belongs to them


def test_pods_come_with_their_revision_and_the_command_that_asks_the_same(api, cluster):
    api.routes[f"{SHOP}/pods"] = items(
        pod(), pod("orders-2-fghij", of=2, ready=False, containers=[waiting("CrashLoopBackOff", restarts=7)])
    )
    api.routes[f"{APPS}/replicasets"] = items(
        replica_set(3, revision=14, created="2026-05-04T03:11:00Z"), replica_set(2, revision=13, created="2026-05-01T03:11:00Z")
    )
    found = cluster.pods("app=orders")
    assert list(found["revision"]) == [14, 13]
    assert list(found["ready"]) == [True, False]
    assert list(found["state"]) == ["running", "waiting: CrashLoopBackOff"]
    assert str(found["started_at"].dtype) == "datetime64[us, UTC]"
    assert found.command == "kubectl -n shop get pods -l app=orders -o wide"
    assert all(request.query["labelSelector"] == "app=orders" for request in api.requests)


def test_no_pods_give_an_empty_frame_of_the_same_columns(api, cluster):
    api.routes[f"{SHOP}/pods"] = items()
    found = cluster.pods("app=orders")
    assert found.empty
    assert {"pod", "ready", "state", "revision"} <= set(found.columns)
    assert str(found["started_at"].dtype) == "datetime64[us, UTC]"


def test_pods_are_told_without_revisions_when_replica_sets_may_not_be_read(api, cluster):
    api.routes[f"{SHOP}/pods"] = items(pod())
    api.routes[f"{APPS}/replicasets"] = forbidden("replicasets")
    found = cluster.pods("app=orders")
    assert found["revision"].iloc[0] is None
    assert "cannot list replicasets" in found.attrs["notes"][0]


def test_metrics_need_a_metrics_server(api, cluster):
    with pytest.raises(SourceNotConfigured, match="metrics-server"):
        cluster.pod_metrics("app=orders")
    usage = {"containers": [{"name": "orders", "usage": {"cpu": "5m", "memory": "1Mi"}}], "timestamp": "2026-05-04T03:11:00Z"}
    api.routes["/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"] = items({"metadata": {"name": "orders-1"}, **usage})
    assert cluster.pod_metrics("app=orders")["cpu_cores"].iloc[0] == 0.005


def test_of_too_many_events_the_newest_are_kept(api, cluster):
    def event(number):
        at = f"2026-05-04T03:{number // 60:02}:{number % 60:02}Z"
        about = {"involvedObject": {"kind": "Pod", "name": f"orders-{number}"}, "message": "m", "lastTimestamp": at}
        return {"metadata": {"creationTimestamp": at}, **about}

    api.routes[f"{SHOP}/events"] = items(*(event(number) for number in range(2500)))
    found = cluster.events(window=WINDOW)
    assert len(found) == 2000
    assert found["name"].iloc[-1] == "orders-2499"
    assert found.attrs["truncated"] == 500


# Rollouts and configuration


def test_the_history_of_a_rollback_asks_for_the_deployments_events(api, cluster):
    api.routes[f"{APPS}/deployments/orders"] = deployment(revision=4)
    api.routes[f"{APPS}/replicasets"] = items(replica_set(1, revision=4, created="2026-04-01T10:00:00Z", replicas=3, reused="1"))
    api.routes[f"{SHOP}/pods"] = items(pod(of=1))
    message = "Scaled up replica set orders-1 to 1 from 0"
    scaled = {"reason": "ScalingReplicaSet", "message": message, "lastTimestamp": "2026-05-04T03:30:00Z", "metadata": {}}
    api.routes[f"{SHOP}/events"] = items(scaled)
    found = cluster.rollout_history("orders")
    assert found["created_at"].iloc[0].isoformat() == "2026-05-04T03:30:00+00:00"
    assert found["revision"].dtype == "int64"
    assert api.requests[-1].query["fieldSelector"] == "involvedObject.kind=Deployment,involvedObject.name=orders"
    assert found.attrs["managed_by"] == ""


def test_the_history_is_told_without_pods_when_those_may_not_be_read(api, cluster):
    api.routes[f"{APPS}/deployments/orders"] = deployment()
    api.routes[f"{APPS}/replicasets"] = items(replica_set(3, revision=3, created="2026-05-04T03:11:00Z"))
    api.routes[f"{SHOP}/pods"] = forbidden("pods")
    found = cluster.rollout_history("orders")
    assert list(found["revision"]) == [3]
    assert "cannot list pods" in found.attrs["notes"][0]


def test_a_revision_that_is_not_kept_is_missing_and_the_kept_ones_are_named(api, cluster):
    api.routes[f"{APPS}/deployments/orders"] = deployment()
    api.routes[f"{APPS}/replicasets"] = items(
        replica_set(2, revision=2, created="2026-05-01T03:11:00Z"),
        replica_set(3, revision=3, created="2026-05-04T03:11:00Z", image="x:2"),
    )
    assert list(cluster.rollout_diff("orders", old=2, new=3)["path"]) == ["containers[orders].image"]
    with pytest.raises(SourceMissingObject, match="no revision 1; it keeps 2, 3"):
        cluster.rollout_diff("orders", old=1, new=3)


def test_a_config_map_that_is_gone_is_named_and_the_others_are_read(api, cluster):
    managed = [{"manager": "kubectl-edit", "time": "2026-05-04T03:11:00Z", "fieldsV1": {"f:data": {"f:A": {}}}}]
    kept = {"kind": "ConfigMap", "metadata": {"name": "kept", "managedFields": managed}, "data": {"A": "1", "B": "2"}}
    api.routes[f"{SHOP}/configmaps/kept"] = kept
    api.routes[f"{SHOP}/configmaps/gone"] = status(404, 'configmaps "gone" not found', "NotFound", name="gone", kind="configmaps")
    found = cluster.config_changes(["gone", "kept"], window=WINDOW)
    assert list(found["key"]) == ["A"]
    assert found.attrs["missing"] == ["gone"]
    with pytest.raises(SourceMissingObject, match="there is no configmap gone in namespace shop"):
        cluster.config_map("gone")


def test_endpoints_fall_back_to_the_older_kind_when_slices_may_not_be_read(api, cluster):
    api.routes["/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"] = forbidden("endpointslices")
    api.routes[f"{SHOP}/endpoints/orders"] = {
        "kind": "Endpoints",
        "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}],
    }
    found = cluster.endpoints("orders")
    assert list(found["address"]) == ["10.0.0.1"]
    assert "endpoints orders" in found.command
    api.routes[f"{SHOP}/endpoints/orders"] = forbidden("endpoints", verb="get")
    with pytest.raises(SourceRefused, match="endpointslices"):
        cluster.endpoints("orders")


def test_of_a_secret_only_the_names_of_its_keys_are_asked_for(api, cluster):
    api.routes[f"{SHOP}/secrets/orders-db"] = {
        "kind": "PartialObjectMetadata",
        "metadata": {"managedFields": [{"fieldsV1": {"f:data": {"f:password": {}}}}]},
    }
    assert cluster.secret_keys("orders-db") == ["password"]
    assert api.requests[-1].headers["Accept"].startswith("application/json;as=PartialObjectMetadata")
    api.routes[f"{SHOP}/secrets/orders-db"] = forbidden("secrets", verb="get")
    with pytest.raises(SourceRefused, match="needs verb get on secrets"):
        cluster.secret_keys("orders-db")


# Lists


def test_a_long_list_is_read_in_pages(api, cluster):
    pages = {"": ("next", [pod("a")]), "next": ("last", [pod("b")]), "last": ("", [pod("c")])}

    def page(request):
        following, found = pages[request.query.get("continue", "")]
        assert request.query["limit"] == "500"
        return items(*found, **{"continue": following})

    api.routes[f"{SHOP}/pods"] = page
    assert list(cluster.pods("app=orders")["pod"]) == ["a", "b", "c"]


def test_a_list_that_expires_is_begun_anew_and_at_last_asked_for_at_once(api, cluster):
    def page(request):
        if "continue" in request.query:
            return status(410, "The provided continue parameter is too old", "Expired")
        whole = "limit" not in request.query
        return items(pod("a"), *([pod("b")] if whole else []), **({} if whole else {"continue": "next"}))

    api.routes[f"{SHOP}/pods"] = page
    assert list(cluster.pods("app=orders")["pod"]) == ["a", "b"]


def test_a_list_beyond_the_bound_says_how_much_was_left_out(api, cluster):
    def page(request):
        return items(*(pod(f"pod-{number}") for number in range(500)), **{"continue": "more", "remainingItemCount": 123})

    api.routes[f"{SHOP}/pods"] = page
    listing = cluster.api.list(cluster_pods(), maximum=1000)
    assert (len(listing.items), listing.left_out) == (1000, 123)


def cluster_pods():
    from runbook_lib.sources.kubernetes import PODS

    return PODS


def test_compressed_answers_are_understood(api, cluster):
    body = gzip.compress(json.dumps(items(pod())).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    api.routes[f"{SHOP}/pods"] = Answer(body=body, headers=headers)
    assert len(cluster.pods("app=orders")) == 1
    assert api.requests[0].headers["Accept-Encoding"] == "gzip"


# Identity and access


def test_access_is_asked_of_the_cluster(api, cluster):
    api.routes[REVIEW] = {"kind": "SelfSubjectAccessReview", "status": {"allowed": True}}
    assert cluster.can("patch", "deployments", group="apps", name="orders", subresource="scale")
    asked = api.requests[0].body["spec"]["resourceAttributes"]
    assert asked == {
        "namespace": "shop",
        "verb": "patch",
        "group": "apps",
        "resource": "deployments",
        "name": "orders",
        "subresource": "scale",
    }
    assert api.requests[0].headers["Authorization"] == "Bearer token-of-reader"


def test_the_probe_says_which_permission_is_missing(api, cluster):
    api.routes[REVIEW] = {"kind": "SelfSubjectAccessReview", "status": {"allowed": False}}
    found = cluster.probe()
    assert found.status == "refused"
    assert found.error == "cannot list pods in namespace shop; needs verb list on pods"
    api.routes[REVIEW] = {"kind": "SelfSubjectAccessReview", "status": {"allowed": True}}
    assert cluster.probe().status == "ok"


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha1"])
def test_the_identity_is_what_the_cluster_says_in_any_version(api, cluster, version):
    user = {"userInfo": {"username": "system:serviceaccount:shop:runbook-reader"}}
    api.routes[f"{SELF}/{version}/selfsubjectreviews"] = {"kind": "SelfSubjectReview", "status": user}
    assert cluster.identity() == "system:serviceaccount:shop:runbook-reader"


def test_an_old_cluster_leaves_the_kubeconfigs_name_for_the_user(api, cluster):
    assert cluster.identity() == "reader (user of the kubeconfig)"


def test_a_refused_review_still_names_the_identity(api, cluster):
    api.routes[f"{SELF}/v1/selfsubjectreviews"] = forbidden("selfsubjectreviews", "create", user="ann@example.org")
    assert cluster.identity() == "ann@example.org"


def test_the_operator_has_an_identity_of_its_own(api, tmp_path):
    cluster = KubernetesCluster(api.connection(tmp_path, context="reader", operator_context="operator", impersonate="ann"))
    api.routes[REVIEW] = {"kind": "SelfSubjectAccessReview", "status": {"allowed": True}}
    cluster.can("get", "pods")
    operator = cluster.operator()
    operator.can("get", "pods")
    assert cluster.operator() is operator
    assert operator.operator() is operator
    first, second = api.requests
    assert (first.headers["Authorization"], first.headers["Impersonate-User"]) == ("Bearer token-of-reader", "ann")
    assert second.headers["Authorization"] == "Bearer token-of-operator"
    assert "Impersonate-User" not in second.headers
    assert cluster.kubectl("get", "pods") == "kubectl -n shop --context reader --as=ann get pods"
    assert operator.kubectl("get", "pods") == "kubectl -n shop --context operator get pods"
    cluster.close()


def test_without_an_operator_context_the_operator_is_the_same(cluster):
    assert cluster.operator() is cluster


# Refusals and failures


def test_a_refusal_names_the_identity_and_the_permission(api, cluster):
    api.routes[f"{SHOP}/pods"] = forbidden("pods")
    with pytest.raises(SourceRefused) as refused:
        cluster.pods("app=orders")
    assert refused.value.reason == (
        "cannot list pods in namespace shop as system:serviceaccount:shop:reader; needs verb list on pods"
    )


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (status(401, "Unauthorized", "Unauthorized"), SourceRefused, "does not accept the credentials"),
        (status(504, "etcdserver: request timed out", "Timeout"), SourceTimeout, "etcdserver"),
        (status(503, "the server is currently unable", "ServiceUnavailable"), SourceUnreachable, "unable"),
        (status(500, "internal error", "InternalError"), SourceAnswerInvalid, "HTTP 500: internal error"),
        (status(429, "too many requests", "TooManyRequests"), SourceTimeout, "overloaded"),
        (Answer(302, b"", {"Location": "/login"}), SourceAnswerInvalid, "redirect"),
        (Answer(200, b"<html><body>Sign in", {"Content-Type": "text/html"}), SourceAnswerInvalid, "text/html"),
        (Answer(502, b"<html>Bad Gateway", {"Content-Type": "text/html"}), SourceAnswerInvalid, "Bad Gateway"),
        (Answer(200, b'{"kind": "PodList", "items": [', {}), SourceAnswerInvalid, "no Kubernetes object"),
        (Answer(200, b"[1, 2]"), SourceAnswerInvalid, "no Kubernetes object"),
        (Answer(403, b"denied by proxy", {"Content-Type": "text/plain"}), SourceRefused, "may come from a proxy"),
    ],
)
def test_each_failure_is_told_for_what_it_is(api, cluster, answer, error, words):
    api.routes[f"{SHOP}/pods"] = answer
    with pytest.raises(error, match=words):
        cluster.pods("app=orders")


def test_a_server_that_asks_to_come_back_is_asked_again(api, cluster):
    answers = iter([Answer(429, b"{}", {"Retry-After": "0.01"}), Answer(body=items(pod()))])
    api.routes[f"{SHOP}/pods"] = lambda _: next(answers)
    api.routes[f"{APPS}/replicasets"] = items()
    assert len(cluster.pods("app=orders")) == 1


def test_a_closed_port_is_unreachable(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    cluster = sick(tmp_path, port)
    with pytest.raises(SourceUnreachable, match=rf"no connection to http://127.0.0.1:{port}: .*refused"):
        cluster.pods("app=orders")
    assert cluster.probe().status == "unreachable"


def hangs(connection):
    connection.recv(65536)
    threading.Event().wait(25)


def drip(connection, content):
    with contextlib.suppress(OSError):  # the client gives up
        for byte in content:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)


def drips_headers(connection):
    connection.recv(65536)
    drip(connection, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Long: " + b"x" * 500)


def drips_its_body(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    drip(connection, b" " * 500)


@pytest.mark.parametrize("serve", [hangs, drips_headers, drips_its_body])
def test_a_server_that_hangs_or_drips_times_out_within_the_deadline(tmp_path, serve):
    cluster = sick(tmp_path, talking(serve))
    began = time.monotonic()
    with pytest.raises(SourceTimeout, match=r"list pods in namespace shop within 0\.6 s"):
        cluster.pods("app=orders")
    assert time.monotonic() - began < 10


def test_an_answer_that_is_cut_off_is_invalid(tmp_path):
    def serve(connection):
        connection.recv(65536)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"kind":')
        connection.close()

    with pytest.raises(SourceAnswerInvalid, match="cut off"):
        sick(tmp_path, talking(serve)).pods("app=orders")


def test_a_server_that_speaks_another_protocol_is_told(tmp_path):
    def serve(connection):
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.close()

    with pytest.raises((SourceAnswerInvalid, SourceUnreachable)):
        sick(tmp_path, talking(serve)).pods("app=orders")


# Configuration


def test_a_kubeconfig_that_is_missing_or_none_makes_the_cluster_unreachable_and_names_the_field(tmp_path):
    missing = KubernetesCluster(KubernetesConnection(kubeconfig=str(tmp_path / "none"), namespace="shop"))
    seen = missing.probe()
    assert seen.status == "unreachable"
    assert "connections.kubernetes.kubeconfig" in (seen.error or "")
    (tmp_path / "bad").write_text("just text")
    with pytest.raises(SourceUnreachable, match="cannot be used"):
        KubernetesCluster(KubernetesConnection(kubeconfig=str(tmp_path / "bad"), namespace="shop")).pods("app=orders")


def test_a_context_that_does_not_exist_is_named(api, tmp_path):
    with pytest.raises(SourceUnreachable, match="with context prod"):
        KubernetesCluster(api.connection(tmp_path, context="prod")).pods("app=orders")


def test_a_kubeconfig_may_stand_in_a_variable_as_a_path_or_whole(api, tmp_path, monkeypatch):
    api.routes[f"{SHOP}/pods"] = items()
    path = kubeconfig(tmp_path, api.port)
    for value in (str(path), path.read_text()):
        monkeypatch.setenv("SHOP_KUBECONFIG", value)
        assert (
            KubernetesCluster(KubernetesConnection(kubeconfig="env:SHOP_KUBECONFIG", namespace="shop")).pods("app=orders").empty
        )


def test_nothing_is_opened_before_the_first_question(tmp_path):
    cluster = KubernetesCluster(KubernetesConnection(kubeconfig=str(tmp_path / "none"), namespace="shop"))
    cluster.operator()
    cluster.close()
