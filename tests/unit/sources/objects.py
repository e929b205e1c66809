"""Kubernetes objects as the API shows them, short enough to read in a test."""

from typing import Any

UID = "7a1d0000-0000-0000-0000-00000000000"


def deployment(*, revision: int = 3, **spec: Any) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {
            "name": "orders", "namespace": "shop", "uid": f"{UID}0", "generation": 7, "resourceVersion": "4242",
            "creationTimestamp": "2026-04-01T10:00:00Z", "labels": {},
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "orders"}}, "template": template(), **spec},
        "status": {
            "observedGeneration": 7, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 1,
            "conditions": [{
                "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": "progressing",
                "lastUpdateTime": "2026-05-04T03:11:00Z", "lastTransitionTime": "2026-04-01T10:00:00Z",
            }],
        },
    }  # fmt: skip


def template(*, image: str = "shop/orders:1.4.2", env: Any = (), annotations: Any = None, **container: Any) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "orders"}, "annotations": annotations or {}},
        "spec": {
            "containers": [{
                "name": "orders", "image": image, "env": list(env), "envFrom": [{"configMapRef": {"name": "orders-config"}}],
                "ports": [{"containerPort": 8080}], **container,
            }],
            "volumes": [{"name": "tls", "secret": {"secretName": "orders-tls"}}],
        },
    }  # fmt: skip


def replica_set(number: int, *, revision: int, created: str, replicas: int = 0, reused: str = "", **built: Any) -> dict[str, Any]:
    annotations = {"deployment.kubernetes.io/revision": str(revision), "kubernetes.io/change-cause": f"release {revision}"}
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"orders-{number}", "uid": f"{UID}{number}", "creationTimestamp": created,
            "annotations": annotations | ({"deployment.kubernetes.io/revision-history": reused} if reused else {}),
            "ownerReferences": [{"kind": "Deployment", "name": "orders", "uid": f"{UID}0", "controller": True}],
        },
        "spec": {"replicas": replicas, "template": template(**built)},
        "status": {"replicas": replicas, "readyReplicas": replicas},
    }  # fmt: skip


def pod(
    name: str = "orders-3-abcde", *, of: int = 3, ready: bool = True, ready_at: str = "2026-05-04T03:11:20Z",
    phase: str = "Running", containers: Any = None, created: str = "2026-05-04T03:11:00Z", **status: Any,
) -> dict[str, Any]:  # fmt: skip
    running = {"name": "orders", "ready": ready, "restartCount": 0, "state": {"running": {"startedAt": created}}, "lastState": {}}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "creationTimestamp": created,
            "labels": {"app": "orders", "pod-template-hash": str(of)},
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"orders-{of}", "uid": f"{UID}{of}", "controller": True}],
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "orders", "image": "shop/orders:1.4.2", "resources": {
            "requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}}]},
        "status": {
            "phase": phase, "startTime": created, "podIP": "10.0.0.7",
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": ready_at}],
            "containerStatuses": [running] if containers is None else containers, **status,
        },
    }  # fmt: skip


def waiting(reason: str, message: str = "", *, name: str = "orders", restarts: int = 0, last: Any = None) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {
        "name": name,
        "ready": False,
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }


def terminated(code: int, reason: str, at: str = "2026-05-04T03:15:00Z") -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, "finishedAt": at}
