"""Who will take a change of an object back: a GitOps controller, or the next run of what deployed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.models.gitops import keeper_of

__all__ = ["taken_back"]

# Marks of tools that write an object only when somebody runs them, and what to call the tool.
_DEPLOYERS = {"meta.helm.sh/release-name": "Helm", "app.kubernetes.io/managed-by": ""}


def taken_back(kind: str, found: Mapping[str, Any], *, what: str) -> list[str]:
    """Warnings: who takes `what` back on this object of this kind (`deployment`), and where it has to be made to last."""
    metadata = found["metadata"]
    name = f"{kind}/{metadata['name']}"
    keeper = keeper_of(metadata)
    if keeper is not None:
        where = f"the Git repository of {keeper.unit}" if keeper.unit else "its Git repository"
        return [f"{name} is kept by {keeper.controller}, whose next sync takes {what} back: to let it last, change {where}"]
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    tools = sorted({tool or str(marks[mark]) for mark, tool in _DEPLOYERS.items() if marks.get(mark)})
    return [f"{name} is deployed by {tool}, whose next run takes {what} back: make the change there too" for tool in tools]
