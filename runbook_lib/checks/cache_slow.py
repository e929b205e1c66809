"""A Redis that lets everybody wait: it serves one command at a time, and a slow one, or a pause, holds up all others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pandas as pd

from runbook_lib.checks.context import CheckContext
from runbook_lib.models.finding import Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.models.window import Window, format_instant
from runbook_lib.sources.interface import Cache

__all__ = ["late_signal", "slow_signal", "slow_table", "waits_of"]

_NAME = "cache_slow"
_BLOCKED = 0.2  # of the time: so much of it must slow commands take
_RECENT = timedelta(minutes=2)
# A PING to another continent takes 0.3 s, and a machine that is busy holds one up now and then.
_LATE_SECONDS, _LATE_RATIO = 0.4, 0.3
_CROWDED = 0.5  # of the time processes of its machine, which is ours, waited for a processor: then everything is late there


def slow_signal(context: CheckContext, log: Frame | None, why_unknown: str) -> Signal:
    """Whether slow commands took a good part of the symptom's time; since the first of those that belong together."""
    if log is None or log.attrs.get("denied"):
        reason = why_unknown or "; ".join(log.attrs.get("notes", ())) if log is not None else why_unknown
        return Signal(name=_NAME, presence=Presence.UNKNOWN, text=f"slow commands of the cache are not known: {reason}")
    focus = context.focus()
    inside = _inside(log, focus)
    if inside.empty:
        return Signal(name=_NAME, presence=Presence.ABSENT, text="no slow command of the cache in the time of the symptom")
    blocked = float(inside["seconds"].sum()) / _covered(log, focus)
    worst = inside.sort_values("seconds").iloc[-1]
    text = (
        f"slow commands took {min(blocked, 1.0):.0%} of Redis' time, the longest {written(float(worst['seconds']), 'seconds')} "
        f"({_command(worst)})"
    )
    if blocked < _BLOCKED:
        return Signal(name=_NAME, presence=Presence.ABSENT, text=text, value=blocked, unit="ratio")
    return Signal(
        name=_NAME,
        presence=Presence.PRESENT,
        text=text,
        since=_since(log, context.gap),
        value=blocked,
        unit="ratio",
        subject="redis",
    )


def waits_of(cache: Cache) -> Mapping[str, float]:
    """How long it lets others wait; the lesser of two looks where it seems long, since we may be the busy side as all begins."""
    first = cache.waits()
    return min(first, cache.waits(again=True), key=lambda waits: waits["waited_ratio"]) if _late(first) else first


def _late(waits: Mapping[str, float]) -> bool:
    return waits["longest_seconds"] >= _LATE_SECONDS and waits["waited_ratio"] >= _LATE_RATIO


def late_signal(waits: Mapping[str, float] | None, why_unknown: str) -> Signal:
    """Whether it lets PINGs wait at present, beyond what the way there takes. Of how long it has done so a look says nothing."""
    name = "cache_answers_late"
    if waits is None:
        return Signal(
            name=name, presence=Presence.UNKNOWN, text=f"how long the cache lets others wait is not known: {why_unknown}"
        )
    longest, ratio, late = waits["longest_seconds"], waits["waited_ratio"], _late(waits)
    writes_alone = late and waits.get("longest_ping_seconds", longest) < _LATE_SECONDS
    what = "what waits as writes do, and not a PING," if writes_alone else "a PING"
    text = (
        f"Redis lets {what} wait for up to {written(longest, 'seconds')}, {ratio:.0%} of the time, while connecting to it takes "
        f"{written(waits['connect_seconds'], 'seconds')}{': its writes are paused' if writes_alone else ''}"
    )
    crowded = waits.get("crowded_ratio", 0.0)
    if late and crowded >= _CROWDED and not waits.get("unanswered"):
        text = f"{text}; {crowded:.0%} of that time processes of this machine, which is Redis' too, waited for a processor"
        return Signal(name=name, presence=Presence.UNKNOWN, text=text, value=longest, unit="seconds")
    presence = Presence.PRESENT if late else Presence.ABSENT
    return Signal(name=name, presence=presence, text=text, value=longest, unit="seconds", subject="redis" if late else None)


def _inside(log: Frame, focus: Window) -> pd.DataFrame:
    # A command is logged when it ends, by the second.
    return log[(log["time"] >= focus.start - timedelta(seconds=1)) & (log["time"] <= focus.end + timedelta(seconds=1))]


def _covered(log: Frame, focus: Window) -> float:
    """The seconds of the focus that the log tells of: where older entries were dropped, it begins with the oldest one."""
    begin = max(focus.start, log["time"].min().to_pydatetime()) if log.attrs.get("full") else focus.start
    return max((focus.end - begin).total_seconds(), 1.0)


def _since(log: Frame, gap: timedelta) -> datetime:
    """When the latest run of slow commands began: those that are no further apart than `gap`."""
    times = log["time"].sort_values()
    breaks = times[times.diff() > max(gap, _RECENT)]
    first: datetime = (breaks.iloc[-1] if len(breaks) else times.iloc[0]).to_pydatetime()
    began = log.loc[log["time"] == pd.Timestamp(first), "seconds"].max()
    return first - timedelta(seconds=float(began))


def slow_table(log: Frame | None) -> tuple[tuple[str, Frame], ...]:
    """The slow commands by what they are, the most costly first; nothing where there are none."""
    if log is None or log.empty:
        return ()
    rows = [
        (
            command,
            keys,
            len(found),
            float(found["seconds"].max()),
            float(found["seconds"].sum()),
            format_instant(found["time"].max()),
        )
        for (command, keys), found in log.groupby(["command", "keys"], sort=False)
    ]
    columns = ["command", "keys", "times", "longest seconds", "seconds in all", "last"]
    built = frame(sorted(rows, key=lambda row: -row[4])[:10], columns=columns)
    return (("Slow commands (arguments left out)", built),)


def _command(row: pd.Series) -> str:
    return f"{row['command']} {row['keys']}".strip()
