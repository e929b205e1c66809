"""Whom the service's sessions wait for: other services on the same server have troubles of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runbook_lib.checks.context import CheckContext
from runbook_lib.models.frame import Frame
from runbook_lib.models.own_sessions import own_rows

__all__ = ["Blocking", "blocking_of", "chains_of"]


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
