"""Stateful sets: pods with names that stay, started one after the other and replaced from the last to the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from runbook_lab.cluster.controllers import pods
from runbook_lab.cluster.controllers.events import Recorder
from runbook_lab.cluster.controllers.loop import Controller
from runbook_lab.cluster.controllers.revisions import template_hash
from runbook_lab.cluster.errors import Forbidden
from runbook_lab.cluster.metadata import Key, Object, is_controlled_by, is_terminating, owner_reference, pod_template_labels
from runbook_lab.cluster.pod_admission import admit_pod
from runbook_lab.cluster.store import NotFound, Store

_MANAGER = "statefulset-controller"
_REVISION_LABEL = "controller-revision-hash"


class StatefulSetController(Controller):
    """Keeps the ordinal pods of a stateful set. There are no volume claims: in the lab a data directory follows the name."""

    plural: ClassVar[str] = "statefulsets"
    watched: ClassVar[tuple[str, ...]] = ("statefulsets", "pods")

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._events = Recorder(store, _MANAGER)

    def reconcile(self, key: Key) -> float | None:
        """Create, replace or delete at most one pod, and report."""
        namespace, name = key
        try:
            owner = self.store.get("statefulsets", name, namespace=namespace)
        except NotFound:
            return None
        if is_terminating(owner):
            return None
        revision = self._revision(owner)
        present = [pod for pod in self.store.list("pods", namespace=namespace) if is_controlled_by(pod, owner)]
        self._step(owner, present, revision)
        self._report(owner, revision)
        return None

    def _revision(self, owner: Object) -> str:
        """Keep the template as a ControllerRevision, where `kubectl rollout history` looks for it, and give its name."""
        name = f"{owner['metadata']['name']}-{template_hash(owner['spec']['template'])}"
        namespace = owner["metadata"]["namespace"]
        history = [
            entry for entry in self.store.list("controllerrevisions", namespace=namespace) if is_controlled_by(entry, owner)
        ]
        number = max((entry["revision"] for entry in history), default=0)
        mine = next((entry for entry in history if entry["metadata"]["name"] == name), None)
        if mine is None:
            data = {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}
            metadata = {
                "name": name,
                "labels": pod_template_labels(owner["spec"]["template"]),
                "ownerReferences": [owner_reference(owner)],
            }
            revision = {"metadata": metadata, "data": data, "revision": number + 1}
            self.store.create("controllerrevisions", revision, namespace=namespace, manager=_MANAGER)
        elif mine["revision"] < number:
            mine["revision"] = number + 1
            self.store.update("controllerrevisions", mine, manager=_MANAGER)
        return name

    def _step(self, owner: Object, present: Sequence[Object], revision: str) -> None:
        by_name = {pod["metadata"]["name"]: pod for pod in present}
        wanted = [f"{owner['metadata']['name']}-{ordinal}" for ordinal in range(owner["spec"]["replicas"])]
        parallel = owner["spec"].get("podManagementPolicy") == "Parallel"
        for name in wanted:
            pod = by_name.get(name)
            if pod is None:
                self._create(owner, name, revision)
            elif pod["status"].get("phase") in ("Succeeded", "Failed"):
                self._delete(owner, pod)
            if (
                not parallel
                and (pod is None or is_terminating(pod) or not pods.is_ready(pod))
                and not self._is_stale(pod, revision)
            ):
                return
        surplus = sorted((name for name in by_name if name not in wanted), key=_ordinal, reverse=True)
        for name in surplus:
            if not is_terminating(by_name[name]):
                self._delete(owner, by_name[name])
            return
        self._replace_last_stale(owner, [by_name[name] for name in wanted if name in by_name], revision)

    def _is_stale(self, pod: Object | None, revision: str) -> bool:
        """Whether a pod is of an older template: one that never gets ready must not keep its replacement away."""
        return pod is not None and not is_terminating(pod) and pod["metadata"]["labels"].get(_REVISION_LABEL) != revision

    def _replace_last_stale(self, owner: Object, present: Sequence[Object], revision: str) -> None:
        strategy = owner["spec"]["updateStrategy"]
        if strategy.get("type") != "RollingUpdate":
            return
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        for pod in reversed(present):
            stale = self._is_stale(pod, revision)
            if stale and _ordinal(pod["metadata"]["name"]) >= partition:
                self._delete(owner, pod)
            if stale or not pods.is_ready(pod):
                return

    def _create(self, owner: Object, name: str, revision: str) -> None:
        pod = pods.pod_from(owner, owner["spec"]["template"], name=name)
        pod["metadata"]["labels"] |= {
            _REVISION_LABEL: revision,
            "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": str(_ordinal(name)),
        }
        pod["spec"] |= {"hostname": name, "subdomain": owner["spec"]["serviceName"]}
        namespace = owner["metadata"]["namespace"]
        try:
            admit_pod(self.store, pod, namespace=namespace)
        except Forbidden as error:
            told = f"create Pod {name} in StatefulSet {owner['metadata']['name']} failed error: {error.message}"
            self._events.warning(owner, "FailedCreate", told)
            raise
        self.store.create("pods", pod, namespace=namespace, manager=_MANAGER)
        self._events.normal(owner, "SuccessfulCreate", f"create Pod {name} in StatefulSet {owner['metadata']['name']} successful")

    def _delete(self, owner: Object, pod: Object) -> None:
        name = pod["metadata"]["name"]
        self.store.delete("pods", name, namespace=pod["metadata"]["namespace"])
        self._events.normal(owner, "SuccessfulDelete", f"delete Pod {name} in StatefulSet {owner['metadata']['name']} successful")

    def _report(self, owner: Object, revision: str) -> None:
        namespace = owner["metadata"]["namespace"]
        own = [
            pod for pod in self.store.list("pods", namespace=namespace) if is_controlled_by(pod, owner) and pods.is_active(pod)
        ]
        updated = sum(pod["metadata"]["labels"].get(_REVISION_LABEL) == revision for pod in own)
        ready = sum(pods.is_ready(pod) for pod in own)
        before = owner.get("status", {})
        rolled = updated == len(own) == owner["spec"]["replicas"] and ready == updated
        numbers = {
            "readyReplicas": ready,
            "currentReplicas": updated if rolled else len(own) - updated,
            "updatedReplicas": updated,
        }
        owner["status"] = {
            "observedGeneration": owner["metadata"]["generation"],
            "replicas": len(own),
            "availableReplicas": ready,
            **{name: number for name, number in numbers.items() if number},
            "currentRevision": revision if rolled else before.get("currentRevision", revision),
            "updateRevision": revision,
            "collisionCount": 0,
        }
        self.store.update("statefulsets", owner, subresource="status", manager=_MANAGER)


def _ordinal(name: str) -> int:
    return int(name.rpartition("-")[2])
