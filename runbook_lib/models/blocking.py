"""Who holds what others wait for, and who has been at one statement for longest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.models.frame import Frame

__all__ = ["Blocker", "LongStatement", "longest_statement", "root_blocker"]


@dataclass(frozen=True, slots=True)
class Blocker:
    """The session that most of the waiting sessions wait for. waits: how often it was seen to be waited for, over all looks.

    kind: `client`, `autovacuum`, or `prepared`: transactions of pid 0 that no session has, and whose query ends them. behind: the
    autovacuum that it waits for itself; empty for none.
    """

    pid: int
    application: str
    user: str
    state: str
    query: str
    backend_start: datetime | None
    transaction_start: datetime | None
    waits: int
    kind: str = "client"
    behind: str = ""

    @property
    def is_session(self) -> bool:
        """Whether it is a client's, which can be ended."""
        return self.kind == "client"

    def __str__(self) -> str:
        if self.kind == "prepared":
            return f"a prepared transaction ({self.query or 'pg_prepared_xacts has its name'})"
        if self.kind == "autovacuum":
            return f"pid {self.pid} ({self.query or 'autovacuum'})"
        return f"pid {self.pid} ({self.application or self.user or 'no application name'}, {self.state or 'state hidden'})"


@dataclass(frozen=True, slots=True)
class LongStatement:
    """A session that has been at one statement for long, waiting for nobody. seconds: for how long at the last look."""

    pid: int
    application: str
    user: str
    query: str
    query_start: datetime
    seconds: float

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.application or self.user or 'no application name'})"


def longest_statement(seen: Frame, *, at_least_seconds: float) -> LongStatement | None:
    """The oldest statement of all looks that waits for no lock; None when none has taken so long.

    A statement counts when it was there in the first look and in the last: it is one, and it is not about to end.
    """
    if seen.empty:
        return None
    clients = seen[seen["kind"] == "client"] if "kind" in seen else seen
    active = clients[
        (clients["state"] == "active") & (clients["state_seconds"] >= at_least_seconds) & clients["query_start"].notna()
    ]
    working = active[~active["wait_event"].fillna("").astype("str").str.startswith("Lock")]
    lasting = working.groupby("pid")["query_start"].agg(["nunique", "size"])
    stayed = lasting[(lasting["nunique"] == 1) & (lasting["size"] >= int(seen["sample"].nunique()))].index
    rows = working[working["pid"].isin(stayed)]
    if rows.empty:
        return None
    row: Mapping[Any, Any] = rows.sort_values("state_seconds").iloc[-1].to_dict()
    began = _moment(row["query_start"])
    assert began is not None
    return LongStatement(
        pid=int(row["pid"]),
        application=str(row["application"] or ""),
        user=str(row["user"] or ""),
        query=str(row["query"] or ""),
        query_start=began,
        seconds=float(row["state_seconds"]),
    )


def root_blocker(seen: Frame, waiting: Frame, *, blamed: Collection[int] = ()) -> Blocker | None:
    """At the root of most waits: who is waited for, and does not wait for a lock himself; None when nobody is.

    An autovacuum that others queue behind is not the one: it gives way by itself, unless it prevents wraparound, and then begins
    anew. The first client behind it is, whose strong lock makes all others wait.

    seen: looks at all sessions (`Database.activity`). waiting: the rows of it whose waits count. blamed: pids that go before
    others which more wait for.
    """
    counts: Counter[int] = Counter()
    cleaning = {int(pid) for pid in seen["pid"][seen["kind"] == "autovacuum"]} if "kind" in seen else set()
    for sample, own in waiting.groupby("sample") if len(waiting) else ():
        others = seen[seen["sample"] == sample]
        held_up = {
            int(pid): [int(one) for one in blockers] for pid, blockers in zip(others["pid"], others["blocked_by"], strict=True)
        }
        for pid in own["pid"]:
            counts.update(_roots(int(pid), held_up, cleaning))
    if not counts:
        return None
    pid, waits = max(counts.items(), key=lambda one: (one[0] in blamed, one[1]))
    rows = seen[seen["pid"] == pid]
    row: Mapping[Any, Any] = rows.iloc[-1].to_dict() if len(rows) else {}
    return Blocker(
        pid=pid,
        application=str(row.get("application") or ""),
        user=str(row.get("user") or ""),
        state=str(row.get("state") or ""),
        query=str(row.get("query") or ""),
        backend_start=_moment(row.get("backend_start")),
        transaction_start=_moment(rows["transaction_start"].min()) if len(rows) else None,
        waits=waits,
        kind="prepared" if not pid else "autovacuum" if pid in cleaning else "client",
        behind=_behind(row, seen, cleaning),
    )


def _behind(row: Mapping[Any, Any], seen: Frame, cleaning: Collection[int]) -> str:
    """The autovacuum that this one waits for, in words."""
    above = [int(pid) for pid in row.get("blocked_by", ()) if int(pid) in cleaning]
    return f"pid {above[0]} ({seen['query'][seen['pid'] == above[0]].iloc[-1]})" if above else ""


def _roots(pid: int, held_up: Mapping[int, list[int]], cleaning: Collection[int]) -> set[int]:
    direct = held_up.get(pid, [])
    found, passed, open_ = set(), {pid}, [one for one in direct if one not in cleaning] or list(direct)
    while open_:
        one = open_.pop()
        if one in passed:
            continue
        passed.add(one)
        above = [other for other in held_up.get(one, []) if other not in cleaning]
        open_ += above
        if not above:
            found.add(one)
    return found


def _moment(value: Any) -> datetime | None:
    return None if value is None or pd.isna(value) else pd.Timestamp(value).to_pydatetime()
