"""When something began, and whether it is still on.

The onset of an episode is found in two steps: change-point detection (ruptures, kernel change point with a linear kernel,
arXiv:1202.3878) tells the level before from the level after, then the onset is the first sample that left the level before. A
static threshold alone would date a slow rise too late, and a rise from a noisy baseline too early.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from runbook_lib.importing import importing

Places = npt.NDArray[np.intp]
_MAXIMUM_POINTS = 2000
_FLAT = 0.05  # of the rise: what varies less before it is one level
_STILL_WELL = 0.25  # of the way from the usual level to the threshold: what stays below is not the trouble yet
_PLATEAU_SAMPLES = 6
_LONGEST_HOLE = timedelta(minutes=30)  # without samples, that one episode outlasts: two nightly bursts are two
_NORMAL_CONSISTENCY = 1.4826  # median absolute deviation to standard deviation, for normally distributed noise


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch in which a value stood beyond its threshold.

    onset: first sample that left the level before. first: the first sample beyond the threshold. last: the last one before it
    cleared. ongoing: it lasts to
    the end of the series. baseline, peak: the median before and the most extreme value, in the series' unit. seen_from_start: the
    series begins inside the episode, so that the onset is only known to be no later.
    """

    onset: datetime
    first: datetime
    last: datetime
    ongoing: bool
    baseline: float
    peak: float
    seen_from_start: bool = False


def spans(flags: pd.Series, *, gap: timedelta) -> list[tuple[datetime, datetime]]:
    """Stretches in which a boolean series is true; holes of at most `gap` are bridged. Oldest first."""
    times = pd.DatetimeIndex(flags.index)
    begins, ends = _stretches(flags.to_numpy(dtype=bool), times, gap)
    return list(zip(times[begins].to_pydatetime(), times[ends].to_pydatetime(), strict=True))


def _stretches(
    flags: npt.NDArray[np.bool_], times: pd.DatetimeIndex, gap: timedelta, *, hole: timedelta = timedelta(0)
) -> tuple[Places, Places]:
    """Where the stretches begin and end, as positions; up to `hole` without any sample does not end one."""
    marked = np.flatnonzero(flags)
    if not len(marked):
        return marked, marked
    distances = np.diff(times[marked].tz_convert(None).to_numpy())
    seen_clear = np.diff(marked) > 1
    apart = np.flatnonzero((distances > np.timedelta64(gap)) & (seen_clear | (distances > np.timedelta64(hole))))
    return marked[[0, *(apart + 1)]], marked[[*apart, -1]]


def latest_episode(
    series: pd.Series, *, threshold: float, gap: timedelta, clear: float | None = None, minimum_samples: int = 2
) -> Episode | None:
    """The last stretch of a series above `threshold`, with its onset; None when there is none.

    An episode ends when the series stays at or below `clear` (the threshold itself by default) for longer than `gap`: a value
    that dips under its limit and comes back has not recovered. A hole of up to half an hour, in
    which Prometheus was down or nobody asked anything, has shown no recovery either. Stretches with fewer than `minimum_samples`
    samples above the threshold are noise, unless the series itself is that short.
    """
    clean = series.dropna()
    if clean.empty:
        return None
    values, times = clean.to_numpy(), pd.DatetimeIndex(clean.index)
    above = values > threshold
    if not above.any():
        return None  # as for most of a thousand pods
    begins, ends = _stretches(above if clear is None else values > clear, times, gap, hole=_LONGEST_HOLE)
    so_far = np.concatenate([[0], np.cumsum(above)])
    counted = np.flatnonzero(so_far[ends + 1] - so_far[begins] >= min(minimum_samples, len(clean)))
    if not len(counted):
        return None
    begin, last = int(begins[counted[-1]]), int(ends[counted[-1]])
    first = begin + int(np.argmax(above[begin:]))
    before = clean.iloc[int(ends[counted[-2]]) + 1 if len(counted) > 1 else 0 : first]
    inside = clean.iloc[first : last + 1]
    baseline = _level_before(before, inside)
    peak = float(inside.max())
    onset = _walk_back(before, baseline=baseline, peak=peak, threshold=threshold)
    crossed, until, end = (times[place].to_pydatetime() for place in (first, last, -1))
    return Episode(
        onset=onset or crossed,
        first=crossed,
        last=until,
        ongoing=end - until <= gap,
        baseline=baseline,
        peak=peak,
        seen_from_start=first == 0,
    )


def step_up(series: pd.Series, *, at_least: float) -> datetime | None:
    """When a series left the last level that lies at least `at_least` (in its unit) below its present one; None when none does.

    A rise that was followed by such a low level is over, however high it was: an incident of an hour ago dates nothing.
    """
    clean = series.dropna()
    if len(clean) < 6:
        return None
    breaks = _change_points(clean)
    edges = [0, *breaks, len(clean)]
    levels = [float(np.median(clean.to_numpy()[a:b])) for a, b in pairwise(edges)]
    low = max((index for index, level in enumerate(levels) if levels[-1] - level >= at_least), default=None)
    if low is None:
        return None
    began: datetime = clean.index[edges[low + 1]].to_pydatetime()
    return began


def _level_before(before: pd.Series, inside: pd.Series) -> float:
    if before.empty:
        return float(inside.iloc[0])
    low, middle, high = (float(level) for level in np.quantile(before.to_numpy(), (0.1, 0.5, 0.9)))
    if len(before) < 6 or high - low <= _FLAT * (float(inside.max()) - middle):
        return middle  # flat but for the rise itself: no change point would say otherwise
    breaks = _change_points(pd.concat([before, inside]))
    usable = [point for point in breaks if 3 <= point <= len(before)]
    return float(before.iloc[: usable[-1]].median()) if usable else float(before.median())


def _walk_back(before: pd.Series, *, baseline: float, peak: float, threshold: float) -> datetime | None:
    """The first sample of the unbroken run before the threshold was crossed that had already left the baseline."""
    if before.empty:
        return None
    values = before.to_numpy()
    noise = _NORMAL_CONSISTENCY * float(np.median(np.abs(values - baseline)))
    left = min(threshold, baseline + max(3 * noise, 0.05 * (peak - baseline)))
    staying = np.flatnonzero(values <= left)
    departed = int(staying[-1]) + 1 if len(staying) else 0
    if departed >= len(before):
        return None
    run = before.iloc[departed:]
    plateau = _plateau(run.to_numpy(), baseline=baseline, threshold=threshold)
    if plateau is None:
        began: datetime = run.index[0].to_pydatetime()
        return began
    return _walk_back(run, baseline=plateau, peak=peak, threshold=threshold)


def _plateau(run: npt.NDArray[np.float64], *, baseline: float, threshold: float) -> float | None:
    """The level at which a run stayed after it had left the baseline, and was still well: what came then is another event.

    None where there is none, as in a rise that goes on.
    """
    room = threshold - baseline
    calm = run[: int(np.flatnonzero(run <= baseline + _STILL_WELL * room).max(initial=-1)) + 1]
    if len(calm) < _PLATEAU_SAMPLES:
        return None
    early, late = (float(np.median(half)) for half in np.array_split(calm, 2))
    return float(np.median(calm)) if early > baseline and abs(late - early) <= _FLAT * room else None


def _change_points(series: pd.Series) -> list[int]:
    """Positions at which the level changes, by penalised kernel change point detection on at most 2,000 points."""
    with importing("ruptures"):
        import ruptures

    stride = max(1, len(series) // _MAXIMUM_POINTS)
    values = series.to_numpy(dtype="float64")[::stride]
    spread = float(np.std(values))
    if spread == 0 or len(values) < 6:
        return []
    scaled = ((values - float(np.mean(values))) / spread).reshape(-1, 1)
    detector = ruptures.KernelCPD(kernel="linear", min_size=3).fit(scaled)
    found = detector.predict(pen=3.0 * float(np.log(len(values))))
    return [point * stride for point in found[:-1]]
