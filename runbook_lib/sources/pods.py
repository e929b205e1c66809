"""Pods as `kubectl get pods` and `kubectl top pods` tell of them, and their state in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runbook_lib.sources.quantities import quantity
from runbook_lib.sources.tables import instant

__all__ = [
    "METRIC_COLUMNS",
    "POD_COLUMNS",
    "Revisions",
    "controller_of",
    "is_ready",
    "metric_rows",
    "pod_row",
    "pod_state",
    "restarts_of",
]

POD_COLUMNS = {
    "pod": "text", "phase": "text", "ready": "flag", "restarts": "integer", "node": "text", "ip": "text", "started_at": "time",
    "version": "text", "revision": "any", "template_hash": "text", "state": "text", "message": "text", "last_state": "text",
    "last_terminated_at": "time", "containers": "any", "cpu_request_cores": "number", "cpu_limit_cores": "number",
    "memory_request_bytes": "number", "memory_limit_bytes": "number", "owner": "text", "labels": "any", "ports": "any",
    "ready_changed_at": "time",
}  # fmt: skip
METRIC_COLUMNS = {"pod": "text", "container": "text", "cpu_cores": "number", "memory_bytes": "number", "time": "time"}

Pod = Mapping[str, Any]
Revisions = Mapping[str, int]
"""Replica set uid -> revision of the deployment."""

_STARTING = ("ContainerCreating", "PodInitializing")


def pod_row(pod: Pod, revisions: Revisions, version_label: str | None, container: str | None = None) -> tuple[Any, ...]:
    """One pod as a row of POD_COLUMNS. container: the one whose last end is told before that of any other."""
    metadata, status, spec = pod["metadata"], pod.get("status") or {}, pod.get("spec") or {}
    labels = metadata.get("labels") or {}
    state, message = pod_state(pod)
    name, last = _last_terminated(pod, container)
    owner = controller_of(metadata)
    return (
        metadata["name"],
        status.get("phase") or "",
        is_ready(pod),
        restarts_of(pod),
        spec.get("nodeName") or "",
        status.get("podIP") or "",
        instant(status.get("startTime") or metadata.get("creationTimestamp")),
        _version(labels, spec, version_label),
        revisions.get(owner.get("uid", "")),
        labels.get("pod-template-hash") or labels.get("controller-revision-hash") or "",
        state,
        message,
        _ended(last, name) if last else "",
        instant(last.get("finishedAt")) if last else None,
        [container["name"] for container in spec.get("containers") or ()],
        _requested(spec, "requests", "cpu"),
        _requested(spec, "limits", "cpu"),
        _requested(spec, "requests", "memory"),
        _requested(spec, "limits", "memory"),
        f"{owner['kind']}/{owner['name']}" if owner else "",
        dict(labels),
        _ports(spec),
        instant(_condition(pod, "Ready").get("lastTransitionTime")),
    )


def controller_of(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The owner that controls an object; empty when nothing does."""
    return next((owner for owner in metadata.get("ownerReferences") or () if owner.get("controller")), {})


def is_ready(pod: Pod) -> bool:
    """The Ready condition holds."""
    condition = _condition(pod, "Ready")
    return condition.get("status") == "True"


def restarts_of(pod: Pod) -> int:
    """How often its containers restarted, init containers included."""
    return sum(int(status.get("restartCount") or 0) for status in _statuses(pod.get("status") or {}))


def pod_state(pod: Pod) -> tuple[str, str]:
    """A pod's state in words, and the message that explains it.

    `running`, `running, not ready`, `running, not ready: readiness gate`, `waiting: CrashLoopBackOff`, `pending: Unschedulable`,
    `initializing: migrate (1 of 2)`, `terminated: OOMKilled (exit 137)`, `evicted`, `terminating`, `succeeded`, `failed: …`. The
    order of the questions is that of kubectl's printer: what the pod as a whole suffers from comes before what its containers do.
    """
    status = pod.get("status") or {}
    phase, reason = status.get("phase") or "Unknown", status.get("reason") or ""
    if pod["metadata"].get("deletionTimestamp"):
        return ("unknown: the node does not answer" if reason == "NodeLost" else "terminating"), status.get("message") or ""
    if phase == "Failed" and (failed := _failed(pod)):
        return failed
    if phase == "Succeeded":
        return "succeeded", ""
    unscheduled = _condition(pod, "PodScheduled")
    if unscheduled.get("status") == "False":
        return f"pending: {unscheduled.get('reason') or 'not scheduled'}", unscheduled.get("message") or ""
    return _initializing(pod) or _containers(pod) or _settled(pod, phase)


def _failed(pod: Pod) -> tuple[str, str] | None:
    """Why the pod as a whole has failed. Whoever takes it from its node may leave the reason in a condition alone."""
    status, taken = pod.get("status") or {}, _condition(pod, "DisruptionTarget")
    disruption = taken if taken.get("status") == "True" else {}
    reason = status.get("reason") or disruption.get("reason")
    if not reason:
        return None
    message = status.get("message") or disruption.get("message") or ""
    return ("evicted" if reason == "Evicted" else f"failed: {reason}"), message


def _initializing(pod: Pod) -> tuple[str, str] | None:
    """What the first unfinished init container does. A sidecar (restartPolicy Always) is done once it has started."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    sidecars = {one["name"] for one in _sidecars(spec)}
    statuses = status.get("initContainerStatuses") or ()
    for number, container in enumerate(statuses):
        name, state = container["name"], container.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting")
        if (ended and ended.get("exitCode") == 0) or (name in sidecars and container.get("started")):
            continue
        if ended:
            return f"waiting: init container {name}: {_exit(ended)}", ended.get("message") or ""
        if waiting and waiting.get("reason") not in (None, "", *_STARTING):
            return f"waiting: init container {name}: {waiting['reason']}", waiting.get("message") or ""
        return f"initializing: {name} ({number + 1} of {len(statuses)})", ""
    return None


def _containers(pod: Pod) -> tuple[str, str] | None:
    """The worst that any container says: waiting for a reason first, then ended, then still being created."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    restarted = _to_be_restarted(pod)
    which = "" if len(statuses) == 1 else " ({})"
    found: dict[int, tuple[str, str]] = {}
    for container in statuses:
        state, name = container.get("state") or {}, which.format(container["name"])
        waiting, ended = state.get("waiting"), state.get("terminated")
        if waiting:
            reason = waiting.get("reason") or "no reason given"
            found.setdefault(2 if reason in _STARTING else 0, (f"waiting: {reason}{name}", waiting.get("message") or ""))
        elif ended and (container["name"] in restarted or not _did_its_work(ended)):
            found.setdefault(1, (f"terminated: {_exit(ended)}{name}", ended.get("message") or ""))
    return found[min(found)] if found else None


def _settled(pod: Pod, phase: str) -> tuple[str, str]:
    if phase != "Running":
        return phase.lower(), (pod.get("status") or {}).get("message") or ""
    if is_ready(pod):
        return "running", ""
    unready = _condition(pod, "Ready")
    gate = ": readiness gate" if unready.get("reason") == "ReadinessGatesNotReady" else ""
    return f"running, not ready{gate}", unready.get("message") or ""


def _condition(pod: Pod, kind: str) -> Mapping[str, Any]:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def _statuses(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from status.get("containerStatuses") or ()
    yield from status.get("initContainerStatuses") or ()


def _last_terminated(pod: Pod, preferred: str | None) -> tuple[str, Mapping[str, Any]]:
    """How a container of the pod ended last, and which; nothing when none did, or did its work.

    preferred: the container whose end comes before that of any other, and needs no name, as in a pod that has no other.
    """
    statuses, restarted = list(_statuses(pod.get("status") or {})), _to_be_restarted(pod)
    ended = [
        (container["name"], end)
        for container in statuses
        for end in ((container.get("state") or {}).get("terminated"), (container.get("lastState") or {}).get("terminated"))
        if end and (container["name"] in restarted or not _did_its_work(end))
    ]
    own = [one for one in ended if one[0] == preferred]
    name, last = max(own or ended, key=lambda one: one[1].get("finishedAt") or "", default=("", {}))
    return "" if own or len(statuses) == 1 else name, last


def _did_its_work(ended: Mapping[str, Any]) -> bool:
    return not ended.get("exitCode") and ended.get("reason") == "Completed"


def _to_be_restarted(pod: Pod) -> frozenset[str]:
    """The containers that are meant to run on, so that an exit code of 0 is an end like any other: a wrong command that ends at
    once leaves one, and so does an application that a liveness probe has killed, and that handles SIGTERM."""
    spec = pod.get("spec") or {}
    sidecars = {one["name"] for one in _sidecars(spec)}
    if spec.get("restartPolicy", "Always") != "Always":
        return frozenset(sidecars)
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return frozenset(sidecars | {one["name"] for one in statuses})


def _exit(ended: Mapping[str, Any]) -> str:
    signal = f", signal {ended['signal']}" if ended.get("signal") else ""
    return f"{ended.get('reason') or 'Error'} (exit {ended.get('exitCode')}{signal})"


def _ended(ended: Mapping[str, Any], container: str) -> str:
    which = f" in {container}" if container else ""
    return _exit(ended) + which + (f" at {ended['finishedAt']}" if ended.get("finishedAt") else "")


def _ports(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of the containers before those of the sidecars: of two with one name, the first is the one that counts."""
    containers = [*(spec.get("containers") or ()), *_sidecars(spec)]
    return [{**port, "container": container["name"]} for container in containers for port in container.get("ports") or ()]


def _sidecars(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The init containers that stay as long as the pod does."""
    return [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]


def _version(labels: Mapping[str, str], spec: Mapping[str, Any], label: str | None) -> str:
    """The version by its label, else by the tag of the first container's image."""
    for key in (label, "app.kubernetes.io/version", "version"):
        if key and labels.get(key):
            return labels[key]
    images = [container.get("image") or "" for container in spec.get("containers") or ()]
    last = images[0].partition("@")[0].rpartition("/")[2] if images else ""
    return last.partition(":")[2]


def _requested(spec: Mapping[str, Any], what: str, resource: str) -> float | None:
    """What the containers ask for together. A limit is the pod's only when every container has one."""
    containers = [*(spec.get("containers") or ()), *_sidecars(spec)]
    values = [quantity(((one.get("resources") or {}).get(what) or {}).get(resource)) for one in containers]
    given = [value for value in values if value is not None]
    if not given or (what == "limits" and len(given) < len(values)):
        return None
    return sum(given)


def metric_rows(items: Iterable[Mapping[str, Any]]) -> Sequence[tuple[Any, ...]]:
    """The pods of metrics.k8s.io as rows of METRIC_COLUMNS."""
    return [
        (
            item["metadata"]["name"],
            container["name"],
            quantity((container.get("usage") or {}).get("cpu")),
            quantity((container.get("usage") or {}).get("memory")),
            instant(item.get("timestamp")),
        )
        for item in items
        for container in item.get("containers") or ()
    ]
