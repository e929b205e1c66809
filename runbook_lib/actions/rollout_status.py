"""Whether a rollout is through: as `kubectl rollout status` says, and beyond it until the old pods are gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runbook_lib.actions.cluster import DEPLOYMENTS, PODS, REPLICA_SETS, Operator
from runbook_lib.actions.interface import Settling
from runbook_lib.actions.replacement import grace_seconds, has_ended, is_leaving
from runbook_lib.actions.workload import Workload, owned_by, revision_of

__all__ = ["rollout_settling", "settling_of"]

Object = Mapping[str, Any]

# States in which a container waits because it cannot run, not because it is about to.
_BROKEN = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)


def rollout_settling(operator: Operator, deployment: str) -> Settling:
    """Look at a deployment's rollout now. Raises a SourceError when it cannot be seen."""
    found = operator.get(DEPLOYMENTS, deployment)
    selector = Workload(found).selector
    return settling_of(found, operator.list(REPLICA_SETS, selector), operator.list(PODS, selector))


def settling_of(deployment: Object, replica_sets: Sequence[Object], pods: Sequence[Object]) -> Settling:
    """How far a rollout is, from the deployment and what its selector finds."""
    workload, status = Workload(deployment), deployment.get("status") or {}
    if int(status.get("observedGeneration") or 0) < workload.generation:
        return Settling(done=False, text=f"deployment/{workload.name}: the change waits to be seen by the controller")
    wanted = workload.replicas
    updated, available = int(status.get("updatedReplicas") or 0), int(status.get("availableReplicas") or 0)
    new = {one["metadata"]["name"] for one in owned_by(deployment, replica_sets) if revision_of(one) == workload.revision}
    ours = {one["metadata"]["name"] for one in owned_by(deployment, replica_sets)}
    new_pods = [pod for pod in pods if _owner(pod) in new]
    old_pods = [pod for pod in pods if _owner(pod) in ours - new and not has_ended(pod)]
    text = f"deployment/{workload.name}: {updated} of {wanted} pods are new, {available} available, {len(old_pods)} old ones left"
    through = updated >= wanted and available >= wanted and int(status.get("replicas") or 0) == updated
    if through and not old_pods:
        return Settling(done=True, text=text)
    draining = through and all(is_leaving(pod) for pod in old_pods)
    grace = max(map(grace_seconds, old_pods)) if draining else 0.0
    return Settling(done=False, text=text, stuck=_stuck(workload, status, new_pods), grace_seconds=grace)


def _stuck(workload: Workload, status: Object, new_pods: Sequence[Object]) -> str:
    """Why it may not get there: the new pods' own trouble tells more than the controller's."""
    troubles = list(_troubles(new_pods))
    if troubles:
        return "; ".join(troubles[:3])
    if workload.paused:
        return "the deployment is paused"
    for condition in status.get("conditions") or ():
        if condition.get("reason") == "ProgressDeadlineExceeded" or condition.get("type") == "ReplicaFailure":
            return str(condition.get("message") or condition.get("reason"))
    return ""


def _troubles(pods: Iterable[Object]) -> Iterable[str]:
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status") or {}
        containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        for container in containers:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in _BROKEN:
                yield f"pod {name}: {waiting['reason']}{_last_end(container)}"
        for condition in status.get("conditions") or ():
            if condition.get("reason") == "Unschedulable":
                yield f"pod {name} cannot be scheduled: {condition.get('message')}"


def _last_end(container: Object) -> str:
    ended = (container.get("lastState") or {}).get("terminated") or {}
    return f", last exit {ended.get('exitCode')} ({ended.get('reason')})" if ended else ""


def _owner(pod: Object) -> str:
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(one.get("name")) for one in owners if one.get("controller")), "")
