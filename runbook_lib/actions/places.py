"""Which nodes take a pod at all, and whether the cluster makes nodes for pods that find none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runbook_lib.actions.node_selection import selects

__all__ = ["autoscaled", "meant_for", "takes"]

Object = Mapping[str, Any]

# Labels and annotations of nodes that something makes and takes away: Karpenter, the pools of providers, Cluster Autoscaler.
_MADE = frozenset(
    {
        "karpenter.sh/nodepool",
        "karpenter.sh/provisioner-name",
        "cloud.google.com/gke-nodepool",
        "eks.amazonaws.com/nodegroup",
        "eks.amazonaws.com/compute-type",
        "kubernetes.azure.com/agentpool",
    }
)
_MADE_BY = ("cluster-autoscaler.kubernetes.io/", "k8s.io/cluster-autoscaler")
_NAMES = frozenset({"kubernetes.io/hostname"})
_STATES = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")  # taints that tell of this node now, and of no other


def takes(node: Object, pod: Object) -> bool:
    """Whether the scheduler puts a pod of this spec on the node as it is now, if there is room: it is ready and not cordoned."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    if any(one.get("type") == "Ready" and one.get("status") != "True" for one in conditions):
        return False
    return not (node.get("spec") or {}).get("unschedulable") and selects(pod, node) and _tolerated(pod, _taints(node))


def meant_for(node: Object, pod: Object) -> bool:
    """Whether a new node like this one would take a pod of this spec."""
    lasting = [taint for taint in _taints(node) if not str(taint.get("key")).startswith(_STATES)]
    return selects(pod, _another_like(node)) and _tolerated(pod, lasting)


def autoscaled(nodes: Iterable[Object]) -> bool:
    """Whether any node carries the mark of what makes nodes where pods find none."""
    return any(mark in _MADE or mark.startswith(_MADE_BY) for node in nodes for mark in _marks(node))


def _marks(node: Object) -> list[str]:
    metadata = node["metadata"]
    return [*(metadata.get("labels") or ()), *(metadata.get("annotations") or ())]


def _another_like(node: Object) -> Object:
    """A new node has a name of its own: what asks for this one's, or for its host's, does not find it there."""
    labels = node["metadata"].get("labels") or {}
    return {"metadata": {"name": "", "labels": labels | dict.fromkeys(_NAMES & labels.keys(), "")}}


def _taints(node: Object) -> list[Object]:
    """Those that keep pods away; PreferNoSchedule does not."""
    taints = (node.get("spec") or {}).get("taints") or ()
    return [taint for taint in taints if taint.get("effect") in ("NoSchedule", "NoExecute")]


def _tolerated(pod: Object, taints: Iterable[Object]) -> bool:
    tolerations = pod.get("tolerations") or ()
    return all(any(_tolerates(toleration, taint) for toleration in tolerations) for taint in taints)


def _tolerates(toleration: Object, taint: Object) -> bool:
    """As the API defines it: no effect means each, and no key with Exists every taint."""
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.get("key"))
    return (toleration.get("key"), toleration.get("value") or "") == (taint.get("key"), taint.get("value") or "")
