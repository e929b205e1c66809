"""Events of the cluster, in the shape of the old API and of the new one, each told once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from runbook_lib.models.window import Window
from runbook_lib.sources.tables import instant

__all__ = ["EVENT_COLUMNS", "event_rows", "moments"]

EVENT_COLUMNS = {
    "time": "time", "first_seen": "time", "type": "text", "reason": "text", "kind": "text", "name": "text",
    "message": "text", "count": "integer",
}  # fmt: skip

Event = Mapping[str, Any]


def moments(event: Event) -> tuple[datetime | None, datetime | None]:
    """When an event was seen first and last.

    Old components write firstTimestamp and lastTimestamp; new ones eventTime, and a series once it repeats; their other fields
    are then null.
    """
    series = event.get("series") or {}
    occurred = instant(event.get("eventTime")) or instant((event.get("metadata") or {}).get("creationTimestamp"))
    first = instant(event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp")) or occurred
    last = instant(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("deprecatedLastTimestamp"))
    return first, last or first


def event_rows(events: Iterable[Event], *, window: Window, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows of EVENT_COLUMNS for the events that fall into the window or span it, oldest first.

    `names` are prefixes of the object's name; none means all. The same message about the same object is one row: a component that
    was restarted begins a new Event object for it.
    """
    merged: dict[tuple[str, ...], list[Any]] = {}
    for event in events:
        about = event.get("involvedObject") or event.get("regarding") or {}
        name = str(about.get("name") or "")
        first, last = moments(event)
        if first is None or last is None or last < window.start or first > window.end:
            continue
        if names and not name.startswith(tuple(names)):
            continue
        message = str(event.get("message") or event.get("note") or "").strip()
        key = (str(event.get("type") or ""), str(event.get("reason") or ""), str(about.get("kind") or ""), name, message)
        known = merged.setdefault(key, [last, first, 0])
        known[0], known[1] = max(known[0], last), min(known[1], first)
        known[2] += _count(event)
    return sorted(((last, first, *key, count) for key, (last, first, count) in merged.items()), key=lambda row: row[0])


def _count(event: Event) -> int:
    series = event.get("series") or {}
    return int(series.get("count") or event.get("count") or event.get("deprecatedCount") or 1)
