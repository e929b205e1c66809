"""What the application's container asks of its node and may use of it, as it stands in the pod template; and room for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.actions.cluster import NODES, PODS, Operator
from runbook_lib.actions.interface import ActionContext
from runbook_lib.actions.patching import pointer
from runbook_lib.actions.replacement import has_ended
from runbook_lib.actions.workload import Workload, application_container, containers_of
from runbook_lib.importing import importing
from runbook_lib.models.plan import Refusal

__all__ = ["ContainerResources", "amount", "container_resources", "quality_of_service", "requested", "without_room"]

Object = Mapping[str, Any]
Amounts = Mapping[str, str]

_MEASURED = ("cpu", "memory")


@dataclass(frozen=True, kw_only=True)
class ContainerResources:
    """The container's place in the template, and its resources as they are written there."""

    index: int
    container: str
    limits: Amounts
    requests: Amounts

    @property
    def path(self) -> str:
        """The JSON pointer to its resources."""
        return pointer("spec", "template", "spec", "containers", self.index, "resources")

    @property
    def written(self) -> dict[str, dict[str, str]]:
        """As the template has them: what is empty is left out."""
        parts = {"limits": dict(self.limits), "requests": dict(self.requests)}
        return {name: part for name, part in parts.items() if part}

    def request(self, name: str) -> str | None:
        """What it asks for: without a request of its own, its limit, as the API fills it in."""
        return self.requests.get(name) or self.limits.get(name)


def container_resources(context: ActionContext, workload: Workload) -> ContainerResources | Refusal:
    """Find the application's container in the pod template."""
    wanted = application_container(context, workload.template)
    for index, container in enumerate(containers_of(workload.template)):
        if wanted in (None, container.get("name")):
            resources = container.get("resources") or {}
            return ContainerResources(
                index=index,
                container=str(container["name"]),
                limits={name: str(text) for name, text in (resources.get("limits") or {}).items()},
                requests={name: str(text) for name, text in (resources.get("requests") or {}).items()},
            )
    return Refusal(
        by="target",
        reason=f"deployment/{workload.name} has no container {wanted}",
        mend="correct components.application.container in the service file",
    )


def amount(text: str | None) -> float | None:
    """A quantity of Kubernetes as a number (cores, bytes); None when it is none, or not above 0."""
    with importing("kubernetes"):
        from kubernetes.utils.quantity import parse_quantity

    try:
        value = float(parse_quantity(str(text).strip()))  # type: ignore[no-untyped-call]
    except (ValueError, ArithmeticError):
        return None
    return value if value > 0 else None


def requested(spec: Object, *, instead: Mapping[int, Object] | None = None) -> dict[str, float]:
    """What a pod of this spec asks of its node (cores, bytes); `instead` replaces the resources of containers by index."""
    total = dict.fromkeys(_MEASURED, 0.0)
    for index, container in enumerate(spec.get("containers") or ()):
        resources = (instead or {}).get(index, container.get("resources") or {})
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for name in _MEASURED:
            total[name] += amount(requests.get(name) or limits.get(name)) or 0.0
    return total


def quality_of_service(containers: Sequence[Object]) -> str:
    """The QoS class that pods with such resources get, which decides who is evicted first."""
    given = [(one.get("limits") or {}, one.get("requests") or {}) for one in containers]
    if not any(limits or requests for limits, requests in given):
        return "BestEffort"
    whole = all(
        name in limits and amount(requests.get(name, limits[name])) == amount(limits[name])
        for limits, requests in given
        for name in _MEASURED
    )
    return "Guaranteed" if whole else "Burstable"


def without_room(cluster: Operator, wanted: Mapping[str, float]) -> str:
    """Why no node has room for one more pod that asks for so much; empty when one has. Raises a SourceError when nodes or the
    pods of all namespaces cannot be read."""
    taken: dict[str, dict[str, float]] = {}
    for pod in cluster.list_everywhere(PODS):
        if has_ended(pod):
            continue
        on_node = taken.setdefault(str(pod["spec"].get("nodeName") or ""), dict.fromkeys(_MEASURED, 0.0))
        for name, value in requested(pod["spec"]).items():
            on_node[name] += value
    best = ""
    for node in cluster.list_everywhere(NODES):
        if (node.get("spec") or {}).get("unschedulable"):
            continue
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        used = taken.get(str(node["metadata"]["name"]), {})
        left = {name: (amount(allocatable.get(name)) or 0.0) - used.get(name, 0.0) for name in _MEASURED}
        if all(left[name] >= wanted.get(name, 0.0) for name in _MEASURED):
            return ""
        best = (
            best or f"{node['metadata']['name']} has {left['cpu']:.3g} cores and {left['memory'] / 2**20:.0f}Mi left to ask for"
        )
    return f"no node has room for such a pod ({best})" if best else "no node takes pods"
