"""Who will take a change of an object back: a GitOps controller, or the next run of what deployed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.models.gitops import keeper_of

__all__ = ["synced_back", "taken_back"]

# Marks of tools that write an object only when somebody runs them, and what to call the tool.
_DEPLOYERS = {"meta.helm.sh/release-name": "Helm", "app.kubernetes.io/managed-by": ""}


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
