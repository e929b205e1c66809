"""What kind of growth a memory series shows: a leak, a warm-up that levels off, or load that needs more; and when it ends.

Growth alone is no leak. Caches fill, runtimes warm up, traffic rises in the morning; only what grows steadily, and for none of
these reasons, goes on until the container is killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
import pandas as pd

from runbook_lib.analysis.trend import Growth, after_bend, between_drops, growth, rising_part

__all__ = ["Course", "Forecast", "Held", "Kind", "course_of", "forecast", "held_before", "judged_together"]

_MINIMUM_SAMPLES = 12  # a third of them still tells a slope
# 1 - exp(-t/T) has fallen to 0.6 of its first slope after half of its time constant.
_SLOWED_RATIO = 0.6
# What rises in a line spends a third of the way from its first quarter to the top in its last quarter.
_AT_THE_TOP_RATIO = 0.5
_LOAD_RISE_RATIO = 0.2  # less than this is how load always sways
_USUAL_LOAD = 0.75  # quantile of what came before a container was there; lower ones may tell of an outage
_FOLLOWS = 0.8  # correlation of memory and load, of what time and load together leave to noise
_ALIKE = 0.5  # correlation from which on memory and load may well have to do with each other
_WARM_UP = timedelta(minutes=5)  # a younger container grows anyway: what it loads and compiles looks like what it leaks
_HELD_RATIO = 1.2  # memory that sways by no more is held
_BEYOND_RATIO = 1.05  # of what was held: a limit is often not far above, and a leak that it ends has come to it
_OWN_SHARE = 0.6  # of the growth that time alone must explain for it to be a leak; where both rise alike, it is left at load


class Kind(StrEnum):
    """Why memory grows."""

    STEADY = "steady"
    LEAK = "leak"
    LEVELS_OFF = "levels_off"
    FOLLOWS_LOAD = "follows_load"
    STARTS = "starts"
    TOO_SHORT = "too_short"


_EXPLAINED = (Kind.FOLLOWS_LOAD, Kind.STARTS, Kind.LEVELS_OFF)


@dataclass(frozen=True, slots=True)
class Course:
    """One pod's memory.

    growth: of the last stretch between restarts that grew, None when none did. since: when that began, or the first of the
    stretches before it that grew as well. falls: how often it fell by a third and more: restarts.
    """

    kind: Kind
    growth: Growth | None = None
    since: datetime | None = None
    falls: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the limit is reached, from now: the best guess, and its 95 % interval. latest: None where growth may as well stop."""

    expected: timedelta
    earliest: timedelta
    latest: timedelta | None


@dataclass(frozen=True, slots=True)
class Held:
    """The memory [bytes] that containers which are over held steadily, and until when one of them did."""

    level: float
    until: datetime


def held_before(parts: Iterable[pd.Series]) -> Held | None:
    """What the service's containers held, from the memory [bytes] of each of its pods over time; None where none that is over
    held anything for longer than a start takes."""
    known = [clean for part in parts if len(clean := part.dropna())]
    latest = max((part.index[-1] for part in known), default=None)
    over = (between_drops(part)[: None if part.index[-1] < latest else -1] for part in known)
    ended = [one for stretches in over for one in stretches if one.index[-1] - one.index[0] >= _WARM_UP]
    spread = [(one.index[-1], *np.quantile(one.to_numpy(), (0.25, 0.95))) for one in ended]
    steady = [(end, low) for end, low, high in spread if high <= _HELD_RATIO * low]
    if not steady:
        return None
    return Held(float(np.median([low for _, low in steady])), max(end for end, _ in steady).to_pydatetime())


def course_of(
    series: pd.Series, *, load: pd.Series | None, at_least: float, ceiling: float = np.inf, held: Held | None = None
) -> Course:
    """Judge one container's memory [bytes] over time, against the load of the service (any unit) over the same time.

    at_least: the rise in bytes below which growth does not matter. ceiling: bytes above which growth slows because there is no
    room left, so that its slowing says nothing. A saw-tooth of restarts is one course: its last stretch that is long enough
    counts. Where load only came back with a container, or that is young, the load has not grown: the container starts. So does a
    young one that never went beyond what those before it held (`held`).
    """
    stretches = between_drops(series)
    falls = max(0, len(stretches) - 1)
    grown = [_grown(part, at_least) for part in stretches]
    known = [(place, found) for place, found in enumerate(grown) if found is not None]
    if not known:
        short = any(_spans(part, at_least) and _rises(rising_part(part), at_least) for part in stretches)
        return Course(Kind.TOO_SHORT if short else Kind.STEADY, falls=falls)
    place, (last, rising) = known[-1]
    first = place
    while first > 0 and _rises(stretches[first - 1], at_least):
        first -= 1
    begun = grown[first]
    # A stretch that grew for too short a time to tell a slope began with its container.
    since = _beginning(stretches[first], begun[0]) if begun is not None else stretches[first].index[0].to_pydatetime()
    kind = _kind(rising, load, ceiling)
    if kind is Kind.LEAK and not falls and load is not None and _warms_up_under_load(series, rising, load):
        return Course(Kind.TOO_SHORT)
    comes_back = load is not None and kind is Kind.FOLLOWS_LOAD and not _load_grew(rising, load, begun=stretches[place].index[0])
    return Course(Kind.STARTS if comes_back or _is_as_before(stretches[place], series, held) else kind, last, since, falls)


def judged_together(courses: Sequence[Course]) -> list[Course]:
    """The same courses, of containers that run the same version and share its load, each judged beside the others.

    What load or a warm-up explains where memory grows fast, it explains where it grows no faster: a start that was uneven, or
    noise, must not make a leak of one container where most that grow alike show none.
    """
    growing = [course for course in courses if course.growth is not None]
    leaks = [course for course in growing if course.kind is Kind.LEAK]
    explained = [course for course in growing if course.kind in _EXPLAINED]
    return [_beside(course, explained) if course in leaks and len(explained) > len(leaks) else course for course in courses]


def _beside(course: Course, explained: Sequence[Course]) -> Course:
    """A leak, or what explains the growth of those that grow as fast, where they are more than half of them."""
    assert course.growth is not None
    as_fast = [other for other in explained if other.growth is not None and other.growth.high >= course.growth.per_second]
    if 2 * len(as_fast) <= len(explained):
        return course
    return replace(course, kind=max(as_fast, key=lambda other: other.growth.per_second if other.growth else 0.0).kind)


def _spans(part: pd.Series, at_least: float) -> bool:
    """Whether a part could rise so far at all: asked first, since of a thousand pods few do."""
    return len(part) > 0 and float(part.max()) - float(part.min()) >= at_least


def _rises(rising: pd.Series, at_least: float) -> bool:
    return len(rising) > 0 and float(rising.max()) - float(rising.iloc[0]) >= at_least


def _grown(part: pd.Series, at_least: float) -> tuple[Growth, pd.Series] | None:
    """The growth of a stretch between restarts and the part that grows; None when it does not, or is too short to tell."""
    if not _spans(part, at_least):
        return None
    rising = after_bend(rising_part(part))
    if not _rises(rising, at_least) or len(rising) < _MINIMUM_SAMPLES:
        return None
    found = growth(rising)
    return (found, rising) if found is not None and found.growing and found.rise >= at_least else None


def _beginning(part: pd.Series, found: Growth) -> datetime:
    """When the growth of a stretch began: where its line, drawn back, meets the level before it."""
    start: datetime = part.index[0].to_pydatetime()
    before = part[part.index < found.since]
    if before.empty:
        return start
    level = float(before.median()) if len(before) >= _MINIMUM_SAMPLES else float(before.min())
    at_first = float(part[part.index >= found.since].iloc[0])
    back = timedelta(seconds=max(0.0, at_first - level) / found.per_second)
    return max(start, found.since - back)


def forecast(found: Growth, limit: float) -> Forecast | None:
    """When this growth reaches the limit; None when it is there already, or does not grow."""
    expected = found.time_to(limit)
    if expected is None:
        return None
    left = limit - found.last
    return Forecast(
        expected=expected,
        earliest=timedelta(seconds=left / found.high),
        latest=timedelta(seconds=left / found.low) if found.low > 0 else None,
    )


def _kind(rising: pd.Series, load: pd.Series | None, ceiling: float) -> Kind:
    if load is not None and _follows(rising, load):
        return Kind.FOLLOWS_LOAD
    return Kind.LEVELS_OFF if _levels_off(rising[rising <= ceiling]) else Kind.LEAK


def _levels_off(rising: pd.Series) -> bool:
    """Whether growth slows down all the way, or is over after a rise that was short against what came before and after."""
    if len(rising) < _MINIMUM_SAMPLES:
        return False
    late = _late_ratio(rising)
    smooth = rising.rolling(3, center=True, min_periods=1).median()
    low = min(float(smooth.iloc[: max(3, len(smooth) // 10)].median()), float(smooth.quantile(0.05)))
    up = smooth.index[smooth <= low + 0.25 * (float(smooth.max()) - low)]
    tail = smooth[up[-1] :] if len(up) else smooth
    high = float(tail.quantile(0.95))
    slowed = late is not None and late < _SLOWED_RATIO
    return slowed or float((tail >= low + 0.75 * (high - low)).mean()) > _AT_THE_TOP_RATIO


def _late_ratio(rising: pd.Series) -> float | None:
    """The slope of the last third to that of the first; 1 for a straight line. None where the first did not grow."""
    third = len(rising) // 3
    first, last = growth(rising.iloc[:third], minimum_samples=3), growth(rising.iloc[-third:], minimum_samples=3)
    if first is None or last is None or first.per_second <= 0:
        return None
    return last.per_second / first.per_second


def _follows(rising: pd.Series, load: pd.Series) -> bool:
    """Whether the load rose meanwhile, memory went along with it, and time alone explains less than half of the growth."""
    beside = _risen_load(rising, load)
    if beside is None:
        return False
    memory = rising.to_numpy(dtype="float64")
    seconds = np.asarray((rising.index - rising.index[0]).total_seconds(), dtype="float64")
    # Standardised, so that bytes and requests per second weigh alike.
    table = np.column_stack([_standard(seconds), _standard(beside)])
    explained, *_ = np.linalg.lstsq(table, _standard(memory), rcond=None)
    alike, at_best = (float(np.corrcoef(memory, other)[0, 1]) for other in (beside, table @ explained))
    own, with_load = np.maximum(explained, 0.0)
    return alike >= max(_ALIKE, _FOLLOWS * at_best) and bool(own < _OWN_SHARE * (own + with_load))


def _load_grew(rising: pd.Series, load: pd.Series, *, begun: datetime) -> bool:
    """Whether the load went beyond what was usual before the container began, and for longer than a start takes: a container that
    is killed takes its load with it, and gets it back as it grows."""
    if rising.index[-1] - rising.index[0] < _WARM_UP:
        return False
    known = load.dropna()
    before, beside = known[known.index < begun], known[rising.index[0] : rising.index[-1]]
    if len(before) < _MINIMUM_SAMPLES or beside.empty:
        return True  # it was there all the time that is looked at
    at_last = float(beside.iloc[-max(1, len(beside) // 3) :].median())
    return at_last >= (1 + _LOAD_RISE_RATIO) * float(before.quantile(_USUAL_LOAD))


def _is_as_before(stretch: pd.Series, series: pd.Series, held: Held | None) -> bool:
    """Whether a young container, and those that were killed before it, came to no more than what was held until these began."""
    if held is None or stretch.index[-1] - stretch.index[0] >= _WARM_UP or stretch.index[0] < held.until - _WARM_UP:
        return False
    return float(series[series.index >= held.until - _WARM_UP].max()) <= _BEYOND_RATIO * held.level


def _warms_up_under_load(series: pd.Series, rising: pd.Series, load: pd.Series) -> bool:
    """Whether a young container's load rose while its memory did: of the two a few minutes tell no more than that."""
    if series.index[-1] - series.index[0] >= _WARM_UP:
        return False
    beside = _risen_load(rising, load)
    return beside is not None and float(np.corrcoef(rising.to_numpy(dtype="float64"), beside)[0, 1]) >= _ALIKE


def _risen_load(rising: pd.Series, load: pd.Series) -> np.ndarray | None:
    """The load at the times of the series, where it rose by more than it always sways; None where it did not, or is not known."""
    known = load.dropna()
    if len(known) < _MINIMUM_SAMPLES:
        return None
    beside: np.ndarray = known.reindex(rising.index, method="nearest").to_numpy(dtype="float64")
    third = len(beside) // 3
    before, after = float(np.median(beside[:third])), float(np.median(beside[-third:]))
    return beside if after - before >= _LOAD_RISE_RATIO * max(before, 1e-9) else None


def _standard(values: np.ndarray) -> np.ndarray:
    spread = float(np.std(values))
    return (values - np.mean(values)) / spread if spread else np.zeros_like(values)
