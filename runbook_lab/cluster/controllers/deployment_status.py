"""What a deployment says of itself: counts, and the conditions that `kubectl rollout status` waits for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from runbook_lab.cluster.metadata import Object, condition, moment, timestamp

TIMED_OUT = "ProgressDeadlineExceeded"


def counts(deployment: Object, new: Object | None, replica_sets: Sequence[Object]) -> Object:
    """Sum what the replica sets report into the numbers of the deployment's status."""

    def total(field: str) -> int:
        return sum(rs.get("status", {}).get(field, 0) for rs in replica_sets)

    asked = sum(rs["spec"]["replicas"] for rs in replica_sets)
    numbers = {
        "replicas": total("replicas"),
        "updatedReplicas": (new or {}).get("status", {}).get("replicas", 0),
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": total("availableReplicas"),
        "unavailableReplicas": max(asked - total("availableReplicas"), 0),
    }
    status = {name: number for name, number in numbers.items() if number}
    status["observedGeneration"] = deployment["metadata"]["generation"]
    return status


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether every pod is of the new template and available, and no old one is left."""
    desired = deployment["spec"]["replicas"]
    names = ("updatedReplicas", "replicas", "availableReplicas")
    return (
        all(status.get(name, 0) == desired for name in names)
        and status["observedGeneration"] >= deployment["metadata"]["generation"]
    )


class Conditions:
    """A deployment's conditions while its status is worked out: the stored ones, and what changes of them at `now`."""

    def __init__(self, deployment: Object, now: datetime) -> None:
        self._deployment = deployment
        self._now = timestamp(now)
        self._moment = now
        self._entries = {entry["type"]: dict(entry) for entry in deployment.get("status", {}).get("conditions") or ()}

    def as_list(self) -> list[Object]:
        """Give the conditions as the status holds them."""
        return list(self._entries.values())

    def reason(self, kind: str) -> str | None:
        """Give the reason of a condition."""
        return self._entries.get(kind, {}).get("reason")

    def set(self, kind: str, status: str, reason: str, message: str, *, touch: bool = False) -> None:
        """Set a condition; its transition time moves with its status only. `touch` moves the update time in any case."""
        before = self._entries.get(kind)
        if before and (before["status"], before["reason"]) == (status, reason) and not touch:
            return
        same_status = before is not None and before["status"] == status
        self._entries[kind] = {
            "type": kind,
            "status": status,
            "lastUpdateTime": self._now,
            "lastTransitionTime": before["lastTransitionTime"] if before and same_status else self._now,
            "reason": reason,
            "message": message,
        }

    def set_available(self, status: Object, *, unavailable: int) -> None:
        """Say whether enough pods are available: the desired number but for those that a rollout may miss."""
        if status.get("availableReplicas", 0) >= self._deployment["spec"]["replicas"] - unavailable:
            self.set("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        else:
            self.set("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")

    def set_progressing(self, status: Object, new: Object | None) -> None:
        """Say how the rollout goes: done, moving, or stuck for longer than `progressDeadlineSeconds`."""
        name = (new or self._deployment)["metadata"]["name"]
        subject = f'ReplicaSet "{name}"' if new else f'Deployment "{name}"'
        # A finished rollout stays finished when a pod dies later; only a new template starts the clock again.
        settled = (
            status.get("replicas", 0) == status.get("updatedReplicas", 0)
            and self.reason("Progressing") == "NewReplicaSetAvailable"
        )
        if settled:
            return
        if is_complete(self._deployment, status):
            self.set("Progressing", "True", "NewReplicaSetAvailable", f"{subject} has successfully progressed.")
        elif self._has_progressed(status):
            self.set("Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.", touch=True)
        elif self._is_late():
            self.set("Progressing", "False", TIMED_OUT, f"{subject} has timed out progressing.")

    def set_failure(self, new: Object | None) -> None:
        """Take over from the new replica set that its pods are refused, or that they no longer are."""
        failure = condition(new, "ReplicaFailure") if new else None
        if failure:
            self.set("ReplicaFailure", "True", failure["reason"], failure["message"])
        else:
            self._entries.pop("ReplicaFailure", None)

    def seconds_to_deadline(self) -> float | None:
        """Give the time left until a rollout that moves no further is called stuck; None when there is nothing to wait for."""
        entry = self._entries.get("Progressing")
        waits = entry is not None and entry["reason"] not in (TIMED_OUT, "NewReplicaSetAvailable", "DeploymentPaused")
        return max((self._deadline(entry) - self._moment).total_seconds(), 0) + 0.5 if entry and waits else None

    def _has_progressed(self, status: Object) -> bool:
        before = self._deployment.get("status", {})

        def old_replicas(numbers: Object) -> int:
            return int(numbers.get("replicas", 0)) - int(numbers.get("updatedReplicas", 0))

        grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
        return old_replicas(status) < old_replicas(before) or any(status.get(name, 0) > before.get(name, 0) for name in grown)

    def _is_late(self) -> bool:
        entry = self._entries.get("Progressing")
        return entry is not None and entry["reason"] != TIMED_OUT and self._moment >= self._deadline(entry)

    def _deadline(self, entry: Object) -> datetime:
        return moment(entry["lastUpdateTime"]) + timedelta(seconds=self._deployment["spec"].get("progressDeadlineSeconds", 600))
