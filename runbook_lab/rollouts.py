"""Whether a deployment has become what it should be, judged as `kubectl rollout status` does."""

from __future__ import annotations

from typing import Any

from runbook_lab.cluster_client import ClusterClient
from runbook_lab.waiting import wait_for


def wait_for_rollout(cluster: ClusterClient, deployment: str, *, seconds: float) -> None:
    """Wait until all pods of a deployment are new and ready. Raises TimeoutError."""

    def is_complete() -> bool:
        found = cluster.find("Deployment", deployment)
        return found is not None and rollout_is_complete(found)

    wait_for(f"the rollout of {deployment}", is_complete, seconds=seconds)


def rollout_is_complete(workload: dict[str, Any]) -> bool:
    """Tell whether no pod of an older revision of a deployment or stateful set is left, and all of the new one are ready."""
    status, wanted = workload.get("status") or {}, workload["spec"]["replicas"]
    counts = [status.get(name) or 0 for name in ("replicas", "updatedReplicas", "readyReplicas")]
    return status.get("observedGeneration", 0) >= workload["metadata"]["generation"] and counts == [wanted] * 3
