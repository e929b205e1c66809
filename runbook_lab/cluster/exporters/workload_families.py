"""The families of deployments, replica sets, stateful sets, services, config maps and nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from runbook_lab.cluster.controllers.rollout import bounds
from runbook_lab.cluster.exporters.families import Family, Sample, condition_samples, created, label_samples, named, owner_samples
from runbook_lab.cluster.metadata import Object
from runbook_lab.cluster.quantity import parse_quantity

_UNITS = {"cpu": "core", "memory": "byte", "pods": "integer"}
_KINDS = {
    "deployments": "deployment",
    "replicasets": "replicaset",
    "statefulsets": "statefulset",
    "services": "service",
    "configmaps": "configmap",
    "nodes": "node",
    "horizontalpodautoscalers": "horizontalpodautoscaler",
}

Number = Callable[[Object], float | None]


def _number(plural: str, name: str, help_text: str, value: Number) -> Family:
    """Make a family with one number per object; one that has none gives no series."""

    def samples(obj: Object) -> Iterable[Sample]:
        if (number := value(obj)) is not None:
            yield named(obj, _KINDS[plural]), float(number)

    return Family(f"kube_{_KINDS[plural]}_{name}", help_text, plural, samples)


def _spec(field: str) -> Number:
    return lambda obj: obj["spec"].get(field)


def _status(field: str) -> Number:
    return lambda obj: obj.get("status", {}).get(field, 0)


def _generation(obj: Object) -> float | None:
    generation: float | None = obj["metadata"].get("generation")
    return generation


def _version(obj: Object) -> float:
    return float(obj["metadata"]["resourceVersion"])


def _rolling(field: str) -> Number:
    def value(deployment: Object) -> float | None:
        if deployment["spec"]["strategy"].get("type") != "RollingUpdate":
            return None
        limits = bounds(deployment["spec"]["strategy"], deployment["spec"]["replicas"])
        return limits.surge if field == "max_surge" else limits.unavailable

    return value


def _general(plural: str, *, conditions: bool = False, owner: bool = False) -> Iterable[Family]:
    """Make the families that every kind has."""
    kind = _KINDS[plural]
    yield Family(f"kube_{kind}_created", "Unix creation timestamp", plural, lambda obj: created(obj, kind))
    yield Family(
        f"kube_{kind}_labels", "Kubernetes labels converted to Prometheus labels.", plural, lambda obj: label_samples(obj, kind)
    )
    if conditions:
        yield Family(
            f"kube_{kind}_status_condition", "The current status conditions.", plural, lambda obj: condition_samples(obj, kind)
        )
    if owner:
        yield Family(f"kube_{kind}_owner", "Information about the owner.", plural, lambda obj: owner_samples(obj, kind))


def _service_info(service: Object) -> Iterable[Sample]:
    more = {"cluster_ip": service["spec"].get("clusterIP", ""), "external_name": "", "load_balancer_ip": ""}
    yield named(service, "service", **more), 1.0


def _node_info(node: Object) -> Iterable[Sample]:
    info = node.get("status", {}).get("nodeInfo", {})
    more = {
        "kernel_version": info.get("kernelVersion", ""),
        "os_image": info.get("osImage", ""),
        "container_runtime_version": info.get("containerRuntimeVersion", ""),
        "kubelet_version": info.get("kubeletVersion", ""),
    }
    yield named(node, "node", **more), 1.0


def _node_amounts(section: str) -> Callable[[Object], Iterable[Sample]]:
    def samples(node: Object) -> Iterable[Sample]:
        amounts: dict[str, Any] = node.get("status", {}).get(section, {})
        for resource, amount in amounts.items():
            yield named(node, "node", resource=resource, unit=_UNITS.get(resource, "integer")), float(parse_quantity(amount))

    return samples


_DEPLOYMENTS = (
    ("metadata_generation", "Sequence number representing a specific generation of the desired state.", _generation),
    ("status_observed_generation", "The generation observed by the deployment controller.", _status("observedGeneration")),
    ("status_replicas", "The number of replicas per deployment.", _status("replicas")),
    ("status_replicas_ready", "The number of ready replicas per deployment.", _status("readyReplicas")),
    ("status_replicas_available", "The number of available replicas per deployment.", _status("availableReplicas")),
    ("status_replicas_unavailable", "The number of unavailable replicas per deployment.", _status("unavailableReplicas")),
    ("status_replicas_updated", "The number of updated replicas per deployment.", _status("updatedReplicas")),
    ("spec_replicas", "Number of desired pods for a deployment.", _spec("replicas")),
    ("spec_paused", "Whether the deployment is paused.", lambda obj: bool(obj["spec"].get("paused"))),
    ("spec_strategy_rollingupdate_max_surge", "Maximum number of pods above the desired number.", _rolling("max_surge")),
    ("spec_strategy_rollingupdate_max_unavailable", "Maximum number of unavailable replicas.", _rolling("max_unavailable")),
)
_REPLICA_SETS = (
    ("metadata_generation", "Sequence number representing a specific generation of the desired state.", _generation),
    ("status_observed_generation", "The generation observed by the ReplicaSet controller.", _status("observedGeneration")),
    ("status_replicas", "The number of replicas per ReplicaSet.", _status("replicas")),
    ("status_ready_replicas", "The number of ready replicas per ReplicaSet.", _status("readyReplicas")),
    ("status_fully_labeled_replicas", "The number of fully labeled replicas per ReplicaSet.", _status("fullyLabeledReplicas")),
    ("spec_replicas", "Number of desired pods for a ReplicaSet.", _spec("replicas")),
)
_STATEFUL_SETS = (
    ("metadata_generation", "Sequence number representing a specific generation of the desired state.", _generation),
    ("status_observed_generation", "The generation observed by the StatefulSet controller.", _status("observedGeneration")),
    ("status_replicas", "The number of replicas per StatefulSet.", _status("replicas")),
    ("status_replicas_ready", "The number of ready replicas per StatefulSet.", _status("readyReplicas")),
    ("status_replicas_available", "The number of available replicas per StatefulSet.", _status("availableReplicas")),
    ("status_replicas_current", "The number of current replicas per StatefulSet.", _status("currentReplicas")),
    ("status_replicas_updated", "The number of updated replicas per StatefulSet.", _status("updatedReplicas")),
    ("replicas", "Number of desired pods for a StatefulSet.", _spec("replicas")),
)
_AUTOSCALERS = (
    ("spec_max_replicas", "Upper limit for the number of pods that can be set by the autoscaler.", _spec("maxReplicas")),
    ("spec_min_replicas", "Lower limit for the number of pods that can be set by the autoscaler.", _spec("minReplicas")),
    ("status_current_replicas", "Current number of replicas of pods managed by this autoscaler.", _status("currentReplicas")),
    ("status_desired_replicas", "Desired number of replicas of pods managed by this autoscaler.", _status("desiredReplicas")),
)

WORKLOAD_FAMILIES = (
    *_general("deployments", conditions=True),
    *(_number("deployments", *entry) for entry in _DEPLOYMENTS),
    *_general("replicasets", owner=True),
    *(_number("replicasets", *entry) for entry in _REPLICA_SETS),
    *_general("statefulsets"),
    *(_number("statefulsets", *entry) for entry in _STATEFUL_SETS),
    *(_number("horizontalpodautoscalers", *entry) for entry in _AUTOSCALERS),
    *_general("services"),
    Family("kube_service_info", "Information about service.", "services", _service_info),
    *_general("configmaps"),
    _number(
        "configmaps", "metadata_resource_version", "Resource version representing a specific version of the configmap.", _version
    ),
    *_general("nodes", conditions=True),
    Family("kube_node_info", "Information about a cluster node.", "nodes", _node_info),
    Family(
        "kube_node_status_capacity", "The total amount of resources available for a node.", "nodes", _node_amounts("capacity")
    ),
    Family(
        "kube_node_status_allocatable", "The amount of resources that can be scheduled.", "nodes", _node_amounts("allocatable")
    ),
    _number(
        "nodes", "spec_unschedulable", "Whether a node can schedule new pods.", lambda obj: bool(obj["spec"].get("unschedulable"))
    ),
)
