"""What makes the next pod when one is taken away, and how many of its pods serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.actions.cluster import DAEMON_SETS, DEPLOYMENTS, PODS, REPLICA_SETS, STATEFUL_SETS, Operator, Resource
from runbook_lib.actions.interface import Permission
from runbook_lib.models.plan import Refusal
from runbook_lib.models.selectors import selector_text

__all__ = ["Replacement", "grace_seconds", "has_ended", "is_leaving", "is_ready", "replacement_of"]

Object = Mapping[str, Any]

_CONTROLLERS = {one.kind: one for one in (REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS)}
# What controls a pod, and what to do instead where it makes no other one that takes over.
_NOT_REPLACED = {
    "job": ("its Job would begin the work again from its start, and count a failure", "let it end, or delete it by hand"),
    "node": ("it is a static pod: its node keeps it running whatever the cluster says", "restart it on its node"),
}
_GRACE_SECONDS = 30  # of a pod that does not say


def is_ready(pod: Object) -> bool:
    """Whether a pod serves: ready, and not leaving."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
    return ready and not is_leaving(pod)


def is_leaving(pod: Object) -> bool:
    """Whether a pod was told to end, or has ended."""
    return has_ended(pod) or bool(pod["metadata"].get("deletionTimestamp"))


def has_ended(pod: Object) -> bool:
    """Whether nothing of a pod runs any more. Evicted ones are such, and stay listed."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def grace_seconds(pod: Object) -> float:
    """How long a pod may take to end once it was told to, in seconds."""
    grace = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
    return float(_GRACE_SECONDS if grace is None else grace)


@dataclass(frozen=True)
class Replacement:
    """The workload that makes a pod anew. grace_seconds: how long the pod may take to end."""

    cluster: Operator
    resource: Resource
    name: str
    grace_seconds: float

    @property
    def workload(self) -> str:
        """What kubectl calls it: `deployment/orders`."""
        return f"{self.resource.kind}/{self.name}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """See it."""
        return [self.resource.may("get", self.name)]

    def pods(self) -> list[Object]:
        """Its pods that are not leaving."""
        return [
            pod for pod in self.cluster.list(PODS, selector_text(self._found()["spec"].get("selector"))) if not is_leaving(pod)
        ]

    def wanted(self) -> int:
        """How many pods it is to run."""
        found = self._found()
        if self.resource is DAEMON_SETS:
            return int((found.get("status") or {}).get("desiredNumberScheduled") or 0)
        replicas = found["spec"].get("replicas")
        return 1 if replicas is None else int(replicas)

    def ready(self, *, without: str) -> int:
        """How many of its pods serve, but for the one of this uid."""
        return sum(is_ready(pod) for pod in self.pods() if pod["metadata"]["uid"] != without)

    def down(self, *, beside: str) -> int:
        """How many of its pods are down beside the one of this uid."""
        return max(0, self.wanted() - 1 - self.ready(without=beside))

    def needed(self, *, without: str) -> int:
        """How many have to be ready once another one is there for the pod of this uid."""
        return min(self.ready(without=without) + 1, self.wanted())

    def missing(self, needed: int, *, instead_of: str) -> str:
        """Why the pod of this uid is not replaced yet; empty once it is. A workload that was scaled down needs fewer."""
        ready, wanted = self.ready(without=instead_of), min(needed, self.wanted())
        return "" if ready >= wanted else f"{ready} of {wanted} pods of {self.workload} are ready"

    def _found(self) -> Object:
        return self.cluster.get(self.resource, self.name)


def replacement_of(cluster: Operator, pod: Object) -> Replacement | Refusal:
    """What makes a pod anew, or why nothing does. Raises a SourceError when that cannot be seen."""
    name, owner = pod["metadata"]["name"], _controller(pod)
    if not owner:
        reason = f"pod/{name} has no controller: it would not come back"
        return Refusal(by="target", reason=reason, mend="restart it as whoever made it does")
    kind = str(owner["kind"]).lower()
    resource = _CONTROLLERS.get(kind)
    if resource is None:
        known = f"what a {owner['kind']} does when its pod is taken away is not known here", "delete it by hand"
        why, mend = _NOT_REPLACED.get(kind, known)
        return Refusal(by="target", reason=f"pod/{name} belongs to {kind}/{owner['name']}: {why}", mend=mend)
    above = _controller(cluster.get(resource, owner["name"])) if resource is REPLICA_SETS else {}
    if str(above.get("kind", "")).lower() == DEPLOYMENTS.kind:
        resource, owner = DEPLOYMENTS, above
    return Replacement(cluster, resource, str(owner["name"]), grace_seconds(pod))


def _controller(found: Object) -> Object:
    return next((owner for owner in found["metadata"].get("ownerReferences") or () if owner.get("controller")), {})
