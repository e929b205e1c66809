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
    numbered = [(revision, one) for one in facts.replica_sets if (revision := revision_of(one["metadata"])) is not None]
    rows = []
    before: datetime | None = None
    for revision, replica_set in sorted(numbered, key=lambda pair: pair[0]):
        template = replica_set["spec"].get("template") or {}
        status = replica_set.get("status") or {}
        pods = owned_by(replica_set, facts.pods)
        created, created_from = _rolled_out(replica_set, pods, facts, after=before, is_current=revision == current)
        before = created or before
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
    return rows


def _rolled_out(
    replica_set: Object, pods: Sequence[Object], facts: RolloutFacts, *, after: datetime | None, is_current: bool
) -> tuple[datetime | None, str]:
    """When a revision was rolled out, and what says so. It was `after` the revision before it, whatever older traces there are: a
    replica set that is taken into use again has events and often pods of its earlier life."""
    created = instant(replica_set["metadata"].get("creationTimestamp"))
    if not reused(replica_set):
        return created, "creation of the replica set"
    progress = _progress(facts.deployment) if is_current else None
    traces = {
        "scaling event": _scaled_up(replica_set["metadata"]["name"], facts.events),
        "oldest pod": [instant(pod["metadata"].get("creationTimestamp")) for pod in pods],
        "progress of the deployment": [progress],
    }
    for source, times in traces.items():
        later = [at for at in times if at is not None and (after is None or at > after)]
        if later:
            return min(later), f"{source} (a replica set taken into use again)"
    return None, "unknown (a replica set taken into use again)"


def _scaled_up(replica_set: str, events: Iterable[Object]) -> list[datetime | None]:
    """The times known of the events in which the controller scaled this replica set up.

    `Scaled up replica set orders-6d4f to 1`, in later versions `… to 1 from 0`, and then `… from 0 to 1`. An event that occurred
    again, in another rollout, is the same object with a new last time.
    """
    begin = f"Scaled up replica set {replica_set} "
    return [
        at
        for event in events
        if event.get("reason") == "ScalingReplicaSet" and str(event.get("message") or event.get("note") or "").startswith(begin)
        for at in moments(event)
    ]


def _progress(deployment: Object) -> datetime | None:
    conditions = (deployment.get("status") or {}).get("conditions") or ()
    progressing: Object = next((one for one in conditions if one.get("type") == "Progressing"), {})
    return instant(progressing.get("lastUpdateTime"))


def _first_ready(created: datetime | None, pods: Sequence[Object], *, replicas: int) -> tuple[datetime | None, str]:
    conditions = [(pod, _ready_condition(pod)) for pod in pods]
    since = [at for _, condition in conditions if condition.get("status") == "True" and (at := _since(condition))]
    if since:
        # of a replica set taken into use again, pods of its earlier life may have been ready all along
        return max(min(since), created or min(since)), "Ready condition of its oldest ready pod"
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
