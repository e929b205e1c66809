"""The Node object: what the lab's one machine is and can bear."""

from __future__ import annotations

import platform
from datetime import datetime

from runbook_lab.cluster.metadata import Object, timestamp, utc_now
from runbook_lab.cluster.store import Store

NODE_NAME = "lab-node"
# As `kubectl get nodes` shows it; the lab behaves like this version as far as it goes.
_VERSION = "v1.33.0-lab"
# What pods may ask for in all. It is bookkeeping: limits are enforced per container, requests reserve nothing here. So the node
# is as large as a small cluster, and what fits there can be practised on a laptop too.
_CAPACITY = {"cpu": "16", "memory": "64Gi", "pods": "240"}
_LEASES = "kube-node-lease"
_LEASE_SECONDS = 40


def create_node(store: Store, *, ip: str) -> Object:
    """Register the machine as a node that is ready."""
    labels = {
        "kubernetes.io/hostname": NODE_NAME,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
    }
    node = store.create("nodes", {"metadata": {"name": NODE_NAME, "labels": labels}, "spec": {}}, manager="kubelet")
    node["status"] = {
        "capacity": dict(_CAPACITY),
        "allocatable": dict(_CAPACITY),
        "addresses": [{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": NODE_NAME}],
        "conditions": _conditions(utc_now()),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "architecture": labels["kubernetes.io/arch"],
            "bootID": "",
            "containerRuntimeVersion": "process://1.0",
            "kernelVersion": platform.release(),
            "kubeProxyVersion": _VERSION,
            "kubeletVersion": _VERSION,
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": "processes of this machine",
            "systemUUID": "",
        },
    }
    lease = {"holderIdentity": NODE_NAME, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": _micro_time(utc_now())}
    store.create("leases", {"metadata": {"name": NODE_NAME}, "spec": lease}, namespace=_LEASES, manager="kubelet")
    return store.update("nodes", node, subresource="status", manager="kubelet")


def beat(store: Store) -> None:
    """Renew the node's lease, which tells the cluster that the kubelet lives."""
    lease = store.get("leases", NODE_NAME, namespace=_LEASES)
    lease["spec"]["renewTime"] = _micro_time(utc_now())
    store.update("leases", lease, manager="kubelet")


def _micro_time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _conditions(now: datetime) -> list[Object]:
    facts = (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
    times = {"lastHeartbeatTime": timestamp(now), "lastTransitionTime": timestamp(now)}
    return [
        {"type": kind, "status": status, **times, "reason": reason, "message": words} for kind, status, reason, words in facts
    ]
