"""Disruption budgets: how many of the pods that one selects may be taken away at present, and who asks for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from runbook_lab.cluster.controllers import pods
from runbook_lab.cluster.controllers.loop import Controller
from runbook_lab.cluster.metadata import Key, Object, controller_of, is_terminating, key_of, moment, timestamp, utc_now
from runbook_lab.cluster.selectors import parse_label_selector
from runbook_lab.cluster.store import NotFound, Store

_MANAGER = "disruption-controller"
_SCALED = {"ReplicaSet": "replicasets", "StatefulSet": "statefulsets", "Deployment": "deployments"}
# An eviction that did not come to a deletion within this time counts no longer, as in Kubernetes.
_EVICTION_TIME = timedelta(minutes=2)


class DisruptionController(Controller):
    """Keeps the status of each budget, from which evictions are allowed or refused."""

    plural: ClassVar[str] = "poddisruptionbudgets"
    watched: ClassVar[tuple[str, ...]] = ("poddisruptionbudgets", "pods", "deployments", "replicasets", "statefulsets")

    def __init__(self, store: Store, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(store)
        self._clock = clock

    def concerned(self, plural: str, obj: Object) -> Iterable[Key]:
        """A pod, or what makes pods, concerns every budget of its namespace."""
        if plural == self.plural:
            yield key_of(obj)
        else:
            budgets = self.store.list(self.plural, namespace=obj["metadata"]["namespace"])
            yield from (key_of(budget) for budget in budgets)

    def reconcile(self, key: Key) -> float | None:
        """Write down what a budget allows now."""
        namespace, name = key
        try:
            budget = self.store.get(self.plural, name, namespace=namespace)
        except NotFound:
            return None
        matches = parse_label_selector(budget["spec"].get("selector") or {})
        selected = [pod for pod in self.store.list("pods", namespace=namespace) if matches(pod) and not _has_ended(pod)]
        pending = self._pending_evictions(budget, selected)
        expected, desired = expectations(budget["spec"], selected, self._replicas(selected))
        healthy = [
            pod for pod in selected if pods.is_ready(pod) and not is_terminating(pod) and pod["metadata"]["name"] not in pending
        ]
        budget["status"] = budget_status(budget, expected=expected, desired=desired, healthy=len(healthy), now=self._clock())
        if pending:
            budget["status"]["disruptedPods"] = pending
        self.store.update(self.plural, budget, subresource="status", manager=_MANAGER)
        return None

    def _pending_evictions(self, budget: Object, selected: Sequence[Object]) -> dict[str, str]:
        """Give the evictions that were allowed and do not show in their pods yet."""
        present = {pod["metadata"]["name"] for pod in selected if not is_terminating(pod)}
        noted = (budget.get("status") or {}).get("disruptedPods") or {}
        return {name: at for name, at in noted.items() if name in present and self._clock() - moment(at) < _EVICTION_TIME}

    def _replicas(self, selected: Sequence[Object]) -> int:
        """Sum up the replicas that the workloads of these pods ask for."""
        workloads: dict[str, int] = {}
        for pod in selected:
            if workload := self._workload(pod, pod["metadata"]["namespace"]):
                workloads[workload["metadata"]["uid"]] = workload["spec"].get("replicas", 1)
        return sum(workloads.values())

    def _workload(self, obj: Object, namespace: str) -> Object | None:
        """Give what decides about the number of pods like this one: for those of a deployment the deployment."""
        owner = controller_of(obj)
        if owner is None or owner["kind"] not in _SCALED:
            return None
        try:
            found = self.store.get(_SCALED[owner["kind"]], owner["name"], namespace=namespace)
        except NotFound:
            return None
        return self._workload(found, namespace) or found


def expectations(spec: Object, selected: Sequence[Object], replicas: int) -> tuple[int, int]:
    """Give how many pods there should be, and how many of them have to be healthy."""
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if most is not None:
        return replicas, max(replicas - _share(most, replicas), 0)
    if isinstance(least, str):
        return replicas, _share(least, replicas)
    return (len(selected), least) if least is not None else (0, 0)


def budget_status(budget: Object, *, expected: int, desired: int, healthy: int, now: datetime) -> Object:
    """Give a budget's status; its condition keeps the time since when it has been so."""
    allowed = max(healthy - desired, 0) if expected else 0
    holds = "True" if allowed else "False"
    before = next((one for one in (budget.get("status") or {}).get("conditions") or () if one["type"] == "DisruptionAllowed"), {})
    return {
        "observedGeneration": budget["metadata"]["generation"],
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "conditions": [
            {
                "type": "DisruptionAllowed",
                "status": holds,
                "reason": "SufficientPods" if allowed else "InsufficientPods",
                "message": "",
                "observedGeneration": budget["metadata"]["generation"],
                "lastTransitionTime": before["lastTransitionTime"] if before.get("status") == holds else timestamp(now),
            }
        ],
    }


def _share(value: int | str, total: int) -> int:
    """Resolve a number or a percentage, which is rounded up."""
    return math.ceil(total * int(value.rstrip("%")) / 100) if isinstance(value, str) else value


def _has_ended(pod: Object) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")
