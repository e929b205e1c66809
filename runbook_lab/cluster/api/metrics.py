"""`metrics.k8s.io`: what pods and nodes use, for `kubectl top`."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from runbook_lab.cluster.api.context import answer, now, services
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.errors import BadRequest, MethodNotAllowed, NotFound
from runbook_lab.cluster.metadata import timestamp
from runbook_lab.cluster.node.interface import PodUsage, Usage
from runbook_lab.cluster.selectors import SelectorError, parse_labels

Object = dict[str, Any]
_API_VERSION = "metrics.k8s.io/v1beta1"


async def serve_metrics(request: web.Request, target: Target) -> web.Response:
    """Answer a request for the metrics of pods or nodes."""
    if request.method != "GET":
        raise MethodNotAllowed("the server does not allow this method on the requested resource", resource=target.resource)
    try:
        matches = parse_labels(request.query.get("labelSelector"))
    except SelectorError as error:
        raise BadRequest(str(error)) from error
    usages = services(request).node.usage(target.namespace)
    if target.resource.plural == "pods":
        items = [_pod_metrics(usage) for usage in usages]
    else:
        items = [_node_metrics(node, usages) for node in services(request).store.list("nodes")]
    if target.name:
        found = next((item for item in items if item["metadata"]["name"] == target.name), None)
        if found is None:
            raise NotFound.of(target.resource, target.name)
        return answer(found)
    return answer(
        {
            "kind": f"{target.resource.kind}List",
            "apiVersion": _API_VERSION,
            "metadata": {},
            "items": [item for item in items if matches(item)],
        }
    )


def _pod_metrics(usage: PodUsage) -> Object:
    return {
        "kind": "PodMetrics",
        "apiVersion": _API_VERSION,
        "metadata": {
            "name": usage.pod,
            "namespace": usage.namespace,
            "labels": dict(usage.labels),
            "creationTimestamp": timestamp(usage.at),
        },
        "timestamp": timestamp(usage.at),
        "window": f"{usage.window_seconds:.3f}s",
        "containers": [{"name": name, "usage": _amounts([used])} for name, used in usage.containers.items()],
    }


def _node_metrics(node: Mapping[str, Any], usages: Iterable[PodUsage]) -> Object:
    """Sum up the pods: the node is this machine, and what else runs on it is not the cluster's."""
    usages = list(usages)
    at = timestamp(max((usage.at for usage in usages), default=now()))
    window = max((usage.window_seconds for usage in usages), default=0.0)
    return {
        "kind": "NodeMetrics",
        "apiVersion": _API_VERSION,
        "metadata": {"name": node["metadata"]["name"], "labels": node["metadata"].get("labels") or {}, "creationTimestamp": at},
        "timestamp": at,
        "window": f"{window:.3f}s",
        "usage": _amounts(used for usage in usages for used in usage.containers.values()),
    }


def _amounts(usages: Iterable[Usage]) -> Object:
    listed = list(usages)
    nanocores = math.ceil(sum(used.cpu_cores for used in listed) * 1e9)
    return {"cpu": f"{nanocores}n", "memory": f"{sum(used.memory_bytes for used in listed) // 1024}Ki"}
