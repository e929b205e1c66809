"""The columns of pods: the status that people read is made from the phase and the containers' states."""

from datetime import datetime
from typing import Any

from runbook_lab.cluster.tables.columns import NAME, NONE, Column, Object
from runbook_lab.cluster.tables.duration import age


def ready(pod: Object, _: datetime) -> str:
    """Count the ready containers: `1/2`."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return f"{sum(1 for status in statuses if status.get('ready'))}/{len(pod['spec'].get('containers') or ())}"


def status(pod: Object, _: datetime) -> str:
    """Give the word of the STATUS column, by the rules of `kubectl get pods`."""
    reason = _init_reason(pod) or _container_reason(pod)
    if "deletionTimestamp" in pod["metadata"]:
        return "Unknown" if pod.get("status", {}).get("reason") == "NodeLost" else "Terminating"
    return reason


def restarts(pod: Object, now: datetime) -> str:
    """Count the restarts, with the time since the last: `3 (5m ago)`."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    count = sum(status.get("restartCount", 0) for status in statuses)
    ends = [(status.get("lastState") or {}).get("terminated", {}).get("finishedAt") for status in statuses]
    last = max((end for end in ends if end), default=None)
    return f"{count} ({age(last, now)} ago)" if count and last else str(count)


def _init_reason(pod: Object) -> str | None:
    statuses = pod.get("status", {}).get("initContainerStatuses") or ()
    for index, entry in enumerate(statuses):
        state = entry.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated and terminated.get("exitCode") == 0:
            continue
        if terminated:
            return f"Init:{_terminated_reason(terminated)}"
        if waiting and waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{len(pod['spec']['initContainers'])}"
    return None


def _container_reason(pod: Object) -> str:
    pod_status = pod.get("status", {})
    reason = pod_status.get("reason") or pod_status.get("phase") or "Pending"
    running = False
    for entry in reversed(pod_status.get("containerStatuses") or ()):
        state = entry.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif state.get("terminated"):
            reason = _terminated_reason(state["terminated"])
        elif entry.get("ready") and state.get("running") is not None:
            running = True
    if reason == "Completed" and running:
        ready_now = any(c["type"] == "Ready" and c["status"] == "True" for c in pod_status.get("conditions") or ())
        return "Running" if ready_now else "NotReady"
    return reason


def _terminated_reason(terminated: dict[str, Any]) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    return f"Signal:{terminated['signal']}" if terminated.get("signal") else f"ExitCode:{terminated.get('exitCode')}"


COLUMNS = (
    NAME,
    Column("Ready", ready),
    Column("Status", status),
    Column("Restarts", restarts),
    Column("Age", lambda pod, now: age(pod["metadata"].get("creationTimestamp"), now)),
    Column("IP", lambda pod, _: pod.get("status", {}).get("podIP") or NONE, wide=True),
    Column("Node", lambda pod, _: pod["spec"].get("nodeName") or NONE, wide=True),
    Column("Nominated Node", lambda pod, _: pod.get("status", {}).get("nominatedNodeName") or NONE, wide=True),
    Column("Readiness Gates", lambda _pod, _now: NONE, wide=True),
)
