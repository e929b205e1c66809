"""The Node object: what the lab's one machine is and can bear."""

from __future__ import annotations

import os
import platform
from datetime import datetime

from runbook_lab.cluster.metadata import Object, timestamp, utc_now
from runbook_lab.cluster.store import Store

NODE_NAME = "lab-node"
# As `kubectl get nodes` shows it; the lab behaves like this version as far as it goes.
_VERSION = "v1.32.0-lab"
_MAX_PODS = 240


def create_node(store: Store, *, ip: str) -> Object:
    """Register the machine as a node that is ready."""
    labels = {
        "kubernetes.io/hostname": NODE_NAME,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
    }
    node = store.create("nodes", {"metadata": {"name": NODE_NAME, "labels": labels}, "spec": {}}, manager="kubelet")
    capacity = {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 1024}Ki",
        "pods": str(_MAX_PODS),
    }
    node["status"] = {
        "capacity": capacity,
        "allocatable": capacity,
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
    return store.update("nodes", node, subresource="status", manager="kubelet")


def beat(store: Store) -> None:
    """Renew the node's heartbeat."""
    node = store.get("nodes", NODE_NAME)
    for entry in node["status"]["conditions"]:
        entry["lastHeartbeatTime"] = timestamp(utc_now())
    store.update("nodes", node, subresource="status", manager="kubelet")


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
