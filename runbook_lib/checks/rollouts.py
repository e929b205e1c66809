"""The rollout that may have caused a symptom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from runbook_lib.checks.context import CheckContext
from runbook_lib.models.frame import Frame

_SETTLING = timedelta(seconds=60)  # the first errors may be seen before the first new pod is ready
TOGETHER = timedelta(minutes=2)
"""An edit and the rollout that brings it to the pods are one change."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """The rollout that may have caused the symptom: the last one that began before it. before: None where the revision that it
    replaced is not kept (revisionHistoryLimit)."""

    revision: int
    before: int | None
    at: datetime
    change_cause: str


def culprit(history: Frame, context: CheckContext) -> Rollout | None:
    """The last rollout that began no later than the symptom; without a symptom the last one of the window. The first revision of
    all created the service and changed nothing."""
    if history.empty:
        return None
    rows = history.sort_values("revision")
    moments = [_began(row, context) for row in rows.to_dict("records")]
    begun = _begun_by(moments, latest_possible(context))
    # What was rolled out just before outweighs what followed while the symptom was there already, such as its taking back.
    if (onset := context.onset) is not None:
        before = _begun_by(moments, onset)
        recent = [index for index in before if onset - (moments[index] or onset) <= TOGETHER]
        begun = before if recent else begun
    if not begun:
        return None
    index = max(begun, key=lambda position: int(rows["revision"].iloc[position]))
    at, previous = moments[index], index - 1 if index else _taken_back_to(rows)
    revision = int(rows["revision"].iloc[index])
    if at is None or at < context.window.start or (previous is None and revision <= 1):
        return None
    return Rollout(
        revision=revision,
        before=int(rows["revision"].iloc[previous]) if previous is not None else None,
        at=at,
        change_cause=str(rows["change_cause"].iloc[index] or ""),
    )


def _taken_back_to(rows: Frame) -> int | None:
    """The place of what ran before the first revision that is left: a rollback gives it a new number, and keeps its age."""
    created = [moment(value) for value in rows["created_at"]]
    older = [(at, place) for place, at in enumerate(created) if place and at is not None and created[0] and at < created[0]]
    return max(older)[1] if older else None


def _begun_by(moments: Sequence[datetime | None], latest: datetime) -> list[int]:
    return [index for index, at in enumerate(moments) if at is not None and at <= latest]


def latest_possible(context: CheckContext) -> datetime:
    """Until when something may have changed to have caused the symptom."""
    onset = context.onset
    return onset + timedelta(seconds=context.rate_window_seconds) + _SETTLING if onset else context.now


def _began(row: Mapping[Any, Any], context: CheckContext) -> datetime | None:
    """When a revision was rolled out. A rollback reuses an old replica set, whose creation says nothing: its pods do."""
    created, ready = moment(row.get("created_at")), moment(row.get("first_ready_at"))
    if created is not None and created >= context.window.start:
        return min(created, ready) if ready is not None and ready - created < timedelta(hours=1) else (ready or created)
    return ready or created


def moment(value: Any) -> datetime | None:
    """A time from a cell of a frame; None where there is none."""
    return None if value is None or pd.isna(value) else pd.Timestamp(value).to_pydatetime()
