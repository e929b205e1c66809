"""What a node's taints mean to pods: which ones they keep away, and which ones they drive out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import ClassVar

from runbook_lab.cluster.controllers.events import Recorder
from runbook_lab.cluster.controllers.loop import Controller
from runbook_lab.cluster.metadata import Key, Object, is_terminating, key_of, utc_now
from runbook_lab.cluster.store import NotFound, Store

_MANAGER = "taint-eviction-controller"
_NO_EXECUTE = "NoExecute"


def untolerated(pod: Object, node: Object, *, effects: Iterable[str]) -> Object | None:
    """Give the first taint of a node, of these effects, that a pod does not tolerate."""
    tolerations = pod["spec"].get("tolerations") or ()
    taints = (taint for taint in node["spec"].get("taints") or () if taint["effect"] in effects)
    return next((taint for taint in taints if not any(_tolerates(one, taint) for one in tolerations)), None)


def seconds_tolerated(pod: Object, node: Object) -> float | None:
    """Give how long a pod stays in spite of the taints that it tolerates for a time; None where there is none of these."""
    taints = [taint for taint in node["spec"].get("taints") or () if taint["effect"] == _NO_EXECUTE]
    limits = [
        float(one["tolerationSeconds"])
        for one in pod["spec"].get("tolerations") or ()
        if one.get("tolerationSeconds") is not None and any(_tolerates(one, taint) for taint in taints)
    ]
    return max(0.0, min(limits)) if limits else None


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key"):
        return exists
    return toleration["key"] == taint["key"] and (exists or (toleration.get("value") or "") == (taint.get("value") or ""))


class TaintEviction(Controller):
    """Deletes the pods that do not tolerate a `NoExecute` taint of their node, or no longer do."""

    plural: ClassVar[str] = "pods"
    watched: ClassVar[tuple[str, ...]] = ("pods", "nodes")

    def __init__(self, store: Store, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(store)
        self._events = Recorder(store, _MANAGER, clock=clock)
        self._clock = clock
        self._since: dict[str, datetime] = {}

    def concerned(self, plural: str, obj: Object) -> Iterable[Key]:
        """Give the pod itself, or all pods of a node."""
        if plural == self.plural:
            return [key_of(obj)]
        return [key_of(pod) for pod in self.store.list("pods", fields=f"spec.nodeName={obj['metadata']['name']}")]

    def reconcile(self, key: Key) -> float | None:
        """Delete one pod, or tell how long it is still tolerated."""
        namespace, name = key
        try:
            pod = self.store.get("pods", name, namespace=namespace)
            node = self.store.get("nodes", pod["spec"].get("nodeName") or "")
        except NotFound:
            return None
        uid = pod["metadata"]["uid"]
        if is_terminating(pod):
            self._since.pop(uid, None)
            return None
        if not untolerated(pod, node, effects=(_NO_EXECUTE,)):
            seconds = seconds_tolerated(pod, node)
            if seconds is None:
                self._since.pop(uid, None)
                return None
            end = self._since.setdefault(uid, self._clock()) + timedelta(seconds=seconds)
            if (left := (end - self._clock()).total_seconds()) > 0:
                return left
        self._events.normal(pod, "TaintManagerEviction", f"Marking for deletion Pod {namespace}/{name}")
        self.store.delete("pods", name, namespace=namespace)
        return None
