"""Which sessions of a server are this service's: what others do in their own databases is no business of an action by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runbook_lib.actions.interface import ActionContext
from runbook_lib.models.frame import Frame
from runbook_lib.models.own_sessions import own_rows
from runbook_lib.models.plan import Refusal

__all__ = ["NAME_A_SESSION", "blamed_pids", "in_own_databases", "not_by_itself", "own_of"]

NAME_A_SESSION = "; components.database.application_name of the service file says which sessions are the service's"


def own_of(context: ActionContext, seen: Frame) -> Frame:
    """Of looks at all sessions those of the service, as the checks tell them apart.

    None where its service file names no database: then nothing is known to be the service's.
    """
    if context.service.components.database is None or seen.empty:
        return Frame(seen.iloc[:0])
    return own_rows(seen, context.service)


def in_own_databases(context: ActionContext, seen: Frame) -> Frame:
    """Everybody's sessions in the databases that the service has its own in, or that its service file names."""
    return Frame(seen[seen["database"].isin(_databases(context, seen))]) if len(seen) else seen


def blamed_pids(context: ActionContext, action: str) -> set[int]:
    """The sessions that the confirmed causes name which call for this action."""
    causes = context.diagnosis.calling_for(action) if context.diagnosis else ()
    return {int(pid) for cause in causes for pid in re.findall(r"\bpid (\d+)\b", cause.subject or "")}


def not_by_itself(context: ActionContext, seen: Frame, row: Mapping[Any, Any]) -> Refusal | None:
    """With nobody watching, no session in a database of somebody else is touched."""
    if context.mode == "interactive" or row["database"] in _databases(context, seen):
        return None
    reason = f"session {row['pid']} is in database {row['database'] or '(none)'}, where {context.service.name} has no session"
    return Refusal(by="target", reason=reason, mend="only a person can do that, in the incident's notebook")


def _databases(context: ActionContext, seen: Frame) -> set[str]:
    component = context.service.components.database
    return {str(name) for name in own_of(context, seen)["database"]} | ({component.name} if component is not None else set())
