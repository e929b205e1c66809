"""Horizontal autoscalers: they read what pods use, and set the replicas of a workload to what that asks for."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runbook_lab.cluster.controllers import pods
from runbook_lab.cluster.controllers.autoscaler_metrics import UnmeasuredError, current_of, demand_of, described
from runbook_lab.cluster.controllers.events import Recorder
from runbook_lab.cluster.controllers.replica_count import Change, limit_down, limit_up
from runbook_lab.cluster.metadata import Object, condition, timestamp, utc_now
from runbook_lab.cluster.node.interface import PodUsage
from runbook_lab.cluster.resources import BY_KIND
from runbook_lab.cluster.selectors import parse_label_selector
from runbook_lab.cluster.store import Conflict, NotFound, Store

_log = logging.getLogger(__name__)

_MANAGER = "horizontal-pod-autoscaler"
_PLURAL = "horizontalpodautoscalers"
_REMEMBERED = 200
Usages = Callable[[str], Sequence[PodUsage]]


@dataclass(frozen=True)
class Pace:
    """How fast autoscalers are [s]: settings of the controller, which a cluster's owner chooses. Kubernetes' own stand behind.

    An autoscaler's `behavior` goes before the stabilization that stands here, as in Kubernetes.
    """

    look_every: float = 3.0  # --horizontal-pod-autoscaler-sync-period: 15
    downscale_stabilization: float = 30.0  # --horizontal-pod-autoscaler-downscale-stabilization: 300


class Autoscaler:
    """Looks at all autoscalers in turn, and again after a while."""

    def __init__(
        self, store: Store, *, usages: Usages, pace: Pace | None = None, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._store = store
        self._usages = usages
        self._pace = pace or Pace()
        self._clock = clock
        self._events = Recorder(store, _MANAGER, clock=clock)
        self._wanted: dict[str, deque[tuple[datetime, int]]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._changes: dict[str, deque[Change]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            for scaler in self._store.list(_PLURAL):
                try:
                    self.look_at(scaler)
                except (Conflict, NotFound):
                    continue  # changed or gone meanwhile; the next look sees it
                except Exception:
                    _log.exception("autoscaler %s cannot be looked at", scaler["metadata"]["name"])
            await asyncio.sleep(self._pace.look_every)

    def look_at(self, scaler: Object) -> None:
        """Bring one autoscaler's workload to the size that it should have, and report."""
        status: Object = {**(scaler.get("status") or {}), "observedGeneration": scaler["metadata"]["generation"]}
        report = _Report(scaler, status, self._clock())
        try:
            plural, workload = self._workload(scaler)
        except NotFound as error:
            message = f"the HPA controller was unable to get the target's current scale: {error}"
            self._events.warning(scaler, "FailedGetScale", str(error))
            report.set("AbleToScale", "False", "FailedGetScale", message)
            self._write(scaler, status)
            return
        report.set("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale")
        current = workload["spec"].get("replicas", 1)
        wanted = self._wanted_replicas(scaler, workload, report)
        status |= {"currentReplicas": current, "desiredReplicas": wanted}
        if wanted != current:
            self._scale(scaler, plural, workload, wanted, report)
        self._write(scaler, status)

    # --- how many

    def _wanted_replicas(self, scaler: Object, workload: Object, report: _Report) -> int:
        spec, current = scaler["spec"], workload["spec"].get("replicas", 1)
        least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
        if current == 0 and least:
            report.set(
                "ScalingActive", "False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero"
            )
            return 0
        if current > most:
            report.reason = "Current number of replicas above Spec.MaxReplicas"
            return int(most)
        if current < least:
            report.reason = "Current number of replicas below Spec.MinReplicas"
            return int(least)
        try:
            found = self._demanded(scaler, workload, report)
        except UnmeasuredError as problem:
            self._tell_unmeasured(scaler, str(problem), report)
            return int(current)
        stable = self._stabilized(scaler, found, current, report)
        return self._within_limits(scaler, stable, current, report)

    def _demanded(self, scaler: Object, workload: Object, report: _Report) -> int:
        """Ask every metric, and take the highest demand."""
        namespace = scaler["metadata"]["namespace"]
        matches = parse_label_selector(workload["spec"]["selector"])
        own = [pod for pod in self._store.list("pods", namespace=namespace) if matches(pod) and pods.is_active(pod)]
        used = {usage.pod: usage for usage in self._usages(namespace)}
        demands = [
            (metric, demand_of(metric, own, used, current=workload["spec"].get("replicas", 1)))
            for metric in scaler["spec"].get("metrics") or ()
        ]
        if not demands:
            raise UnmeasuredError("no metrics are given")
        report.status["currentMetrics"] = [current_of(metric, found) for metric, found in demands]
        metric, highest = max(demands, key=lambda entry: entry[1].replicas)
        what = described(metric)
        report.reason = f"{what} above target"
        report.set(
            "ScalingActive",
            "True",
            "ValidMetricFound",
            f"the HPA was able to successfully calculate a replica count from {what}",
        )
        return highest.replicas

    def _tell_unmeasured(self, scaler: Object, problem: str, report: _Report) -> None:
        self._events.warning(scaler, "FailedGetResourceMetric", problem)
        self._events.warning(
            scaler, "FailedComputeMetricsReplicas", f"invalid metrics (1 invalid out of 1), first error is: {problem}"
        )
        message = f"the HPA was unable to compute the replica count: {problem}"
        report.set("ScalingActive", "False", "FailedGetResourceMetric", message)

    def _stabilized(self, scaler: Object, wanted: int, current: int, report: _Report) -> int:
        """Wait with a change until it has been asked for over the whole window of its direction."""
        now, uid = self._clock(), scaler["metadata"]["uid"]
        self._wanted[uid].append((now, wanted))
        behavior = scaler["spec"].get("behavior") or {}
        up = (behavior.get("scaleUp") or {}).get("stabilizationWindowSeconds", 0)
        down = (behavior.get("scaleDown") or {}).get("stabilizationWindowSeconds", self._pace.downscale_stabilization)
        lowest = min(count for at, count in self._wanted[uid] if now - at <= timedelta(seconds=up))
        highest = max(count for at, count in self._wanted[uid] if now - at <= timedelta(seconds=down))
        stable = lowest if current < lowest else highest if current > highest else current
        if stable > wanted:
            words = "recent recommendations were higher than current one, applying the highest recent recommendation"
            report.set("AbleToScale", "True", "ScaleDownStabilized", words)
        elif stable < wanted:
            words = "recent recommendations were lower than current one, applying the lowest recent recommendation"
            report.set("AbleToScale", "True", "ScaleUpStabilized", words)
        elif stable == current:
            report.set("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
        return stable

    def _within_limits(self, scaler: Object, wanted: int, current: int, report: _Report) -> int:
        spec, now = scaler["spec"], self._clock()
        behavior, changes = spec.get("behavior") or {}, self._changes[scaler["metadata"]["uid"]]
        least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
        highest, lowest = limit_up(current, behavior.get("scaleUp"), changes, now), 0
        if wanted < current:
            lowest = limit_down(current, behavior.get("scaleDown"), changes, now)
        if wanted > most and most <= highest:
            report.limited("TooManyReplicas", "more than the maximum replica count")
            return int(most)
        if wanted > highest:
            report.limited("ScaleUpLimit", "increasing faster than the maximum scale rate")
            return highest
        if wanted < least and least >= lowest:
            report.limited("TooFewReplicas", "less than the minimum replica count")
            return int(least)
        if wanted < lowest:
            report.limited("ScaleDownLimit", "decreasing faster than the maximum scale rate")
            return lowest
        report.set("ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range")
        return wanted

    # --- reading and writing

    def _workload(self, scaler: Object) -> tuple[str, Object]:
        reference = scaler["spec"]["scaleTargetRef"]
        resource = BY_KIND.get((reference.get("apiVersion", "apps/v1"), reference["kind"]))
        if resource is None or "scale" not in resource.subresources:
            raise NotFound(f'no matches for kind "{reference["kind"]}" in group "{reference.get("apiVersion", "")}"')
        return resource.plural, self._store.get(resource.plural, reference["name"], namespace=scaler["metadata"]["namespace"])

    def _scale(self, scaler: Object, plural: str, workload: Object, wanted: int, report: _Report) -> None:
        current, now = workload["spec"].get("replicas", 1), self._clock()
        reason = report.reason
        if wanted < current and reason.endswith("above target"):
            reason = "All metrics below target"
        workload["spec"]["replicas"] = wanted
        self._store.update(plural, workload, manager=_MANAGER)
        self._changes[scaler["metadata"]["uid"]].append(Change(now, wanted - current))
        self._events.normal(scaler, "SuccessfulRescale", f"New size: {wanted}; reason: {reason}")
        report.set(
            "AbleToScale", "True", "SucceededRescale", f"the HPA controller was able to update the target scale to {wanted}"
        )
        report.status["lastScaleTime"] = timestamp(now)

    def _write(self, scaler: Object, status: Object) -> None:
        self._store.update(_PLURAL, {**scaler, "status": status}, subresource="status", manager=_MANAGER)


class _Report:
    """What is said about an autoscaler: its conditions, and why it scales."""

    def __init__(self, scaler: Object, status: Object, now: datetime) -> None:
        self.reason = ""
        self.status = status
        self._before = scaler
        self._now = now

    def set(self, kind: str, holds: str, reason: str, message: str) -> None:
        """Set a condition; one that holds as before keeps its time."""
        before = condition(self._before, kind)
        same = before is not None and before["status"] == holds
        entry = {
            "type": kind,
            "status": holds,
            "reason": reason,
            "message": message,
            "lastTransitionTime": before["lastTransitionTime"] if same and before else timestamp(self._now),
        }
        others = [one for one in self.status.get("conditions") or () if one["type"] != kind]
        self.status["conditions"] = sorted((*others, entry), key=lambda one: str(one["type"]))

    def limited(self, reason: str, how: str) -> None:
        """Say that the workload does not get the size that its metrics ask for."""
        self.set("ScalingLimited", "True", reason, f"the desired replica count is {how}")
