"""What the application's container asks of its node and may use of it, as it stands in the pod template; and room for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.actions.cluster import NODES, PODS, Operator
from runbook_lib.actions.interface import ActionContext
from runbook_lib.actions.patching import pointer
from runbook_lib.actions.places import autoscaled, meant_for, takes
from runbook_lib.actions.replacement import has_ended
from runbook_lib.actions.workload import Workload, application_container, containers_of
from runbook_lib.importing import importing
from runbook_lib.models.plan import Refusal

__all__ = [
    "ContainerResources",
    "NoRoom",
    "amount",
    "container_resources",
    "lacking_room",
    "quality_of_service",
    "requested",
    "without_room",
]

Object = Mapping[str, Any]
Amounts = Mapping[str, str]

_MEASURED = ("cpu", "memory")
_ANY: Object = {}  # a pod that asks for no particular node, and tolerates no taint


@dataclass(frozen=True, kw_only=True)
class NoRoom:
    """No node has room for one more pod. awaited: the cluster makes nodes for such pods, and they are large enough."""

    reason: str
    awaited: bool


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
    """What a pod of this spec asks of its node (cores, bytes); `instead` replaces the resources of containers by index.

    As the scheduler counts: init containers run before the others and one after the other, beside the sidecars that were
    started before them (restartPolicy Always), so that the largest of them counts where it is more than all that runs later.
    """
    replaced, overhead = instead or {}, spec.get("overhead") or {}
    running = [replaced.get(index, one.get("resources") or {}) for index, one in enumerate(spec.get("containers") or ())]
    total = {}
    for name in _MEASURED:
        sidecars = starting = 0.0
        for one in spec.get("initContainers") or ():
            asked = _asked(one.get("resources") or {}, name)
            starting = max(starting, sidecars + asked)
            sidecars += asked if one.get("restartPolicy") == "Always" else 0.0
        total[name] = max(starting, sidecars + sum(_asked(one, name) for one in running)) + (amount(overhead.get(name)) or 0.0)
    return total


def _asked(resources: Object, name: str) -> float:
    """Without a request its limit, as the API fills it in."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    return amount(requests.get(name) or limits.get(name)) or 0.0


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


def lacking_room(cluster: Operator, workload: Workload, found: ContainerResources, wanted: ContainerResources) -> NoRoom | None:
    """What keeps one more pod of the wanted size from a node: a rollout begins with one beside the old ones, or ends one first.
    None also where it asks for no more than before. Raises as `without_room`."""
    if all((amount(wanted.request(name)) or 0.0) <= (amount(found.request(name)) or 0.0) for name in _MEASURED):
        return None
    spec = workload.template["spec"]
    return without_room(cluster, requested(spec, instead={found.index: wanted.written}), spec=spec)


def without_room(cluster: Operator, wanted: Mapping[str, float], *, spec: Object = _ANY) -> NoRoom | None:
    """Why no node has room for one more pod of this spec that asks for so much; None when one has. Raises a SourceError when
    nodes or the pods of all namespaces cannot be read."""
    taken: dict[str, dict[str, float]] = {}
    for pod in cluster.list_everywhere(PODS):
        if has_ended(pod):
            continue
        on_node = taken.setdefault(str(pod["spec"].get("nodeName") or ""), dict.fromkeys(_MEASURED, 0.0))
        for name, value in requested(pod["spec"]).items():
            on_node[name] += value
    nodes, reason = cluster.list_everywhere(NODES), ""
    for node in nodes:
        if not takes(node, spec):
            continue
        used, whole = taken.get(str(node["metadata"]["name"]), {}), _allocatable(node)
        left = {name: whole[name] - used.get(name, 0.0) for name in _MEASURED}
        if _fits(wanted, left):
            return None
        told = f"{node['metadata']['name']} has {left['cpu']:.3g} cores and {left['memory'] / 2**20:.0f}Mi left to ask for"
        reason = reason or f"no node has room for such a pod ({told})"
    # A group of nodes may be scaled to none: then nothing is known of how large its nodes are.
    like = [_allocatable(node) for node in nodes if meant_for(node, spec)]
    awaited = autoscaled(nodes) and (not like or any(_fits(wanted, whole) for whole in like))
    return NoRoom(reason=reason or "no node takes such a pod", awaited=awaited)


def _allocatable(node: Object) -> dict[str, float]:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    return {name: amount(allocatable.get(name)) or 0.0 for name in _MEASURED}


def _fits(wanted: Mapping[str, float], room: Mapping[str, float]) -> bool:
    return all(room[name] >= wanted.get(name, 0.0) for name in _MEASURED)
