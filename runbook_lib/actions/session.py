"""Ending a database session that others wait for, as `pg_terminate_backend` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from runbook_lib.actions.database_session import (
    NO_DATABASE,
    Signalling,
    facts,
    moment,
    named,
    no_way_back,
    psql,
    row_of,
    waiters,
    waiting_of,
)
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.actions.own_sessions import NAME_A_SESSION, blamed_pids, not_by_itself, own_of
from runbook_lib.models.blocking import root_blocker
from runbook_lib.models.plan import Plan, Refusal, Target

__all__ = ["TERMINATE_SESSION"]

_SECONDS = 5.0  # an estimate: the rollback of a usual transaction


def _target(context: ActionContext) -> Target:
    """Which session it is shows only once the database was asked."""
    del context
    return Target(kind="session", name="(the one that others wait for)")


def _plan(context: ActionContext, pid: int | None = None) -> Plan | Refusal:
    """End the session that most of the service's wait for, or that of `pid`; what it has not committed is rolled back.

    One that the diagnosis names, and that some of them still wait for, goes before others.
    """
    if context.database is None:
        return NO_DATABASE
    seen = context.database.activity()
    if pid is None:
        blocker = root_blocker(seen, waiting_of(own_of(context, seen)), blamed=blamed_pids(context, TERMINATE_SESSION.name))
        if blocker is None:
            reason = f"no session holds a lock that one of {context.service.name} waits for now"
            mend = f"give one of those that the checks show: terminate_session(pid=…){NAME_A_SESSION}"
            return Refusal(by="target", reason=reason, mend=mend)
        pid = blocker.pid
    row = row_of(seen, pid)
    if isinstance(row, Refusal):
        return row
    return not_by_itself(context, seen, row) or _planned(context, row, waiters(waiting_of(seen), pid))


def _planned(context: ActionContext, row: Mapping[Any, Any], held_up: int) -> Plan:
    pid, started, who = int(row["pid"]), moment(row["backend_start"]), named(row)
    assert started is not None  # whoever may see a session at work sees when it began
    return Plan(
        action="terminate_session",
        title=f"End database session {pid} ({who}), which {held_up} others wait for",
        target=Target(kind="session", name=str(pid)),
        before=facts(row, held_up),
        after="the session is gone, and so are its locks; what it had not committed is rolled back",
        command=psql(context, f"SELECT pg_terminate_backend({pid})"),
        risk="medium",
        affects=f"{who} (role {row['user'] or 'not known'}): its statement ends with an error, its transaction is rolled back",
        undo="none: whoever it was has to connect again, and to begin anew",
        seen_by="no session waits for it any more, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        reversible=False,
        bound_to={"pid": str(pid), "backend_start": started.isoformat()},
        arguments={"pid": pid, "backend_start": started.isoformat()},
        warnings=(f"find out whose it is first: {who} may begin anew, and be in the way again",),
    )


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    assert context.database is not None  # the plan has said so
    pid, started = int(plan.arguments["pid"]), datetime.fromisoformat(plan.arguments["backend_start"])
    return [
        Signalling(
            verb="end",
            what=f"database session {pid}",
            ending="is rolling back",
            done="is gone",
            back="whoever it was connects again",
            allowed=partial(context.database.may_end, pid, started),
            send=partial(context.database.end, pid, started),
        )
    ]


TERMINATE_SESSION = Action(
    name="terminate_session",
    title="End the database session that others wait for",
    risk="medium",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=no_way_back("an ended session does not come back; whoever it was connects again"),
    target=_target,
)
