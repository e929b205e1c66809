"""One session of the database, as a plan saw it, and the signal that is sent to it and to no other."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.actions.interface import ActionContext, ChangeRefused, Permission, Settling
from runbook_lib.errors import ConfigurationError, OutcomeUnknown, SourceError
from runbook_lib.importing import importing
from runbook_lib.models.frame import Frame
from runbook_lib.models.plan import Plan, Refusal
from runbook_lib.models.window import format_instant

__all__ = ["NO_DATABASE", "Signalling", "facts", "moment", "named", "no_way_back", "psql", "row_of", "waiters", "waiting_of"]

NO_DATABASE = Refusal(
    by="target", reason="the service file names no database", mend="set connections.postgres in the service file"
)


def psql(context: ActionContext, *statements: str) -> str:
    """The statements as a person types them, each by itself; with the address, since a pid means nothing on another server.

    Never with a password.
    """
    words = (word for statement in statements for word in ("-c", statement))
    return shlex.join(["psql", *_address(context), *words])


def _address(context: ActionContext) -> list[str]:
    with importing("psycopg"):
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

    connection = context.service.connections.postgres
    if connection is None:
        return []
    try:
        given = conninfo_to_dict((connection.operator_dsn or connection.dsn).resolve())
    except (ConfigurationError, ProgrammingError):
        return []
    shown = ("host", "port", "dbname", "user", "sslmode")
    return [make_conninfo("", **{name: value for name, value in given.items() if name in shown and value is not None})]


def waiting_of(seen: Frame) -> Frame:
    """Of looks at all sessions those that wait for a lock."""
    return Frame(seen[seen["wait_event"].astype("str").str.startswith("Lock")]) if len(seen) else seen


def waiters(waiting: Frame, pid: int) -> int:
    """How many sessions wait for that of `pid`."""
    held_up = [pid in {int(one) for one in blockers} for blockers in waiting["blocked_by"]] if len(waiting) else []
    return int(waiting[held_up]["pid"].nunique()) if any(held_up) else 0


def row_of(seen: Frame, pid: int) -> Mapping[Any, Any] | Refusal:
    """The last look at a session."""
    rows = seen[seen["pid"] == pid] if len(seen) else seen
    if not len(rows):
        reason = f"there is no session of pid {pid} that is at work or in a transaction, or that others wait for"
        return Refusal(by="target", reason=reason, mend="look at it again: it may have ended by itself")
    row: Mapping[Any, Any] = rows.iloc[-1].to_dict()
    return _no_client(row) or row


def _no_client(row: Mapping[Any, Any]) -> Refusal | None:
    """What holds a lock and is no client's session is not signalled: it would do no good, or cannot be done."""
    kind, pid = row.get("kind", "client"), row["pid"]
    if kind == "prepared":
        reason = "no session holds the lock, but a prepared transaction"
        return Refusal(by="target", reason=reason, mend=f"find out who prepared it; {row['query']} takes it back")
    if kind != "client":
        reason = f"pid {pid} is no client's session ({row['query'] or kind}): it begins anew when it is ended"
        return Refusal(by="target", reason=reason, mend="let it come to its end, and take back what waits for it")
    if moment(row["backend_start"]) is None:
        reason = f"this role does not see when session {pid} began, and so not that it is still the same"
        return Refusal(by="target", reason=reason, mend="grant pg_monitor to the role of connections.postgres.operator_dsn")
    return None


def named(row: Mapping[Any, Any]) -> str:
    """Whose session it is, in a word or two."""
    return str(row["application"] or row["user"] or "no application name")


def moment(value: Any) -> datetime | None:
    """A cell's time; None where there is none."""
    return None if value is None or pd.isna(value) else pd.Timestamp(value).to_pydatetime()


def facts(row: Mapping[Any, Any], held_up: int) -> str:
    """What is known of a session, a line each."""
    begun = {
        "session since": row["backend_start"],
        "in its transaction since": row["transaction_start"],
        "at its statement since": row["query_start"],
    }
    lines = [
        f"role: {row['user'] or 'not known'}",
        f"application: {row['application'] or 'none'}",
        f"database: {row['database'] or 'none'}",
        f"state: {row['state'] or 'hidden'}",
        *(f"{name}: {format_instant(at)}" for name, value in begun.items() if (at := moment(value)) is not None),
        f"statement: {row['query'] or 'not known'}",
        f"sessions that wait for it: {held_up}",
    ]
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Signalling:
    """A signal to what the plan saw: its session, or the statement that its session is at.

    verb, what: such as `end`, `database session 7`; done: how it is once it has taken effect. `allowed` says whether this role
    may, None when what the plan saw is no longer there; `send` gives False for the same.
    """

    verb: str
    what: str
    ending: str
    done: str
    back: str
    allowed: Callable[[], bool | None]
    send: Callable[[], bool]

    @property
    def text(self) -> str:
        """What it does."""
        return f"{self.verb} {self.what}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """None of the cluster's."""
        return []

    def preview(self) -> None:
        """Ask whether this role may, and whether it is still there."""
        try:
            allowed = self.allowed()
        except SourceError as error:
            raise ChangeRefused(Refusal(by="the database", reason=error.reason)) from error
        if allowed is None:
            raise ChangeRefused(self._gone())
        if not allowed:
            mend = "grant pg_signal_backend to the role of connections.postgres.operator_dsn; only a superuser ends a superuser's"
            raise ChangeRefused(Refusal(by="the database", reason=f"this role may not {self.text}", mend=mend))

    def apply(self) -> str:
        """Send it."""
        try:
            sent = self.send()
        except SourceError as error:
            raise OutcomeUnknown(f"{self.text}: whether it was done is not known ({error.reason})") from error
        if not sent:
            raise ChangeRefused(self._gone())
        return f"{self.text}: done"

    def revert(self) -> str:
        """It does not come back."""
        return f"{self.text}: {self.back}"

    def settling(self) -> Settling:
        """Once it is gone."""
        try:
            there = self.allowed() is not None
        except SourceError as error:
            return Settling(done=False, text=f"the sessions cannot be seen: {error.reason}")
        return Settling(done=not there, text=f"{self.what} {self.ending if there else self.done}")

    def _gone(self) -> Refusal:
        reason = f"{self.what} has ended by itself since the plan was made"
        return Refusal(by="unchanged since the plan", reason=reason, mend="run the cell again and read the new plan")


def no_way_back(reason: str) -> Callable[[ActionContext, Plan], Refusal]:
    """An undo that refuses, with the reason."""
    return lambda *_: Refusal(by="undo", reason=reason)
