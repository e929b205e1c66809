"""Autoscalers in `autoscaling/v1`, which `kubectl autoscale` writes: stored, like all, as `autoscaling/v2`.

The older version knows the share of the CPU alone. As on a real server, what else there is travels in annotations; metrics of
other types than `Resource` stand there as `v2` has them.
"""

import json
from typing import Any

from runbook_lab.cluster.errors import BadRequest
from runbook_lab.cluster.resources import BY_PLURAL, Resource

Object = dict[str, Any]

_PREFIX = "autoscaling.alpha.kubernetes.io/"
_METRICS, _CURRENT, _BEHAVIOR, _CONDITIONS = (f"{_PREFIX}{n}" for n in ("metrics", "current-metrics", "behavior", "conditions"))
_CPU = "targetCPUUtilizationPercentage"
_CURRENT_CPU = "currentCPUUtilizationPercentage"


def stored_version(resource: Resource) -> Resource:
    """Give the resource in the version that the store keeps."""
    return BY_PLURAL.get(resource.plural, resource)


def to_stored(resource: Resource, obj: Object) -> Object:
    """Convert an object that a client sent in the version of `resource`."""
    return _to_v2(obj) if resource != stored_version(resource) else obj


def to_served(resource: Resource, obj: Object) -> Object:
    """Convert a stored object to the version of `resource`."""
    return _to_v1(obj) if resource != stored_version(resource) else obj


def _to_v2(obj: Object) -> Object:
    metadata, kept = _without_annotations(obj)
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    cpu, current = spec.pop(_CPU, None), status.pop(_CURRENT_CPU, None)
    metrics = [_metric_to_v2(metric) for metric in kept.get(_METRICS, [])]
    if cpu is not None:
        metrics.insert(0, _cpu("target", {"type": "Utilization", "averageUtilization": cpu}))
    currents = kept.get(_CURRENT, [])
    if current is not None:
        currents = [_cpu("current", {"averageUtilization": current}), *currents]
    spec |= _given(metrics=metrics, behavior=kept.get(_BEHAVIOR))
    status |= _given(currentMetrics=currents, conditions=kept.get(_CONDITIONS))
    return _assembled(obj, "autoscaling/v2", metadata, spec, status)


def _to_v1(obj: Object) -> Object:
    metadata = dict(obj["metadata"])
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    metrics, currents = spec.pop("metrics", None) or [], status.pop("currentMetrics", None) or []
    cpu = next((metric for metric in metrics if _share(metric, "target") is not None), None)
    current = next((metric for metric in currents if _share(metric, "current") is not None), None)
    if cpu:
        spec[_CPU] = _share(cpu, "target")
    if current:
        status[_CURRENT_CPU] = _share(current, "current")
    told = {
        _METRICS: [_metric_to_v1(metric) for metric in metrics if metric is not cpu],
        _CURRENT: currents,
        _BEHAVIOR: spec.pop("behavior", None),
        _CONDITIONS: status.pop("conditions", None),
    }
    told = {name: json.dumps(value, separators=(",", ":")) for name, value in told.items() if value}
    if told:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **told}
    return _assembled(obj, "autoscaling/v1", metadata, spec, status)


def _without_annotations(obj: Object) -> tuple[Object, Object]:
    """Take apart what the annotations of the older version carry."""
    metadata = dict(obj.get("metadata") or {})
    annotations = metadata.get("annotations") or {}
    try:
        kept = {name: json.loads(text) for name, text in annotations.items() if name.startswith(_PREFIX)}
    except ValueError as error:
        raise BadRequest(f"annotations of autoscaling/v1 cannot be read: {error}") from error
    rest = {name: text for name, text in annotations.items() if name not in kept}
    if kept:
        metadata["annotations"] = rest
        if not rest:
            del metadata["annotations"]
    return metadata, kept


def _assembled(obj: Object, version: str, metadata: Object, spec: Object, status: Object) -> Object:
    converted = {**obj, "apiVersion": version, "metadata": metadata, "spec": spec}
    return {**converted, "status": status} if status else converted


def _given(**fields: Any) -> Object:
    return {name: value for name, value in fields.items() if value}


def _cpu(side: str, value: Object) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", side: value}}


def _share(metric: Object, side: str) -> int | None:
    """The share of the CPU that a metric is about; None for every other metric."""
    resource = metric.get("resource") or {}
    found: int | None = (resource.get(side) or {}).get("averageUtilization")
    return found if metric.get("type") == "Resource" and resource.get("name") == "cpu" else None


def _metric_to_v1(metric: Object) -> Object:
    if metric["type"] != "Resource":
        return metric
    resource, target = metric["resource"], metric["resource"]["target"]
    amounts = {"targetAverageUtilization": target.get("averageUtilization"), "targetAverageValue": target.get("averageValue")}
    return {"type": "Resource", "resource": {"name": resource["name"], **_given(**amounts)}}


def _metric_to_v2(metric: Object) -> Object:
    resource = metric.get("resource") or {}
    if metric.get("type") != "Resource" or "target" in resource:
        return metric
    if share := resource.get("targetAverageUtilization"):
        target = {"type": "Utilization", "averageUtilization": share}
    else:
        target = {"type": "AverageValue", "averageValue": resource.get("targetAverageValue")}
    return {"type": "Resource", "resource": {"name": resource.get("name"), "target": target}}
