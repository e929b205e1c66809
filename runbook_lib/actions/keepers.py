"""Who will take a change of an object back: a GitOps controller, the next run of what deployed it, or what made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runbook_lib.models.gitops import keeper_of

__all__ = ["made_again", "synced_back", "taken_back"]

# Marks of tools that write an object only when somebody runs them, and what to call the tool.
_DEPLOYERS = {"meta.helm.sh/release-name": "Helm", "app.kubernetes.io/managed-by": ""}
# What KEDA's ScaledObject calls the fields of the autoscaler that it makes. A count of replicas lasts as its minimum.
_SCALED_OBJECT = {"minReplicas": "minReplicaCount", "maxReplicas": "maxReplicaCount", "replicas": "minReplicaCount"}


def taken_back(kind: str, found: Mapping[str, Any], *, what: str) -> list[str]:
    """Warnings: who takes `what` back on this object of this kind (`deployment`), and where it has to be made to last."""
    synced = synced_back(kind, found, what=what)
    if synced:
        return list(synced)
    metadata = found["metadata"]
    name = f"{kind}/{metadata['name']}"
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    tools = sorted({tool or str(marks[mark]) for mark, tool in _DEPLOYERS.items() if marks.get(mark)})
    return [f"{name} is deployed by {tool}, whose next run takes {what} back: make the change there too" for tool in tools]


def synced_back(kind: str, found: Mapping[str, Any], *, what: str) -> tuple[str, ...]:
    """Who takes `what` back by itself, soon and with nobody asked, so that it is no mend; empty when nobody does."""
    keeper = keeper_of(found["metadata"])
    if keeper is None:
        return ()
    name = f"{kind}/{found['metadata']['name']}"
    where = f"the Git repository of {keeper.unit}" if keeper.unit else "its Git repository"
    return (f"{name} is kept by {keeper.controller}, whose next sync takes {what} back: to let it last, change {where}",)


def made_again(scaler: Mapping[str, Any], levels: Mapping[str, int]) -> tuple[str, ...]:
    """Who writes this autoscaler anew by itself, as KEDA does, and the command by which these levels last; empty: nobody."""
    metadata = scaler["metadata"]
    owners = [one for one in metadata.get("ownerReferences") or () if one.get("controller") and one.get("kind") == "ScaledObject"]
    if not owners:
        return ()
    name = owners[0]["name"]
    fields = {_SCALED_OBJECT[level]: value for level, value in levels.items()}
    patch = json.dumps({"spec": fields}, separators=(",", ":"))
    command = f"kubectl -n {metadata['namespace']} patch scaledobject {name} --type=merge -p '{patch}'"
    made = f"hpa/{metadata['name']} is made by scaledobject/{name}, which takes the scaling back"
    return (f"{made}: set its {' and '.join(fields)} ({command})",)
