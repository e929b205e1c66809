"""The scheduler of a cluster with one node: each new pod goes there, with the event and the condition that say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar

from runbook_lab.cluster.controllers.events import Recorder
from runbook_lab.cluster.controllers.loop import Controller
from runbook_lab.cluster.controllers.taints import untolerated
from runbook_lab.cluster.metadata import Key, Object, is_terminating, key_of, timestamp, utc_now
from runbook_lab.cluster.quantity import parse_quantity
from runbook_lab.cluster.store import NotFound, Store

_MANAGER = "default-scheduler"
_RETRY_SECONDS = 5.0


class Scheduler(Controller):
    """Binds pods to the node as long as their requests fit what the node can allocate; the others wait with the reason."""

    plural: ClassVar[str] = "pods"
    watched: ClassVar[tuple[str, ...]] = ("pods", "nodes")

    def __init__(self, store: Store, *, node: str, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(store)
        self._node = node
        self._events = Recorder(store, _MANAGER, clock=clock)
        self._clock = clock

    def concerned(self, plural: str, obj: Object) -> Iterable[Key]:
        """Give the pod itself or, as a node that changed may take them now, all pods that wait."""
        return [key_of(obj)] if plural == self.plural else map(key_of, self.store.list("pods", fields="spec.nodeName="))

    def reconcile(self, key: Key) -> float | None:
        """Bind one pod, or say why it must wait."""
        namespace, name = key
        try:
            pod = self.store.get("pods", name, namespace=namespace)
        except NotFound:
            return None
        if pod["spec"].get("nodeName") or is_terminating(pod):
            return None
        if refusal := self._refusal(pod):
            message = f"0/1 nodes are available: 1 {refusal}."
            if self._set_condition(pod, "False", reason="Unschedulable", message=message):
                self._events.warning(pod, "FailedScheduling", message)
            return _RETRY_SECONDS
        pod["spec"]["nodeName"] = self._node
        bound = self.store.update("pods", pod, manager=_MANAGER)
        self._set_condition(bound, "True")
        self._events.normal(bound, "Scheduled", f"Successfully assigned {namespace}/{name} to {self._node}")
        return None

    def _refusal(self, pod: Object) -> str | None:
        node = self.store.get("nodes", self._node)
        if node["spec"].get("unschedulable"):
            return "node(s) were unschedulable"
        labels = (node["metadata"].get("labels") or {}).items()
        if not (pod["spec"].get("nodeSelector") or {}).items() <= labels:
            return "node(s) didn't match Pod's node affinity/selector"
        if taint := untolerated(pod, node, effects=("NoSchedule", "NoExecute")):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        others = self.store.list("pods", fields=f"spec.nodeName={self._node}")
        running = [other for other in others if other["status"].get("phase") not in ("Succeeded", "Failed")]
        if len(running) >= int(node["status"]["allocatable"]["pods"]):
            return "Too many pods"
        for resource in ("cpu", "memory"):
            asked = sum(_request(entry, resource) for entry in (pod, *running))
            if _request(pod, resource) and asked > float(parse_quantity(node["status"]["allocatable"][resource])):
                return f"Insufficient {resource}"
        return None

    def _set_condition(self, pod: Object, status: str, **why: str) -> bool:
        conditions = pod["status"].setdefault("conditions", [])
        before = next((entry for entry in conditions if entry["type"] == "PodScheduled"), None)
        if before and (before["status"], before.get("message")) == (status, why.get("message")):
            return False
        entry = {
            "type": "PodScheduled",
            "status": status,
            "lastProbeTime": None,
            "lastTransitionTime": timestamp(self._clock()),
            **why,
        }
        pod["status"]["conditions"] = [*(other for other in conditions if other is not before), entry]
        self.store.update("pods", pod, subresource="status", manager=_MANAGER)
        return True


def _request(pod: Object, resource: str) -> float:
    containers = pod["spec"].get("containers") or []
    amounts = ((container.get("resources") or {}).get("requests") or {} for container in containers)
    return sum(float(parse_quantity(entry[resource])) for entry in amounts if resource in entry)
