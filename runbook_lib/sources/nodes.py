"""Nodes as `kubectl describe nodes` and `kubectl top nodes` tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runbook_lib.sources.quantities import quantity
from runbook_lib.sources.tables import instant

__all__ = ["NODE_COLUMNS", "node_rows"]

NODE_COLUMNS = {
    "node": "text", "ready": "flag", "troubles": "any", "since": "time", "schedulable": "flag", "cpu_allocatable_cores": "number",
    "memory_allocatable_bytes": "number", "cpu_cores": "number", "memory_bytes": "number",
}  # fmt: skip

# Conditions that name a trouble: the API's, and those of what looks after nodes (node-problem-detector, AKS).
# Any other may be meant either way (`EtcdIsVoter`, `Schedulable`), so that nothing follows from it.
_TROUBLES = frozenset(
    {
        "NetworkUnavailable",
        "KernelDeadlock",
        "ReadonlyFilesystem",
        "CorruptDockerOverlay2",
        "CorruptDockerImage",
        "FilesystemCorruptionProblem",
        "XfsShutdown",
        "KubeletUnhealthy",
        "KubeletProblem",
        "ContainerRuntimeUnhealthy",
        "ContainerRuntimeProblem",
        "DockerHung",
        "NTPProblem",
    }
)
_TROUBLES_BEGIN, _TROUBLES_END = "Frequent", "Pressure"  # `FrequentKubeletRestart`, `MemoryPressure`


def node_rows(nodes: Iterable[Mapping[str, Any]], usage: Iterable[Mapping[str, Any]]) -> Sequence[tuple[Any, ...]]:
    """Nodes as rows of NODE_COLUMNS; `usage` are the nodes of metrics.k8s.io."""
    used = {one["metadata"]["name"]: one.get("usage") or {} for one in usage}
    return [_row(node, used.get(node["metadata"]["name"], {})) for node in nodes]


def _row(node: Mapping[str, Any], used: Mapping[str, Any]) -> tuple[Any, ...]:
    status, name = node.get("status") or {}, node["metadata"]["name"]
    conditions = status.get("conditions") or ()
    wrong = [one for one in conditions if _is_wrong(str(one.get("type")), one.get("status"))]
    allocatable = status.get("allocatable") or {}
    since = [instant(one.get("lastTransitionTime")) for one in wrong]
    return (
        name,
        any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions),
        [_told(one) for one in wrong],
        min((at for at in since if at is not None), default=None),
        not (node.get("spec") or {}).get("unschedulable"),
        quantity(allocatable.get("cpu")),
        quantity(allocatable.get("memory")),
        quantity(used.get("cpu")),
        quantity(used.get("memory")),
    )


def _is_wrong(kind: str, status: str | None) -> bool:
    """`Ready`, and what node agents add in its likeness (`KernelReady`), should hold; what names a trouble should not."""
    if kind.endswith("Ready"):
        return status != "True"
    names_trouble = kind in _TROUBLES or kind.startswith(_TROUBLES_BEGIN) or kind.endswith(_TROUBLES_END)
    return names_trouble and status != "False"


def _told(condition: Mapping[str, Any]) -> str:
    """`MemoryPressure`, or `not ready: kubelet stopped posting node status`."""
    kind = str(condition.get("type"))
    if condition.get("status") not in ("True", "False"):
        return f"{kind} is not known" if kind != "Ready" else _not_ready(condition)
    if not kind.endswith("Ready"):
        return kind
    return _not_ready(condition) if kind == "Ready" else f"not {kind}"


def _not_ready(condition: Mapping[str, Any]) -> str:
    why = condition.get("message") or condition.get("reason") or ""
    return f"not ready: {why}" if why else "not ready"
