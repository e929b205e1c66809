"""The metrics of an autoscaler: what its pods use, read against what they asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from runbook_lab.cluster.controllers import pods
from runbook_lab.cluster.controllers.replica_count import Demand, Load, demand
from runbook_lab.cluster.metadata import Object, condition, moment
from runbook_lab.cluster.node.interface import PodUsage
from runbook_lab.cluster.quantity import parse_quantity


class UnmeasuredError(Exception):
    """No metric tells how many replicas there should be. The message says why."""


def demand_of(metric: Object, own: Sequence[Object], used: Mapping[str, PodUsage], *, current: int) -> Demand:
    """Give what one metric of an autoscaler asks for, with these pods and what they use. Raises UnmeasuredError."""
    resource = metric.get("resource") or {}
    name, target = resource.get("name"), resource.get("target") or {}
    if metric["type"] != "Resource" or name not in ("cpu", "memory"):
        raise UnmeasuredError(f"the lab measures cpu and memory of pods only, not a metric of type {metric['type']}")
    share = target.get("averageUtilization")
    loads = [_load(pod, used.get(pod["metadata"]["name"]), name, needs_request=share is not None) for pod in own]
    amount = share / 100 if share is not None else float(parse_quantity(target["averageValue"]))
    found = demand(loads, current=current, target=amount, of_requests=share is not None)
    if found is None:
        raise UnmeasuredError(
            f"failed to get {name} utilization: unable to get metrics for resource {name}: no metrics returned from resource "
            "metrics API"
        )
    return found


def _load(pod: Object, usage: PodUsage | None, name: str, *, needs_request: bool) -> Load:
    requested = 0.0
    for container in pod["spec"]["containers"]:
        amount = ((container.get("resources") or {}).get("requests") or {}).get(name)
        if amount is None and needs_request:
            raise UnmeasuredError(
                f"failed to get {name} utilization: missing request for {name} in container {container['name']} of Pod "
                f"{pod['metadata']['name']}"
            )
        requested += float(parse_quantity(amount or 0))
    if usage is None:
        return Load(None, requested, pods.is_ready(pod))
    values = [used.cpu_cores if name == "cpu" else float(used.memory_bytes) for used in usage.containers.values()]
    # What a pod burns while it starts says nothing about its load: only what was measured since it has been ready counts.
    return Load(sum(values), requested, pods.is_ready(pod) and (name != "cpu" or _measured_since_ready(pod, usage)))


def _measured_since_ready(pod: Object, usage: PodUsage) -> bool:
    ready = condition(pod, "Ready")
    return ready is not None and usage.at - timedelta(seconds=usage.window_seconds) >= moment(ready["lastTransitionTime"])


def current_of(metric: Object, found: Demand) -> Object:
    """Give a metric's entry of `status.currentMetrics`."""
    name = metric["resource"]["name"]
    amount = f"{round(found.per_pod * 1000)}m" if name == "cpu" else str(round(found.per_pod))
    current: dict[str, Any] = {"averageValue": amount}
    if "averageUtilization" in metric["resource"]["target"]:
        current["averageUtilization"] = found.percent
    return {"type": "Resource", "resource": {"name": name, "current": current}}


def described(metric: Object) -> str:
    """Name a metric in the words of events and conditions."""
    of = " utilization (percentage of request)" if "averageUtilization" in metric["resource"]["target"] else ""
    return f"{metric['resource']['name']} resource{of}"
