"""What was done to a service lately, by the audits of all its incidents: no restart and no new incident forgets it."""

from __future__ import annotations

from datetime import timedelta

from runbook_lib.actions.audit import AuditEntry
from runbook_lib.actions.interface import ActionContext

__all__ = ["entries_of_service"]


def entries_of_service(context: ActionContext, *, within: timedelta) -> list[AuditEntry]:
    """The audit's lines of this service in this environment that are no older, the oldest first.

    Raises ArchiveError when an audit cannot be read.
    """
    service = context.service
    found = (
        entry
        for entry in context.audit.entries_of_all_incidents(since=context.now() - within)
        if (entry["service"], entry["environment"]) == (service.name, service.environment)
    )
    return sorted(found, key=lambda entry: (entry.at, entry.sequence))
