"""Ending a database session that others wait for, as `pg_terminate_backend` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.actions.interface import Action, ActionContext, Change, ChangeRefused, DatabaseOperator, Permission, Settling
from runbook_lib.errors import ActionFailed, SourceError
from runbook_lib.models.blocking import root_blocker
from runbook_lib.models.frame import Frame
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.models.window import format_instant

__all__ = ["TERMINATE_SESSION"]

_SECONDS = 5.0  # an estimate: the rollback of a usual transaction


def _target(context: ActionContext) -> Target:
    """Which session it is shows only once the database was asked."""
    del context
    return Target(kind="session", name="(the one that others wait for)")


def _plan(context: ActionContext, pid: int | None = None) -> Plan | Refusal:
    """End the session that most others wait for, or that of `pid`; what it has not committed is rolled back."""
    if context.database is None:
        mend = "set connections.postgres in the service file"
        return Refusal(by="target", reason="the service file names no database", mend=mend)
    seen = context.database.activity()
    waiting = Frame(seen[seen["wait_event"].astype("str").str.startswith("Lock")]) if len(seen) else seen
    if pid is None:
        blocker = root_blocker(seen, waiting)
        if blocker is None:
            mend = "give one of those that the checks show: terminate_session(pid=…)"
            return Refusal(by="target", reason="no session holds a lock that another one waits for now", mend=mend)
        pid = blocker.pid
    rows = seen[seen["pid"] == pid] if len(seen) else seen
    if not len(rows):
        reason = f"there is no session of pid {pid} that is at work or in a transaction"
        return Refusal(by="target", reason=reason, mend="look at it again: it may have ended by itself")
    return _planned(rows.iloc[-1].to_dict(), _waiters(waiting, pid))


def _waiters(waiting: Frame, pid: int) -> int:
    held_up = [pid in {int(one) for one in blockers} for blockers in waiting["blocked_by"]] if len(waiting) else []
    return int(waiting[held_up]["pid"].nunique()) if any(held_up) else 0


def _planned(row: Mapping[Any, Any], waiters: int) -> Plan:
    pid, started = int(row["pid"]), pd.Timestamp(row["backend_start"]).to_pydatetime()
    who = str(row["application"] or row["user"] or "no application name")
    return Plan(
        action="terminate_session",
        title=f"End database session {pid} ({who}), which {waiters} others wait for",
        target=Target(kind="session", name=str(pid)),
        before="\n".join(_facts(row, waiters)),
        after="the session is gone, and so are its locks; what it had not committed is rolled back",
        command=f'psql -c "SELECT pg_terminate_backend({pid})"',
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


def _facts(row: Mapping[Any, Any], waiters: int) -> list[str]:
    begun = {"session since": row["backend_start"], "in its transaction since": row["transaction_start"]}
    return [
        f"role: {row['user'] or 'not known'}",
        f"application: {row['application'] or 'none'}",
        f"state: {row['state'] or 'hidden'}",
        *(f"{name}: {format_instant(pd.Timestamp(at).to_pydatetime())}" for name, at in begun.items() if not pd.isna(at)),
        f"statement: {row['query'] or 'not known'}",
        f"sessions that wait for it: {waiters}",
    ]


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    assert context.database is not None  # the plan has said so
    started = datetime.fromisoformat(plan.arguments["backend_start"])
    return [_Ending(context.database, int(plan.arguments["pid"]), started)]


def _undo(context: ActionContext, plan: Plan) -> Refusal:
    del context, plan
    return Refusal(by="undo", reason="an ended session does not come back; whoever it was connects again")


@dataclass(frozen=True)
class _Ending:
    """End the session of the plan, and no other that has its pid by now."""

    database: DatabaseOperator
    pid: int
    backend_start: datetime

    @property
    def text(self) -> str:
        """What it does."""
        return f"end database session {self.pid}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """None of the cluster's."""
        return []

    def preview(self) -> None:
        """Ask whether this role may end it, and whether it is still there."""
        try:
            allowed = self.database.may_end(self.pid, self.backend_start)
        except SourceError as error:
            raise ChangeRefused(Refusal(by="the database", reason=error.reason)) from error
        if allowed is None:
            raise ChangeRefused(self._gone())
        if not allowed:
            mend = "grant pg_signal_backend to the role of connections.postgres.operator_dsn; only a superuser ends a superuser's"
            raise ChangeRefused(Refusal(by="the database", reason=f"this role may not end session {self.pid}", mend=mend))

    def apply(self) -> str:
        """End it."""
        try:
            ended = self.database.end(self.pid, self.backend_start)
        except SourceError as error:
            raise ActionFailed(f"{self.text}: whether it was done is not known ({error.reason}); look at it by hand") from error
        if not ended:
            raise ChangeRefused(self._gone())
        return f"{self.text}: done"

    def revert(self) -> str:
        """It does not come back."""
        return f"{self.text}: whoever it was connects again"

    def settling(self) -> Settling:
        """Once it is gone."""
        try:
            there = self.database.may_end(self.pid, self.backend_start) is not None
        except SourceError as error:
            return Settling(done=False, text=f"the sessions cannot be seen: {error.reason}")
        return Settling(done=not there, text=f"session {self.pid} {'is rolling back' if there else 'is gone'}")

    def _gone(self) -> Refusal:
        reason = f"session {self.pid} has ended by itself since the plan was made"
        return Refusal(by="unchanged since the plan", reason=reason, mend="run the cell again and read the new plan")


TERMINATE_SESSION = Action(
    name="terminate_session",
    title="End the database session that others wait for",
    risk="medium",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
