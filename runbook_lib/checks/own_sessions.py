"""Which of the server's sessions are the service's, and whom they wait for: other databases have troubles of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from runbook_lib.checks.context import CheckContext
from runbook_lib.models.frame import Frame, frame
from runbook_lib.service import Service
from runbook_lib.service.models import DatabaseComponent

__all__ = ["Blocking", "blocking_of", "chains_of", "own_rows", "own_sessions"]


@dataclass(frozen=True, slots=True)
class Blocking:
    """Who holds the lock that most of the service's sessions wait for. waiters: how many; seconds: the longest wait.

    kind: `client`, `autovacuum`, or `prepared`: transactions of pid 0 that no session has. queued: the pid of the first session
    behind an autovacuum; else 0.
    """

    pid: int
    kind: str
    queued: int
    blocker: str
    waiters: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.waiters} sessions wait for a lock that {self.blocker} holds"


def own_sessions(sessions: Frame, context: CheckContext) -> Frame:
    """The sessions of this service."""
    return own_rows(sessions, context.service)


def own_rows(rows: Frame, service: Service) -> Frame:
    """Of rows with an application and a user those of this service; all of its database where the service file names neither.

    `attrs["hidden"]` then counts the service's own of whose details our role sees nothing.
    """
    component = service.components.database
    if component is None:
        return rows
    mine = _owned(rows, component) if len(rows) else Frame(rows)
    mine.attrs.update(rows.attrs)
    if "hidden_of" in rows.attrs:  # not in a record from before it was told
        others = frame(rows.attrs["hidden_of"], columns=["application", "user", "database", "count"])
        others.attrs["database"] = rows.attrs.get("database")
        mine.attrs["hidden"] = int(_owned(others, component)["count"].sum()) if len(others) else 0
    return mine


def _owned(rows: Frame, component: DatabaseComponent) -> Frame:
    near = Frame(rows[_near(rows, component)])
    near = Frame(near[near["kind"] == "client"]) if "kind" in near else near
    names = zip(near["application"], near["user"], strict=True)
    return Frame(near[[component.owns(application=str(application), user=str(user)) for application, user in names]])


def _near(rows: Frame, component: DatabaseComponent) -> pd.Series:
    """Which rows are of the database that was asked, or of that of the service file: through a pooler they differ in name.

    Who reads from another database than the service's knows its sessions by their names, in whichever they are.
    """
    asked = rows.attrs.get("database")  # a record from before it was told has none
    elsewhere = component.tells_its_sessions and asked != component.name
    if not asked or elsewhere or "database" not in rows:
        return pd.Series(True, index=rows.index)
    return rows["database"].isin([asked, component.name])


def blocking_of(chains: Frame, context: CheckContext, *, longer_than_seconds: float) -> Blocking | None:
    """At the root of most waits of the service that have lasted so long; None when none has."""
    own = _blocked(chains, context)
    long = own[own["blocked_seconds"] > longer_than_seconds]
    if long.empty:
        return None
    waits = long.groupby("root_pid")["blocked_pid"].nunique()
    pid = int(waits.sort_values(kind="stable").index[-1])
    held = chains[chains["blocking_pid"] == pid]
    kind = str(held["blocking_kind"].iloc[0]) if "blocking_kind" in held and len(held) else "client" if pid else "prepared"
    return Blocking(
        pid=pid,
        kind=kind,
        queued=int(held["blocked_pid"].iloc[0]) if kind == "autovacuum" else 0,
        blocker=_named(pid, chains),
        waiters=int(waits[pid]),
        seconds=float(long["blocked_seconds"][long["root_pid"] == pid].max()),
    )


def chains_of(chains: Frame, context: CheckContext) -> Frame:
    """The chains that a session of the service waits in, those who stand between it and the root included."""
    return Frame(chains[chains["root_pid"].isin(set(_blocked(chains, context)["root_pid"]))])


def _blocked(chains: Frame, context: CheckContext) -> Frame:
    """The rows in which it is the service that waits; all of a record from before it was told whose session waits."""
    if "blocked_user" not in chains:
        return chains
    waiting = Frame(
        chains[["database", "blocked_application", "blocked_user"]].set_axis(["database", "application", "user"], axis="columns")
    )
    waiting.attrs.update(chains.attrs)
    own = own_rows(waiting, context.service)
    return Frame(chains.loc[own.index])


def _named(pid: int, chains: Frame) -> str:
    """Who it is, by any row that it holds up: the service may wait for another one, who waits for it."""
    rows = chains[chains["blocking_pid"] == pid]
    if rows.empty:
        return f"pid {pid}"
    if not pid:
        return "a prepared transaction"
    row: Mapping[Any, Any] = rows.iloc[0].to_dict()
    if row.get("blocking_kind") == "autovacuum":
        return f"pid {pid} ({row['blocking_query'] or 'autovacuum'})"
    who = row["blocking_application"] or row.get("blocking_user") or "no application name"
    return f"pid {pid} ({who}, {row['blocking_state']})"
