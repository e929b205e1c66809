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
import pandas as pd

from runbook_lib.importing import importing

_MAXIMUM_POINTS = 2000
_FLAT = 0.05  # of the rise: what varies less before it is one level
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
    marked = flags.index[flags.to_numpy(dtype=bool)]
    if len(marked) == 0:
        return []
    found: list[tuple[datetime, datetime]] = []
    begin = previous = marked[0].to_pydatetime()
    for stamp in marked[1:]:
        at = stamp.to_pydatetime()
        if at - previous > gap:
            found.append((begin, previous))
            begin = at
        previous = at
    found.append((begin, previous))
    return found


def latest_episode(
    series: pd.Series, *, threshold: float, gap: timedelta, clear: float | None = None, minimum_samples: int = 2
) -> Episode | None:
    """The last stretch of a series above `threshold`, with its onset; None when there is none.

    An episode ends when the series stays at or below `clear` (the threshold itself by default) for longer than `gap`: a value
    that dips under its limit and comes back has not recovered. Stretches with fewer than `minimum_samples` samples above the
    threshold are noise, unless the series itself is that short.
    """
    clean = series.dropna()
    if clean.empty:
        return None
    above = clean > threshold
    uncleared = above if clear is None else clean > clear
    needed = min(minimum_samples, len(clean))
    stretches = [span for span in spans(uncleared, gap=gap) if int(above[span[0] : span[1]].sum()) >= needed]
    if not stretches:
        return None
    begin, last = stretches[-1]
    first = pd.Timestamp(above[begin:last].index[above[begin:last]][0]).to_pydatetime()
    after_previous = stretches[-2][1] if len(stretches) > 1 else None
    before = (
        clean[clean.index < first] if after_previous is None else clean[(clean.index > after_previous) & (clean.index < first)]
    )
    inside = clean[first:last]
    end = clean.index[-1].to_pydatetime()
    baseline = _level_before(before, inside)
    peak = float(inside.max())
    onset = _walk_back(before, baseline=baseline, peak=peak, threshold=threshold)
    return Episode(
        onset=onset or first,
        first=first,
        last=last,
        ongoing=end - last <= gap,
        baseline=baseline,
        peak=peak,
        seen_from_start=before.empty,
    )


def step_up(series: pd.Series, *, at_least: float) -> datetime | None:
    """When the level of a series last rose by at least `at_least` (in its unit) and stayed up; None when it did not."""
    clean = series.dropna()
    if len(clean) < 6:
        return None
    breaks = _change_points(clean)
    edges = [0, *breaks, len(clean)]
    levels = [float(np.median(clean.to_numpy()[a:b])) for a, b in pairwise(edges)]
    for index in range(len(levels) - 1, 0, -1):
        if levels[index] - levels[index - 1] >= at_least and levels[-1] - levels[index - 1] >= at_least:
            began: datetime = clean.index[edges[index]].to_pydatetime()
            return began
    return None


def _level_before(before: pd.Series, inside: pd.Series) -> float:
    if before.empty:
        return float(inside.iloc[0])
    low, middle, high = (float(before.quantile(share)) for share in (0.1, 0.5, 0.9))
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
    departed: datetime | None = None
    for position in range(len(values) - 1, -1, -1):
        if values[position] <= left:
            break
        departed = before.index[position].to_pydatetime()
    return departed


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
