"""Deployments: a replica set per template, and the gradual move of the pods from the old ones to the new one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import ClassVar

from runbook_lab.cluster.controllers import revisions, rollout
from runbook_lab.cluster.controllers.deployment_status import Conditions, counts, is_complete
from runbook_lab.cluster.controllers.events import Recorder
from runbook_lab.cluster.controllers.loop import Controller
from runbook_lab.cluster.metadata import (
    Key,
    Object,
    controller_of,
    is_controlled_by,
    is_terminating,
    owner_reference,
    pod_template_labels,
    utc_now,
)
from runbook_lab.cluster.selectors import parse_label_selector
from runbook_lab.cluster.store import NotFound, Store

_MANAGER = "deployment-controller"


class DeploymentController(Controller):
    """Rolls deployments out, with `maxSurge` and `maxUnavailable`, revisions, pausing and a progress deadline."""

    plural: ClassVar[str] = "deployments"
    watched: ClassVar[tuple[str, ...]] = ("deployments", "replicasets", "pods")

    def __init__(self, store: Store, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(store)
        self._events = Recorder(store, _MANAGER, clock=clock)
        self._clock = clock

    def concerned(self, plural: str, obj: Object) -> Iterable[Key]:
        """A pod that goes away concerns the deployment above its replica set: Recreate waits for the last one."""
        if plural != "pods":
            yield from super().concerned(plural, obj)
        elif is_terminating(obj) and (owner := controller_of(obj)):
            namespace = obj["metadata"]["namespace"]
            for replica_set in self.store.list("replicasets", namespace=namespace, fields=f"metadata.name={owner['name']}"):
                yield from super().concerned("replicasets", replica_set)

    def reconcile(self, key: Key) -> float | None:
        """Move a rollout one step, and report."""
        namespace, name = key
        try:
            deployment = self.store.get("deployments", name, namespace=namespace)
        except NotFound:
            return None
        if is_terminating(deployment):
            return None
        conditions = Conditions(deployment, self._clock())
        replica_sets = self._own(deployment)
        new = revisions.find_new(deployment, replica_sets)
        paused = bool(deployment["spec"].get("paused"))
        self._note_pause(conditions, paused)
        if not paused:
            new = self._new_replica_set(deployment, new, replica_sets, conditions)
        old = [rs for rs in replica_sets if new is None or rs["metadata"]["name"] != new["metadata"]["name"]]
        if self._was_resized(deployment, [*old, *([new] if new else [])]):
            self._resize(deployment, new, old)
        elif not paused and new:
            self._roll(deployment, new, old)
        return self._report(deployment, new, conditions)

    # --- replica sets

    def _own(self, deployment: Object) -> list[Object]:
        """Give the deployment's replica sets, oldest first; ones that match and have no owner are adopted."""
        matches = parse_label_selector(deployment["spec"]["selector"])
        own = []
        for replica_set in self.store.list("replicasets", namespace=deployment["metadata"]["namespace"]):
            if controller_of(replica_set) is None and matches(replica_set) and not is_terminating(replica_set):
                replica_set["metadata"]["ownerReferences"] = [owner_reference(deployment)]
                replica_set = self.store.update("replicasets", replica_set, manager=_MANAGER)
            if is_controlled_by(replica_set, deployment):
                own.append(replica_set)
        return sorted(own, key=lambda rs: (rs["metadata"]["creationTimestamp"], revisions.revision_of(rs)))

    def _new_replica_set(
        self, deployment: Object, new: Object | None, replica_sets: Sequence[Object], conditions: Conditions
    ) -> Object:
        """Give the replica set of the present template, made or marked as the newest revision."""
        others = [rs for rs in replica_sets if new is None or rs["metadata"]["uid"] != new["metadata"]["uid"]]
        revision = max((revisions.revision_of(rs) for rs in others), default=0) + 1
        if new is None:
            new = self._create(deployment, revision, others)
            name = new["metadata"]["name"]
            conditions.set("Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{name}"')
        else:
            became_newest = revisions.revision_of(new) < revision
            revisions.annotate(new, deployment, revision)
            new = self.store.update("replicasets", new, manager=_MANAGER)
            if became_newest or conditions.reason("Progressing") is None:
                name = new["metadata"]["name"]
                conditions.set("Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{name}"')
        self._mark_revision(deployment, new)
        return new

    def _create(self, deployment: Object, revision: int, others: Sequence[Object]) -> Object:
        spec, metadata = deployment["spec"], deployment["metadata"]
        digest = revisions.template_hash(spec["template"])
        labels = pod_template_labels(spec["template"]) | {revisions.HASH_LABEL: digest}
        template = {**spec["template"], "metadata": {**spec["template"].get("metadata", {}), "labels": labels}}
        selector = {**spec["selector"], "matchLabels": {**spec["selector"].get("matchLabels", {}), revisions.HASH_LABEL: digest}}
        limits = rollout.bounds(spec["strategy"], spec["replicas"])
        asked = sum(rs["spec"]["replicas"] for rs in others)
        size = rollout.grow_new(rollout.Pods(asked=0, available=0), total_asked=asked, desired=spec["replicas"], limits=limits)
        if spec["strategy"]["type"] == "Recreate" and asked:
            size = 0
        new: Object = {
            "metadata": {
                "name": f"{metadata['name']}-{digest}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {"replicas": size, "selector": selector, "template": template},
        }
        if seconds := spec.get("minReadySeconds"):
            new["spec"]["minReadySeconds"] = seconds
        revisions.annotate(new, deployment, revision)
        revisions.note_size(new, desired=spec["replicas"], maximum=spec["replicas"] + limits.surge)
        created = self.store.create("replicasets", new, namespace=metadata["namespace"], manager=_MANAGER)
        if size:
            self._tell_scaled(deployment, created, 0, size)
        return created

    def _mark_revision(self, deployment: Object, new: Object) -> None:
        """Copy the newest revision's number to the deployment."""
        annotations = deployment["metadata"].setdefault("annotations", {})
        if annotations.get(revisions.REVISION) != str(revisions.revision_of(new)):
            annotations[revisions.REVISION] = str(revisions.revision_of(new))
            deployment |= self.store.update("deployments", deployment, manager=_MANAGER)

    # --- sizes

    def _was_resized(self, deployment: Object, replica_sets: Sequence[Object]) -> bool:
        noted = (revisions.noted_size(rs) for rs in replica_sets if rs["spec"]["replicas"])
        return any(size is not None and size != deployment["spec"]["replicas"] for size in noted)

    def _resize(self, deployment: Object, new: Object | None, old: Sequence[Object]) -> None:
        """Follow a change of `replicas`: the only active set takes it all, several share it in proportion."""
        desired = deployment["spec"]["replicas"]
        active = [rs for rs in (new, *reversed(old)) if rs and rs["spec"]["replicas"]]
        if len(active) <= 1:
            target = active[0] if active else new
            if target:
                self._scale(deployment, target, desired)
            return
        allowed = desired + rollout.bounds(deployment["spec"]["strategy"], desired).surge if desired else 0
        last = int(active[0]["metadata"]["annotations"].get(revisions.MAXIMUM, allowed))
        sizes = rollout.spread([rs["spec"]["replicas"] for rs in active], allowed=allowed, last_maximum=last)
        for replica_set, size in zip(active, sizes, strict=True):
            self._scale(deployment, replica_set, size)

    def _roll(self, deployment: Object, new: Object, old: Sequence[Object]) -> None:
        """Take one step of the rollout: let the new set grow, or else take from the old ones."""
        desired = deployment["spec"]["replicas"]
        active = [rs for rs in old if rs["spec"]["replicas"]]
        if deployment["spec"]["strategy"]["type"] == "Recreate":
            self._recreate(deployment, new, active)
            return
        limits = rollout.bounds(deployment["spec"]["strategy"], desired)
        total = sum(rs["spec"]["replicas"] for rs in (new, *active))
        size = rollout.grow_new(_pods(new), total_asked=total, desired=desired, limits=limits)
        if self._scale(deployment, new, size):
            return
        sizes = rollout.shrink_old([_pods(rs) for rs in active], _pods(new), desired=desired, limits=limits)
        for replica_set, left in zip(active, sizes, strict=True):
            self._scale(deployment, replica_set, left)

    def _recreate(self, deployment: Object, new: Object, active: Sequence[Object]) -> None:
        """Let every old pod end before the first new one starts."""
        for replica_set in active:
            self._scale(deployment, replica_set, 0)
        pods = self.store.list("pods", namespace=deployment["metadata"]["namespace"])
        matches = parse_label_selector(deployment["spec"]["selector"])
        if not any(matches(pod) and not is_controlled_by(pod, new) for pod in pods):
            self._scale(deployment, new, deployment["spec"]["replicas"])

    def _scale(self, deployment: Object, replica_set: Object, size: int) -> bool:
        """Give a replica set its size, and tell whether that changed it."""
        before = replica_set["spec"]["replicas"]
        desired = deployment["spec"]["replicas"]
        limits = rollout.bounds(deployment["spec"]["strategy"], desired)
        noted = revisions.note_size(replica_set, desired=desired, maximum=desired + limits.surge)
        if size == before and not noted:
            return False
        replica_set["spec"]["replicas"] = size
        replica_set |= self.store.update("replicasets", replica_set, manager=_MANAGER)
        if size == before:
            return False
        self._tell_scaled(deployment, replica_set, before, size)
        return True

    def _tell_scaled(self, deployment: Object, replica_set: Object, before: int, size: int) -> None:
        direction = "up" if size > before else "down"
        message = f"Scaled {direction} replica set {replica_set['metadata']['name']} from {before} to {size}"
        self._events.normal(deployment, "ScalingReplicaSet", message)

    # --- status

    def _note_pause(self, conditions: Conditions, paused: bool) -> None:
        noted = conditions.reason("Progressing") == "DeploymentPaused"
        if paused and not noted:
            conditions.set("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
        elif noted and not paused:
            conditions.set("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")

    def _report(self, deployment: Object, new: Object | None, conditions: Conditions) -> float | None:
        replica_sets = self._own(deployment)
        desired = deployment["spec"]["replicas"]
        present = next((rs for rs in replica_sets if new and rs["metadata"]["uid"] == new["metadata"]["uid"]), None)
        status = counts(deployment, present, replica_sets)
        conditions.set_available(status, unavailable=rollout.bounds(deployment["spec"]["strategy"], desired).unavailable)
        if not deployment["spec"].get("paused"):
            conditions.set_progressing(status, new)
        conditions.set_failure(new)
        status["conditions"] = conditions.as_list()
        deployment["status"] = status
        deployment["metadata"].pop("resourceVersion")
        self.store.update("deployments", deployment, subresource="status", manager=_MANAGER)
        if is_complete(deployment, status):
            self._forget_old(deployment, new, replica_sets)
        return conditions.seconds_to_deadline()

    def _forget_old(self, deployment: Object, new: Object | None, replica_sets: Sequence[Object]) -> None:
        """Delete the oldest empty replica sets beyond `revisionHistoryLimit`."""
        name = new and new["metadata"]["name"]
        old = [rs for rs in replica_sets if rs["metadata"]["name"] != name and not is_terminating(rs)]
        surplus = len(old) - deployment["spec"].get("revisionHistoryLimit", 10)
        for replica_set in sorted(old, key=revisions.revision_of)[: max(surplus, 0)]:
            if not replica_set.get("status", {}).get("replicas") and not replica_set["spec"]["replicas"]:
                self.store.delete("replicasets", replica_set["metadata"]["name"], namespace=replica_set["metadata"]["namespace"])


def _pods(replica_set: Object) -> rollout.Pods:
    return rollout.Pods(
        asked=replica_set["spec"]["replicas"], available=replica_set.get("status", {}).get("availableReplicas", 0)
    )
