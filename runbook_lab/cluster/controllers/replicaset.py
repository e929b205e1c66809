"""Replica sets: so many pods of one template, no more and no fewer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from runbook_lab.cluster.controllers import pods
from runbook_lab.cluster.controllers.events import Recorder
from runbook_lab.cluster.controllers.loop import REFUSED_SECONDS, Controller
from runbook_lab.cluster.errors import Forbidden
from runbook_lab.cluster.metadata import (
    Key,
    Object,
    condition,
    controller_of,
    is_controlled_by,
    is_terminating,
    key_of,
    owner_reference,
    pod_template_labels,
    timestamp,
    utc_now,
)
from runbook_lab.cluster.pod_admission import admit_pod
from runbook_lab.cluster.selectors import parse_label_selector
from runbook_lab.cluster.store import NotFound, Store

_MANAGER = "replicaset-controller"
_PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}
# So many pods are created at a time, so that a scale to thousands does not stop everything else.
_BURST = 500
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


class ReplicaSetController(Controller):
    """Creates and deletes pods; adopts those that match and have no owner, lets go of those that no longer match."""

    plural: ClassVar[str] = "replicasets"
    watched: ClassVar[tuple[str, ...]] = ("replicasets", "pods")

    def __init__(self, store: Store, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(store)
        self._events = Recorder(store, _MANAGER, clock=clock)
        self._clock = clock

    def concerned(self, plural: str, obj: Object) -> Iterable[Key]:
        """A pod concerns its owner; without one, every replica set that could adopt it."""
        if plural == "pods" and controller_of(obj) is None:
            for replica_set in self.store.list("replicasets", namespace=obj["metadata"]["namespace"]):
                if parse_label_selector(replica_set["spec"]["selector"])(obj):
                    yield key_of(replica_set)
        else:
            yield from super().concerned(plural, obj)

    def reconcile(self, key: Key) -> float | None:
        """Create or delete pods until their number is right, and report."""
        namespace, name = key
        try:
            replica_set = self.store.get("replicasets", name, namespace=namespace)
        except NotFound:
            return None
        if is_terminating(replica_set):
            return None
        own = [pod for pod in self._claim(replica_set) if pods.is_active(pod)]
        missing = replica_set["spec"]["replicas"] - len(own)
        refusal: Forbidden | None = None
        for _ in range(min(missing, _BURST)):
            try:
                own.append(self._create(replica_set))
            except Forbidden as error:
                refusal = error
                self._events.warning(replica_set, "FailedCreate", f"Error creating: {error.message}")
                break
        for pod in sorted(own, key=_deletion_order)[: max(-missing, 0)]:
            self._delete(replica_set, pod)
            own.remove(pod)
        again = self._report(replica_set, own, refusal)
        if refusal:
            return REFUSED_SECONDS
        return 0.0 if missing > _BURST else again

    def _claim(self, replica_set: Object) -> list[Object]:
        matches = parse_label_selector(replica_set["spec"]["selector"])
        own = []
        for pod in self.store.list("pods", namespace=replica_set["metadata"]["namespace"]):
            mine = is_controlled_by(pod, replica_set)
            if matches(pod) and (mine or (controller_of(pod) is None and pods.is_active(pod))):
                own.append(pod if mine else self._adopt(replica_set, pod))
            elif mine and not is_terminating(pod):
                self._release(replica_set, pod)
        return own

    def _adopt(self, replica_set: Object, pod: Object) -> Object:
        pod["metadata"]["ownerReferences"] = [*pod["metadata"].get("ownerReferences", ()), owner_reference(replica_set)]
        return self.store.update("pods", pod, manager=_MANAGER)

    def _release(self, replica_set: Object, pod: Object) -> None:
        """Let a pod go whose labels were changed: how one takes a pod out of service to look at it."""
        owners = [owner for owner in pod["metadata"]["ownerReferences"] if owner["uid"] != replica_set["metadata"]["uid"]]
        pod["metadata"]["ownerReferences"] = owners
        self.store.update("pods", pod, manager=_MANAGER)

    def _create(self, replica_set: Object) -> Object:
        made = pods.pod_from(replica_set, replica_set["spec"]["template"])
        namespace = replica_set["metadata"]["namespace"]
        admit_pod(self.store, made, namespace=namespace)
        pod = self.store.create("pods", made, namespace=namespace, manager=_MANAGER)
        self._events.normal(replica_set, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        return pod

    def _delete(self, replica_set: Object, pod: Object) -> None:
        name = pod["metadata"]["name"]
        self.store.delete("pods", name, namespace=pod["metadata"]["namespace"])
        self._events.normal(replica_set, "SuccessfulDelete", f"Deleted pod: {name}")

    def _report(self, replica_set: Object, own: Sequence[Object], refusal: Forbidden | None) -> float | None:
        labels = pod_template_labels(replica_set["spec"]["template"]).items()
        seconds = replica_set["spec"].get("minReadySeconds", 0)
        now = self._clock()
        waits = [pods.available_in(pod, min_ready_seconds=seconds, now=now) for pod in own]
        numbers = {
            "fullyLabeledReplicas": sum(labels <= (pod["metadata"].get("labels") or {}).items() for pod in own),
            "readyReplicas": sum(pods.is_ready(pod) for pod in own),
            "availableReplicas": sum(wait == 0 for wait in waits),
        }
        failure = _failure(replica_set, refusal, timestamp(now))
        replica_set["status"] = {
            "replicas": len(own),
            **{name: number for name, number in numbers.items() if number},
            "observedGeneration": replica_set["metadata"]["generation"],
            **({"conditions": [failure]} if failure else {}),
        }
        self.store.update("replicasets", replica_set, subresource="status", manager=_MANAGER)
        return min((wait for wait in waits if wait), default=None)


def _failure(replica_set: Object, refusal: Forbidden | None, now: str) -> Object | None:
    """Give the condition of a replica set whose pods are refused; it stays as it is while the reason does."""
    if refusal is None:
        return None
    before = condition(replica_set, "ReplicaFailure")
    if before and before["message"] == refusal.message:
        return before
    told = {"reason": "FailedCreate", "message": refusal.message}
    return {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": now, **told}


def _deletion_order(pod: Object) -> tuple[Any, ...]:
    """Rank the pods that can best be spared first, by Kubernetes' rules."""
    status, metadata = pod["status"], pod["metadata"]
    cost = (metadata.get("annotations") or {}).get(_DELETION_COST, "0")
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASE_ORDER.get(status.get("phase", "Pending"), 2),
        pods.is_ready(pod),
        int(cost) if cost.lstrip("-").isdigit() else 0,
        -pods.restarts(pod),
        _newest_first(metadata["creationTimestamp"]),
    )


def _newest_first(time: str) -> float:
    return -datetime.fromisoformat(time).timestamp()
