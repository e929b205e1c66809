"""What takes a whole service down, as its traces in the sources."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from runbook_lib.models.frame import Frame, frame
from runbook_lib.testing import (
    PODS,
    FakeCluster,
    FakeHttp,
    FakeLogs,
    FakeMetrics,
    Measured,
    Sick,
    ago,
    config_edit,
    events,
    line,
    log_lines,
    pods,
    policy,
    together,
)
from runbook_lib.testing.records import LOG_COLUMNS
from tests.unit.playbooks.faults import POOL_TIMEOUT, Told, rollout

ONSET = ago(minutes=12)
DOWN = FakeHttp({"shop.invalid": Sick("unreachable", "Connection refused")})
KEY_ERROR = "Traceback (most recent call last):\nKeyError: 'PAYMENTS_URL'"
UNAVAILABLE = {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "", "since": ONSET}


def no_pods_ready(since: datetime = ONSET) -> dict[str, Measured]:
    """The symptom, where pods are away: none is ready, and no request is measured any more."""
    return {
        "pods_ready": line(3.0, 0.0, at=since),
        "request_rate": line(50.0, 0.0, at=since),
        "error_ratio": line(0.001, until=since, at=since),
    }


def every_request_fails(since: datetime = ONSET) -> dict[str, Measured]:
    """The symptom, where the pods are there and nothing works."""
    return {"error_ratio": line(0.001, 0.98, at=since), "errors_by_status": line(0.0, 49.0, at=since, status="500")}


def no_requests(since: datetime = ONSET) -> dict[str, Measured]:
    """The symptom, where requests do not arrive."""
    return {"request_rate": line(50.0, 0.0, at=since), "error_ratio": 0.0}


def unready(state: str, message: str = "", *, since: datetime = ONSET, **values: Any) -> Frame:
    """Three pods, none of them ready for this reason."""
    return pods(ready=False, state=state, message=message, ready_changed_at=since, **values)


def crashed(message: str, *, since: datetime = ONSET) -> FakeLogs:
    """The last words of each pod's previous container."""
    rows = [(since + timedelta(seconds=5), pod, "shop", "error", message, True, None) for pod in PODS]
    return FakeLogs(frame(rows, columns=LOG_COLUMNS, source="logs"))


def crashing(*, since: datetime = ONSET) -> Frame:
    """All pods in a crash loop."""
    ended = {"last_state": "Error (exit 1)", "last_terminated_at": ago(1), "restarts": 7}
    return unready("waiting: CrashLoopBackOff", "back-off 5m0s restarting failed container", since=since, **ended)


def crashing_after_a_rollout() -> Told:
    """A new image that does not start, and no old pod left."""
    edit = ("containers.shop.image", "image", "shop:1.0", "shop:2.0")
    return {
        "metrics": no_pods_ready(),
        "logs": crashed("ImportError: cannot import name 'orders'"),
        "cluster": rollout(edit, at=ONSET - timedelta(seconds=20), pods=crashing()),
        "http": DOWN,
    }


def crashing_over_a_setting() -> Told:
    """A config map was edited an hour ago; the pods read it when they were rescheduled."""
    edit = config_edit("DATABASE_POOL_SIZE", "5", "many", at=ONSET - timedelta(minutes=40))
    return {
        "metrics": no_pods_ready(),
        "logs": crashed("ValueError: invalid literal for int() with base 10: 'many'"),
        "cluster": FakeCluster(pods=crashing(), config=edit),
        "http": DOWN,
    }


def crashing_by_itself() -> Told:
    """Nobody changed anything, and the pods crash all the same."""
    return {
        "metrics": no_pods_ready(),
        "logs": crashed("AssertionError: the licence has expired"),
        "cluster": FakeCluster(pods=crashing()),
        "http": DOWN,
    }


def hanging() -> Told:
    """The processes run and answer nobody, their readiness probe included; no liveness probe ends them."""
    late = "Readiness probe failed: Get http://10.0.0.1:8080/ready: context deadline exceeded"
    seen = events(*((ago(1), "Unhealthy", pod, late) for pod in PODS))
    return {"metrics": no_pods_ready(), "cluster": FakeCluster(pods=unready("running, not ready"), events=seen), "http": DOWN}


def ended_by_a_probe(last_state: str = "Completed (exit 0)") -> Told:
    """The liveness probe is less patient than the application is quick, and the application ends well when it is told to."""
    late = "Liveness probe failed: Get http://10.0.0.1:8080/health: context deadline exceeded"
    ended = {"last_state": last_state, "last_terminated_at": ago(1), "restarts": 9}
    return {
        "metrics": no_pods_ready(),
        "cluster": FakeCluster(
            pods=unready("running, not ready", **ended), events=events(*((ago(1), "Unhealthy", pod, late) for pod in PODS))
        ),
        "http": DOWN,
    }


def crashing_over_a_dropped_table() -> Told:
    """Nothing was rolled out; the table that the code begins with is gone."""
    return {
        "metrics": no_pods_ready(),
        "logs": crashed('psycopg.errors.UndefinedTable: relation "orders" does not exist'),
        "cluster": FakeCluster(pods=crashing()),
        "http": DOWN,
    }


def failing_over_a_dropped_table() -> Told:
    """The pods are ready, and nothing works."""
    message = 'GET /orders: psycopg.errors.UndefinedTable: relation "orders" does not exist'
    return {"metrics": every_request_fails(), "logs": FakeLogs(log_lines(message, since=ONSET))}


def missing_image() -> Told:
    """A rollout named an image that is not there."""
    edit = ("containers.shop.image", "image", "shop:1.0", "shop:9.9")
    return {
        "metrics": no_pods_ready(),
        "cluster": rollout(
            edit, at=ONSET - timedelta(seconds=20), pods=unready("waiting: ImagePullBackOff", 'Back-off pulling image "shop:9.9"')
        ),
        "http": DOWN,
    }


def registry_away() -> Told:
    """The image was always pulled, and cannot be any more, as the pods are made anew."""
    return {
        "metrics": no_pods_ready(),
        "cluster": FakeCluster(pods=unready("waiting: ErrImagePull", "dial tcp: i/o timeout")),
        "http": DOWN,
    }


def deleted_config_map() -> Told:
    """Somebody deleted the config map; the pods cannot start without it."""
    return {
        "metrics": no_pods_ready(),
        "cluster": FakeCluster(
            pods=unready("waiting: CreateContainerConfigError", 'configmap "shop-config" not found'),
            absent=["shop-config"],
            events=events((ONSET, "Failed", "shop-1", 'Error: configmap "shop-config" not found')),
        ),
        "http": DOWN,
    }


def missing_key() -> Told:
    """A rollout takes a password from a key that its secret does not have."""
    edit = (
        "containers[shop].env[DB_PASSWORD]",
        "env",
        "(from secret shop-db, key password)",
        "(from secret shop-db, key PASSWORD)",
    )
    return _missed("couldn't find key PASSWORD in Secret shop/shop-db", edit)


def secret_deleted_before_a_rollout() -> Told:
    """A secret is gone, and the new pods of a rollout that has nothing to do with it miss it, as those before would."""
    return _missed('secret "shop-db" not found', ("containers[shop].resources.limits.memory", "resources", "128Mi", "256Mi"))


def _missed(message: str, edit: tuple[str, str, str, str]) -> Told:
    waiting = unready("waiting: CreateContainerConfigError", message)
    return {"metrics": no_pods_ready(), "cluster": rollout(edit, at=ONSET - timedelta(seconds=20), pods=waiting), "http": DOWN}


def not_set_up(reason: str, message: str, *, since: datetime = ONSET) -> Told:
    """The pods were made anew, and stay where their node prepares them: only the events say why."""
    creating = unready("waiting: ContainerCreating", phase="Pending", since=since, started_at=since)
    said = events(*((since + timedelta(seconds=5), reason, pod, message) for pod in PODS))
    return {
        "metrics": no_pods_ready(),
        "cluster": FakeCluster(pods=creating, events=said, deployment={"conditions": [UNAVAILABLE]}),
        "http": DOWN,
    }


def missing_volume_secret() -> Told:
    """Somebody deleted a secret that the pods mount."""
    return not_set_up("FailedMount", 'MountVolume.SetUp failed for volume "tls" : secret "shop-tls" not found')


def held_volume() -> Told:
    """Another node still holds the volume."""
    held = 'Multi-Attach error for volume "pvc-5f" Volume is already exclusively attached to one node'
    return not_set_up("FailedAttachVolume", held)


def no_addresses() -> Told:
    """The subnet of the pods is full."""
    full = 'plugin type="aws-cni" name="aws-cni" failed (add): failed to assign an IP address to container'
    return not_set_up("FailedCreatePodSandBox", f"Failed to create pod sandbox: rpc error: code = Unknown desc = {full}")


def unmet_gate() -> Told:
    """The controller of the load balancer does not say that it sends requests to the pods."""
    message = 'corresponding condition of pod readiness gate "target-health.elbv2.k8s.aws/shop" does not exist.'
    return {
        "metrics": no_pods_ready(),
        "cluster": FakeCluster(pods=unready("running, not ready: readiness gate", message)),
        "http": DOWN,
    }


def no_admission() -> Told:
    """A queue admits the pods no more."""
    message = "Scheduling is blocked due to non-empty scheduling gates"
    return {
        "metrics": no_pods_ready(),
        "cluster": FakeCluster(pods=unready("pending: SchedulingGated", message, phase="Pending")),
        "http": DOWN,
    }


def no_room() -> Told:
    """The pods were made anew and no node has room for them."""
    return {
        "metrics": no_pods_ready(),
        "cluster": FakeCluster(pods=unready("pending: Unschedulable", "0/3 nodes are available: 3 Insufficient memory.")),
        "http": DOWN,
    }


def stopped_database() -> Told:
    """The database has no pod any more; the service's pods are ready, and every request fails."""
    return {
        "metrics": every_request_fails(),
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET)),
        "database": Sick("unreachable", "connection refused", name="postgres"),
        "cluster": FakeCluster(
            others={"app=postgres": pods([])}, events=events((ONSET, "Killing", "postgres-0", "Stopping container postgres"))
        ),
    }


def crashing_without_database() -> Told:
    """The database does not start, and the service's pods crash because they cannot reach it."""
    down = pods(["postgres-0"], ready=False, state="waiting: CrashLoopBackOff", ready_changed_at=ONSET)
    refused = 'psycopg.OperationalError: connection to server at "10.0.0.9", port 5432 failed: Connection refused'
    return {
        "metrics": no_pods_ready(ONSET + timedelta(seconds=15)),
        "logs": crashed(refused),
        "database": Sick("unreachable", "connection refused", name="postgres"),
        "cluster": FakeCluster(pods=crashing(since=ONSET + timedelta(seconds=15)), others={"app=postgres": down}),
        "http": DOWN,
    }


def refused_by_the_database() -> Told:
    """Somebody has changed the password of the database's role; the pods crash when they start anew."""
    refused = 'psycopg.OperationalError: connection failed: FATAL: password authentication failed for user "shop"'
    return {
        "metrics": no_pods_ready(),
        "logs": crashed(refused),
        "cluster": FakeCluster(pods=crashing()),
        "http": DOWN,
    }


def wrong_selector(those: Frame | None = None) -> Told:
    """The Service asks for a label that no pod has."""
    endpoints = frame([], columns=["address", "port", "ready", "pod", "node"])
    endpoints.attrs["changed_at"] = ONSET
    service = {"shop": {"selector": {"app": "shop", "tier": "web"}, "updated_at": ONSET}}
    cluster = FakeCluster(pods=those, endpoints=endpoints, services=service)
    return {"metrics": no_requests(), "cluster": cluster, "http": DOWN}


def deleted_service() -> Told:
    """The Service was deleted, and its endpoints with it."""
    endpoints = frame([], columns=["address", "port", "ready", "pod", "node"])
    endpoints.attrs["changed_at"] = None
    return {"metrics": no_requests(), "cluster": FakeCluster(endpoints=endpoints, services={"shop": None}), "http": DOWN}


def wrong_port() -> Told:
    """The Service leads to a number that is no port of the pods."""
    ports = [{"name": "http", "port": 8080, "target_port": 9999, "protocol": "TCP"}]
    service = {"shop": {"ports": ports, "ports_updated_at": ONSET}}
    return {"metrics": no_requests(), "cluster": FakeCluster(services=service), "http": DOWN}


def denied_clients() -> Told:
    """A policy that lets nobody in."""
    closed = policy("deny-all", at=ONSET - timedelta(seconds=5), podSelector={"matchLabels": {"app": "shop"}})
    timed_out = FakeHttp({"shop.invalid": Sick("timeout", "no answer within 5 s")})
    return {"metrics": no_requests(), "cluster": FakeCluster(policies=closed), "http": timed_out}


def denied_database() -> Told:
    """A policy that lets the service out to DNS alone."""
    dns = [{"ports": [{"port": 53, "protocol": "UDP"}]}]
    own = {"matchLabels": {"app": "shop"}}
    only_dns = policy("dns", at=ONSET - timedelta(seconds=5), types=["Egress"], podSelector=own, egress=dns)
    return {
        "metrics": every_request_fails(),
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET)),
        "cluster": FakeCluster(policies=only_dns, others={"app=postgres": pods(["postgres-0"], labels={"app": "postgres"})}),
    }


def deleted_deployment() -> Told:
    """Somebody deleted the deployment, and its pods went with it."""
    return {"metrics": no_pods_ready(), "cluster": FakeCluster(pods=pods([]), absent=("shop",)), "http": DOWN}


def scaled_away() -> Told:
    """Somebody scaled the deployment to 0."""
    scaled = events((ONSET, "ScalingReplicaSet", "shop", "Scaled down replica set shop-1 to 0 from 3")).assign(kind="Deployment")
    return {
        "metrics": no_pods_ready() | {"replicas_desired": line(3.0, 0.0, at=ONSET)},
        "cluster": FakeCluster(pods=pods([]), deployment={"replicas": 0}, events=scaled),
        "http": DOWN,
    }


def refused_pods() -> Told:
    """A quota leaves no room for the pods that were to take the place of drained ones."""
    refusal = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": 'pods "shop-5d8f-" is forbidden: exceeded quota: compute, requested: limits.cpu=1',
        "since": ONSET,
    }
    return {
        "metrics": no_pods_ready(),
        "cluster": FakeCluster(pods=pods([]), deployment={"ready": 0, "conditions": [UNAVAILABLE, refusal]}),
        "http": DOWN,
    }


def lost_node() -> Told:
    """The node of all pods does not answer: no more is known of them than that they are not ready."""
    gone = events(*((ONSET, "NodeNotReady", pod, "Node is not ready") for pod in PODS))
    return {
        "metrics": no_pods_ready(),
        "cluster": FakeCluster(pods=unready("running, not ready"), events=gone, deployment={"conditions": [UNAVAILABLE]}),
        "http": DOWN,
    }


def taken_back_nodes(state: str = "waiting: ContainerCreating", message: str = "") -> Told:
    """The provider took the nodes back; the pods that are to take their place are not there yet."""
    shut_down = "Pod was terminated in response to imminent node shutdown."
    old = unready("failed: Terminated", shut_down, phase="Failed", last_state="Completed (exit 0)")
    new = unready(state, message, phase="Pending", since=ago(1 / 3), started_at=ago(1 / 3))
    cluster = FakeCluster(pods=together(old, new.assign(pod=new["pod"] + "-new")), deployment={"conditions": [UNAVAILABLE]})
    return {"metrics": no_pods_ready(), "cluster": cluster, "http": DOWN}


def taken_back_nodes_and_no_others() -> Told:
    """The provider took the nodes back, and no other one has room."""
    return taken_back_nodes("pending: Unschedulable", "0/3 nodes are available: 3 node(s) had untolerated taint.")


def wrong_selector_beside_old_pods() -> Told:
    """What stays in the list of pods when it has ended says nothing of what is wrong now."""
    old = pods(["shop-old"], phase="Failed", ready=False, state="evicted", ready_changed_at=ago(4 * 24 * 60))
    job = pods(
        ["shop-migrate"], phase="Succeeded", ready=False, state="succeeded", ready_changed_at=ago(11), owner="Job/shop-migrate"
    )
    return wrong_selector(together(pods(), old, job))


OUTAGES: Mapping[str, tuple[Any, str]] = {
    "pods that crash since a rollout": (crashing_after_a_rollout, "bad_deployment"),
    "pods that crash over a changed setting": (crashing_over_a_setting, "bad_deployment"),
    "pods that crash by themselves": (crashing_by_itself, "pods_crashed"),
    "pods that hang": (hanging, "pods_crashed"),
    "pods that their liveness probe ends": (ended_by_a_probe, "pods_crashed"),
    "pods that crash over a dropped table": (crashing_over_a_dropped_table, "schema_mismatch"),
    "requests that fail over a dropped table": (failing_over_a_dropped_table, "schema_mismatch"),
    "an image that a rollout named wrongly": (missing_image, "bad_deployment"),
    "a registry that is away": (registry_away, "image_or_reference_missing"),
    "a config map that was deleted": (deleted_config_map, "image_or_reference_missing"),
    "a key that a rollout names and nobody made": (missing_key, "bad_deployment"),
    "a secret that was deleted before a rollout": (secret_deleted_before_a_rollout, "image_or_reference_missing"),
    "a secret that the pods mount and that was deleted": (missing_volume_secret, "image_or_reference_missing"),
    "a volume that another node holds": (held_volume, "pods_not_set_up"),
    "a network without addresses": (no_addresses, "pods_not_set_up"),
    "a load balancer that does not speak": (unmet_gate, "gate_unmet"),
    "a queue that admits nothing": (no_admission, "gate_unmet"),
    "no room on any node": (no_room, "out_of_resources"),
    "a database that was stopped": (stopped_database, "database_down"),
    "a database that does not start": (crashing_without_database, "database_down"),
    "a database that refuses the password": (refused_by_the_database, "database_refuses"),
    "a selector that fits no pod": (wrong_selector, "network_partition"),
    "a selector that fits no pod, beside pods that have ended": (wrong_selector_beside_old_pods, "network_partition"),
    "a service that was deleted": (deleted_service, "network_partition"),
    "a service that leads to another port": (wrong_port, "network_partition"),
    "a policy that keeps clients out": (denied_clients, "network_partition"),
    "a policy that keeps the database away": (denied_database, "network_partition"),
    "pods that a quota refuses": (refused_pods, "pods_not_created"),
    "a node that is lost": (lost_node, "out_of_resources"),
    "nodes that were taken back": (taken_back_nodes, "out_of_resources"),
    "nodes that were taken back, and no others": (taken_back_nodes_and_no_others, "out_of_resources"),
    "a deployment that was deleted": (deleted_deployment, "deployment_deleted"),
    "a deployment scaled to 0": (scaled_away, "scaled_to_zero"),
}


def sources(told: Told) -> Told:
    """What `examine` takes: the measures as a Prometheus."""
    return {**told, "metrics": FakeMetrics(told["metrics"])}
