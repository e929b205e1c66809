"""The kube_pod_… families."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from runbook_lab.cluster.exporters.families import Family, Sample, created, label_samples, named, one_of, owner_samples
from runbook_lab.cluster.metadata import Object, condition, controller_of, moment
from runbook_lab.cluster.quantity import parse_quantity

_PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
_UNITS = {"cpu": "core", "memory": "byte"}


def _info(pod: Object) -> Iterable[Sample]:
    owner, status = controller_of(pod), pod["status"]
    labels = {
        "host_ip": status.get("hostIP", ""),
        "pod_ip": status.get("podIP", ""),
        "uid": pod["metadata"]["uid"],
        "node": pod["spec"].get("nodeName", ""),
        "created_by_kind": owner["kind"] if owner else "",
        "created_by_name": owner["name"] if owner else "",
        "priority_class": "",
        "host_network": "false",
    }
    yield named(pod, "pod", **labels), 1.0


def _start_time(pod: Object) -> Iterable[Sample]:
    if started := pod["status"].get("startTime"):
        yield named(pod, "pod"), moment(started).timestamp()


def _condition(kind: str) -> Callable[[Object], Iterable[Sample]]:
    def samples(pod: Object) -> Iterable[Sample]:
        if found := condition(pod, kind):
            yield from one_of(named(pod, "pod"), "condition", found["status"].lower(), ("true", "false", "unknown"))

    return samples


def _containers(pod: Object) -> Iterator[tuple[dict[str, str], Object]]:
    for entry in pod["status"].get("containerStatuses") or ():
        yield named(pod, "pod", container=entry["name"]), entry


def _container_info(pod: Object) -> Iterable[Sample]:
    specs = {entry["name"]: entry for entry in pod["spec"]["containers"]}
    for labels, entry in _containers(pod):
        more = {
            "image": entry["image"],
            "image_spec": specs[entry["name"]]["image"],
            "image_id": entry["imageID"],
            "container_id": entry.get("containerID", ""),
        }
        yield labels | more, 1.0


def _of_container(value: Callable[[Object], float | None]) -> Callable[[Object], Iterable[Sample]]:
    def samples(pod: Object) -> Iterable[Sample]:
        for labels, entry in _containers(pod):
            if (number := value(entry)) is not None:
                yield labels, number

    return samples


def _reason(state: str, kind: str) -> Callable[[Object], Iterable[Sample]]:
    def samples(pod: Object) -> Iterable[Sample]:
        for labels, entry in _containers(pod):
            if reason := entry[state].get(kind, {}).get("reason"):
                yield {**labels, "reason": reason}, 1.0

    return samples


def _time(state: str, kind: str, field: str) -> Callable[[Object], float | None]:
    def value(entry: Object) -> float | None:
        text = entry[state].get(kind, {}).get(field)
        return moment(text).timestamp() if text else None

    return value


def _resources(section: str) -> Callable[[Object], Iterable[Sample]]:
    def samples(pod: Object) -> Iterable[Sample]:
        for container in pod["spec"]["containers"]:
            amounts: dict[str, Any] = (container.get("resources") or {}).get(section) or {}
            for resource, amount in amounts.items():
                labels = {
                    "container": container["name"],
                    "node": pod["spec"].get("nodeName", ""),
                    "resource": resource.replace("-", "_"),
                    "unit": _UNITS.get(resource, "integer"),
                }
                yield named(pod, "pod", **labels), float(parse_quantity(amount))

    return samples


def _in_state(kind: str) -> Callable[[Object], float]:
    return lambda entry: float(kind in entry["state"])


def _family(name: str, help_text: str, samples: Callable[[Object], Iterable[Sample]], *, counter: bool = False) -> Family:
    return Family(f"kube_pod_{name}", help_text, "pods", samples, counter)


POD_FAMILIES = (
    _family("info", "Information about pod.", _info),
    _family("labels", "Kubernetes labels converted to Prometheus labels.", lambda pod: label_samples(pod, "pod")),
    _family("owner", "Information about the Pod's owner.", lambda pod: owner_samples(pod, "pod")),
    _family("created", "Unix creation timestamp", lambda pod: created(pod, "pod")),
    _family("start_time", "Start time in unix timestamp for a pod.", _start_time),
    _family(
        "status_phase",
        "The pods current phase.",
        lambda pod: one_of(named(pod, "pod"), "phase", pod["status"].get("phase"), _PHASES),
    ),
    _family("status_ready", "Describes whether the pod is ready to serve requests.", _condition("Ready")),
    _family("status_scheduled", "Describes the status of the scheduling process for the pod.", _condition("PodScheduled")),
    _family("container_info", "Information about a container in a pod.", _container_info),
    _family("container_resource_limits", "The number of requested limit resource by a container.", _resources("limits")),
    _family("container_resource_requests", "The number of requested request resource by a container.", _resources("requests")),
    _family(
        "container_status_restarts",
        "The number of container restarts per container.",
        _of_container(lambda entry: float(entry["restartCount"])),
        counter=True,
    ),
    _family(
        "container_status_ready",
        "Describes whether the containers readiness check succeeded.",
        _of_container(lambda entry: float(entry["ready"])),
    ),
    _family(
        "container_status_running",
        "Describes whether the container is currently in running state.",
        _of_container(_in_state("running")),
    ),
    _family(
        "container_status_waiting",
        "Describes whether the container is currently in waiting state.",
        _of_container(_in_state("waiting")),
    ),
    _family(
        "container_status_waiting_reason",
        "Describes the reason the container is currently in waiting state.",
        _reason("state", "waiting"),
    ),
    _family(
        "container_status_terminated",
        "Describes whether the container is currently in terminated state.",
        _of_container(_in_state("terminated")),
    ),
    _family(
        "container_status_terminated_reason",
        "Describes the reason the container is currently in terminated state.",
        _reason("state", "terminated"),
    ),
    _family(
        "container_status_last_terminated_reason",
        "Describes the last reason the container was in terminated state.",
        _reason("lastState", "terminated"),
    ),
    _family(
        "container_status_last_terminated_exitcode",
        "Describes the exit code for the last container in terminated state.",
        _of_container(lambda entry: entry["lastState"].get("terminated", {}).get("exitCode")),
    ),
    _family(
        "container_status_last_terminated_timestamp",
        "Last terminated time for a pod container in unix timestamp.",
        _of_container(_time("lastState", "terminated", "finishedAt")),
    ),
    _family(
        "container_state_started",
        "Start time in unix timestamp for a pod container.",
        _of_container(_time("state", "running", "startedAt")),
    ),
)
