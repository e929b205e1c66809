"""Changes that were begun and whose end is not known: whoever made them died on the way, or had no answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from runbook_lib.actions.audit import AuditEntry
from runbook_lib.actions.history import entries_of_service
from runbook_lib.actions.interface import ActionContext
from runbook_lib.actions.rules import Case
from runbook_lib.errors import ArchiveError
from runbook_lib.models.plan import Refusal
from runbook_lib.models.window import format_instant

__all__ = ["no_loose_end", "unfinished_warnings"]

_LOOKED_BACK = timedelta(hours=24)


def unfinished_warnings(context: ActionContext) -> list[str]:
    """What whoever plans next should know of them."""
    with suppress(ArchiveError):  # what cannot be read here is refused later, before anything is changed
        return [_told(entry, context) for entry in _unfinished(context)]
    return []


def no_loose_end(case: Case) -> Refusal | None:
    """With nobody awake, nothing is changed that may be half changed already.

    Raises ArchiveError when an audit cannot be read.
    """
    if case.approval is None or case.approval.source != "policy":
        return None
    for entry in _unfinished(case.context):
        if (entry["target"], entry["namespace"]) == (str(case.plan.target), case.plan.target.namespace):
            mend = "look at what is there, and approve it in the notebook"
            return Refusal(by="one at a time", reason=_told(entry, case.context), mend=mend)
    return None


def _unfinished(context: ActionContext) -> Sequence[AuditEntry]:
    """The intents without an outcome, or with one that is not known: of this incident, and the service's others in the last day.

    A later change of the same target that was made to its end settles them: somebody who was told of them approved it.
    """
    others = entries_of_service(context, within=_LOOKED_BACK)
    begun: dict[str, AuditEntry] = {}
    for entry in sorted((*context.audit.entries(), *others), key=lambda one: (one.at, one.sequence)):
        if entry.event == "intent":
            begun[entry["plan"]] = entry
        elif entry.event in ("outcome", "effect") and not entry["unfinished"]:
            begun.pop(entry["plan"], None)
            if entry["status"] in ("executed", "undone"):
                begun = {plan: one for plan, one in begun.items() if one["target"] != entry["target"]}
    return list(begun.values())


def _told(entry: AuditEntry, context: ActionContext) -> str:
    where = f" in incident {entry['incident']}" if entry["incident"] not in (None, context.incident) else ""
    begun = f"{entry['action']} of {entry['target']} was begun at {format_instant(entry.at)}{where}"
    return f"{begun}, and what came of it is not known"
