"""The rollout history of a deployment, as its replica sets, pods and events still tell it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from runbook_lib.sources.events import moments
from runbook_lib.sources.pods import controller_of
from runbook_lib.sources.tables import instant
from runbook_lib.sources.workloads import revision_of

__all__ = ["HISTORY_COLUMNS", "RolloutFacts", "history_rows", "owned_by", "reused"]

HISTORY_COLUMNS = {
    "revision": "integer", "created_at": "time", "replica_set": "text", "images": "text", "change_cause": "text",
    "replicas": "integer", "ready": "integer", "current": "flag", "first_ready_at": "time",
    "created_from": "text", "first_ready_from": "text",
}  # fmt: skip

Object = Mapping[str, Any]

_REUSED = "deployment.kubernetes.io/revision-history"
_CHANGE_CAUSE = "kubernetes.io/change-cause"
# A pod's Ready condition is written as False when the pod starts; one that turns False later was True before.
_STARTED_BY = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutFacts:
    """What can be known of a deployment's rollouts. Pods and events are there as far as the identity may read them."""

    deployment: Object
    replica_sets: Sequence[Object]
    pods: Sequence[Object] = ()
    events: Sequence[Object] = field(default=())


def owned_by(owner: Object, objects: Iterable[Object]) -> list[Object]:
    """The objects that this one controls. By uid: a deployment that was deleted and made anew has the same name and labels."""
    uid = owner["metadata"].get("uid")
    return [one for one in objects if controller_of(one["metadata"]).get("uid") == uid]


def reused(replica_set: Object) -> bool:
    """A rollback has taken this replica set into use again, so that its creation is not its last rollout."""
    return bool((replica_set["metadata"].get("annotations") or {}).get(_REUSED))


def history_rows(facts: RolloutFacts) -> list[tuple[Any, ...]]:
    """One row of HISTORY_COLUMNS per kept revision, newest last.

    `created_at` is when the revision was rolled out. A rollback takes an old replica set into use again, whose creation is then
    not the rollout: the scaling event, else the oldest pod of it, else the deployment's progress says when; `created_from`
    names which. `first_ready_at` is the earliest Ready condition of the pods that are still there; `first_ready_from` says so,
    or what stands in for it.
    """
    current = revision_of(facts.deployment["metadata"])
    rows = []
    for replica_set in facts.replica_sets:
        revision = revision_of(replica_set["metadata"])
        if revision is None:
            continue
        template = replica_set["spec"].get("template") or {}
        status = replica_set.get("status") or {}
        pods = owned_by(replica_set, facts.pods)
        created, created_from = _rolled_out(replica_set, pods, facts, is_current=revision == current)
        ready, ready_from = _first_ready(created, pods, replicas=int(replica_set["spec"].get("replicas") or 0))
        rows.append(
            (
                revision,
                created,
                replica_set["metadata"]["name"],
                ", ".join(one.get("image") or "" for one in (template.get("spec") or {}).get("containers") or ()),
                (replica_set["metadata"].get("annotations") or {}).get(_CHANGE_CAUSE) or "",
                int(status.get("replicas") or 0),
                int(status.get("readyReplicas") or 0),
                revision == current,
                ready,
                created_from,
                ready_from,
            )
        )
    return sorted(rows, key=lambda row: row[0])


def _rolled_out(
    replica_set: Object, pods: Sequence[Object], facts: RolloutFacts, *, is_current: bool
) -> tuple[datetime | None, str]:
    metadata = replica_set["metadata"]
    created = instant(metadata.get("creationTimestamp"))
    if not reused(replica_set):
        return created, "creation of the replica set"
    scaled = _scaled_up(metadata["name"], facts.events)
    if scaled is not None:
        return scaled, "scaling event (a replica set taken into use again)"
    births = [birth for pod in pods if (birth := instant(pod["metadata"].get("creationTimestamp")))]
    if births:
        return min(births), "oldest pod (a replica set taken into use again)"
    progress = _progress(facts.deployment) if is_current else None
    if progress is not None:
        return progress, "progress of the deployment (a replica set taken into use again)"
    return None, "unknown (a replica set taken into use again)"


def _scaled_up(replica_set: str, events: Iterable[Object]) -> datetime | None:
    """When the controller last began to scale this replica set up from nothing.

    From Kubernetes 1.26 the message ends in `to 1 from 0`; before, in `to 1`, which only a start from nothing can reach.
    """
    starts = []
    for event in events:
        words = str(event.get("message") or event.get("note") or "").split()
        if event.get("reason") != "ScalingReplicaSet" or words[:3] != ["Scaled", "up", "replica"] or replica_set not in words:
            continue
        if (words[-2:] == ["from", "0"]) or ("from" not in words and words[-1:] == ["1"]):
            first, last = moments(event)
            # an event that occurred several times is one object: its last time is the last rollout
            starts.append(last or first)
    return max((start for start in starts if start), default=None)


def _progress(deployment: Object) -> datetime | None:
    conditions = (deployment.get("status") or {}).get("conditions") or ()
    progressing: Object = next((one for one in conditions if one.get("type") == "Progressing"), {})
    return instant(progressing.get("lastUpdateTime"))


def _first_ready(created: datetime | None, pods: Sequence[Object], *, replicas: int) -> tuple[datetime | None, str]:
    conditions = [(pod, _ready_condition(pod)) for pod in pods]
    since = [at for _, condition in conditions if condition.get("status") == "True" and (at := _since(condition))]
    if since:
        return min(since), "Ready condition of its oldest ready pod"
    if any(_was_ready(pod, condition) for pod, condition in conditions):
        return created, "rollout (it was ready, when first is not known)"
    if replicas and created is not None:
        return None, "no pod of it has become ready"
    return created, "rollout (its pods are gone)" if created is not None else "unknown"


def _ready_condition(pod: Object) -> Mapping[str, Any]:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == "Ready"), {})


def _since(condition: Mapping[str, Any]) -> datetime | None:
    return instant(condition.get("lastTransitionTime"))


def _was_ready(pod: Object, condition: Mapping[str, Any]) -> bool:
    started = instant((pod.get("status") or {}).get("startTime") or pod["metadata"].get("creationTimestamp"))
    since = _since(condition)
    return started is not None and since is not None and since - started > _STARTED_BY
