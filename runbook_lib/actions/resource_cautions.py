"""What whoever changes a container's resources should know: QoS class, autoscalers, room on the nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from runbook_lib.actions.cluster import AUTOSCALERS, VERTICAL_AUTOSCALERS, Operator
from runbook_lib.actions.container_resources import ContainerResources, amount, lacking_room, quality_of_service
from runbook_lib.actions.workload import Workload, containers_of
from runbook_lib.errors import SourceError, SourceMissingObject

__all__ = ["cautions"]


def cautions(cluster: Operator, workload: Workload, found: ContainerResources, wanted: ContainerResources) -> list[str]:
    """Warnings. What cannot be read stops nobody, and is told."""
    told = []
    template = workload.template["spec"]
    changed = [
        wanted.written if index == found.index else (one.get("resources") or {})
        for index, one in enumerate(containers_of(workload.template))
    ]
    was = quality_of_service([one.get("resources") or {} for one in template["containers"]])
    if (becomes := quality_of_service(changed)) != was:
        told.append(f"the pods' QoS class changes from {was} to {becomes}, which decides who is evicted first")
    grown = [name for name in ("cpu", "memory") if amount(wanted.request(name)) != amount(found.request(name))]
    if grown:
        told += _asked(lambda: _scaled_by(cluster, workload, found, wanted, grown), "autoscaler")
        told += _asked(lambda: _waiting(cluster, workload, found, wanted), "room on the nodes")
    return told + _asked(lambda: _resized_by(cluster, workload), "vertical autoscaler")


def _asked(ask: Callable[[], Iterable[str]], what: str) -> list[str]:
    try:
        return list(ask())
    except SourceMissingObject:
        return []  # the cluster has no such kind
    except SourceError as error:
        return [f"the {what} could not be looked at: {error.reason}"]


def _waiting(cluster: Operator, workload: Workload, found: ContainerResources, wanted: ContainerResources) -> Iterable[str]:
    lacking = lacking_room(cluster, workload, found, wanted)
    if lacking is not None:
        yield f"{lacking.reason}: each new pod waits for a new node, which takes minutes where one is made"


def _scaled_by(
    cluster: Operator, workload: Workload, found: ContainerResources, wanted: ContainerResources, grown: Sequence[str]
) -> Iterable[str]:
    """A utilisation is use to request: who raises the request lets the autoscaler see less use."""
    for scaler in cluster.list(AUTOSCALERS):
        reference = scaler["spec"].get("scaleTargetRef") or {}
        if (reference.get("kind"), reference.get("name")) != ("Deployment", workload.name):
            continue
        for metric in scaler["spec"].get("metrics") or ():
            resource = metric.get("resource") or metric.get("containerResource") or {}
            name = str(resource.get("name"))
            if name in grown and (resource.get("target") or {}).get("type") == "Utilization":
                before, after = amount(found.request(name)), amount(wanted.request(name))
                seen = f"{before / after:.0%} of the utilisation" if before and after else "another utilisation"
                yield f"hpa/{scaler['metadata']['name']} scales by {name} to its request: it will see {seen} that it sees now"


def _resized_by(cluster: Operator, workload: Workload) -> Iterable[str]:
    for scaler in cluster.list(VERTICAL_AUTOSCALERS):
        if (scaler["spec"].get("targetRef") or {}).get("name") == workload.name:
            mode = (scaler["spec"].get("updatePolicy") or {}).get("updateMode", "Auto")
            yield f"vpa/{scaler['metadata']['name']} sets the requests of these pods itself (mode {mode}): change its bounds"
