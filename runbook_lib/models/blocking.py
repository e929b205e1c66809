"""Who holds what others wait for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.models.frame import Frame

__all__ = ["Blocker", "root_blocker"]


@dataclass(frozen=True, slots=True)
class Blocker:
    """The session that most of the waiting sessions wait for. waits: how often it was seen to be waited for, over all looks."""

    pid: int
    application: str
    user: str
    state: str
    query: str
    backend_start: datetime | None
    transaction_start: datetime | None
    waits: int

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.application or self.user or 'no application name'}, {self.state or 'state hidden'})"


def root_blocker(seen: Frame, waiting: Frame) -> Blocker | None:
    """At the root of most waits: who is waited for, and does not wait for a lock himself; None when nobody is.

    seen: looks at all sessions (`Database.activity`). waiting: the rows of it whose waits count.
    """
    counts: Counter[int] = Counter()
    for sample, own in waiting.groupby("sample") if len(waiting) else ():
        others = seen[seen["sample"] == sample]
        held_up = {
            int(pid): [int(one) for one in blockers] for pid, blockers in zip(others["pid"], others["blocked_by"], strict=True)
        }
        for pid in own["pid"]:
            counts.update(_roots(int(pid), held_up))
    if not counts:
        return None
    pid, waits = counts.most_common(1)[0]
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
    )


def _roots(pid: int, held_up: Mapping[int, list[int]]) -> set[int]:
    found, passed, open_ = set(), {pid}, list(held_up.get(pid, ()))
    while open_:
        one = open_.pop()
        if one in passed:
            continue
        passed.add(one)
        above = held_up.get(one, [])
        open_ += above
        if not above:
            found.add(one)
    return found


def _moment(value: Any) -> datetime | None:
    return None if value is None or pd.isna(value) else pd.Timestamp(value).to_pydatetime()
