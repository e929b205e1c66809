"""Cancelling the statement that a database session is at, as `pg_cancel_backend` does: its session goes on."""

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
from runbook_lib.actions.own_sessions import NAME_A_SESSION, blamed_pids, in_own_databases, not_by_itself, own_of
from runbook_lib.models.blocking import longest_statement, root_blocker
from runbook_lib.models.frame import Frame
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.models.units import written

__all__ = ["CANCEL_STATEMENT"]

_SECONDS = 2.0  # an estimate: a statement looks every few milliseconds whether it is to stop
_LEAST_SECONDS = 5.0  # a statement that has taken less may be anybody's everyday work


def _target(context: ActionContext) -> Target:
    """Whose statement it is shows only once the database was asked."""
    del context
    return Target(kind="session", name="(the one whose statement takes long)")


def _plan(context: ActionContext, pid: int | None = None) -> Plan | Refusal:
    """Cancel the statement that the service's sessions wait for, else the longest of its own, or that of `pid`.

    A session that the diagnosis names goes before others, where it is in a database of the service. The session stays.
    """
    if context.database is None:
        return NO_DATABASE
    seen = context.database.activity()
    chosen = pid if pid is not None else _chosen(context, seen)
    if chosen is None:
        waited_for = f"no session holds a lock that one of {context.service.name} waits for"
        reason = f"{waited_for}, and of its own no statement has taken {_LEAST_SECONDS:g} s"
        mend = f"give one of those that the checks show: cancel_statement(pid=…){NAME_A_SESSION}"
        return Refusal(by="target", reason=reason, mend=mend)
    row = row_of(seen, chosen)
    if isinstance(row, Refusal):
        return row
    elsewhere = not_by_itself(context, seen, row)
    if elsewhere is not None:
        return elsewhere
    if row["state"] != "active" or moment(row["query_start"]) is None:
        reason = f"session {chosen} ({named(row)}) is {row['state'] or 'hidden'}: it is at no statement that could be cancelled"
        return Refusal(by="target", reason=reason, mend=f"end the session: terminate_session(pid={chosen})")
    return _planned(context, row, waiters(waiting_of(seen), chosen))


def _chosen(context: ActionContext, seen: Frame) -> int | None:
    own, blamed = own_of(context, seen), blamed_pids(context, CANCEL_STATEMENT.name)
    blocker = root_blocker(seen, waiting_of(own), blamed=blamed)
    if blocker is not None:
        return blocker.pid
    near = in_own_databases(context, seen)
    named = Frame(near[near["pid"].isin(blamed)])
    longest = longest_statement(named, at_least_seconds=_LEAST_SECONDS) or longest_statement(own, at_least_seconds=_LEAST_SECONDS)
    return longest.pid if longest is not None else None


def _planned(context: ActionContext, row: Mapping[Any, Any], held_up: int) -> Plan:
    pid, who = int(row["pid"]), named(row)
    began, started = moment(row["query_start"]), moment(row["backend_start"])
    assert began is not None
    assert started is not None
    bound = {"pid": pid, "backend_start": started.isoformat(), "query_start": began.isoformat()}
    taken = written(float(row["state_seconds"]), "seconds")
    whom = f", which {held_up} others wait for" if held_up else ""
    return Plan(
        action="cancel_statement",
        title=f"Cancel the statement of database session {pid} ({who}), {taken} old{whom}",
        target=Target(kind="session", name=str(pid)),
        before=facts(row, held_up),
        after="the statement ends with an error and its transaction is rolled back; the session stays, and may go on",
        command=psql(context, f"SELECT pg_cancel_backend({pid})"),
        risk="low" if held_up else "medium",
        affects=f"{who} (role {row['user'] or 'not known'}): its statement ends with an error",
        undo="none: whoever it was may run the statement again",
        seen_by="the session is at another statement, or idle, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        reversible=False,
        bound_to={name: str(value) for name, value in bound.items()},
        arguments=bound,
        warnings=(f"find out whose it is first: {who} may run it again; a session that ignores it can be ended",),
    )


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    assert context.database is not None  # the plan has said so
    pid = int(plan.arguments["pid"])
    begun = [datetime.fromisoformat(plan.arguments[name]) for name in ("backend_start", "query_start")]
    return [
        Signalling(
            verb="cancel",
            what=f"the statement of session {pid}",
            ending="is being stopped",
            done="has stopped",
            back="whoever it was may run it again",
            allowed=partial(context.database.may_cancel, pid, *begun),
            send=partial(context.database.cancel, pid, *begun),
        )
    ]


CANCEL_STATEMENT = Action(
    name="cancel_statement",
    title="Cancel a statement that others wait for, or that takes long",
    risk="medium",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=no_way_back("a cancelled statement does not come back; whoever it was may run it again"),
    target=_target,
)
