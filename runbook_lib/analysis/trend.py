"""Growth over time, robust to noise and to restarts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd

from runbook_lib.importing import importing

_MAXIMUM_POINTS = 300  # Theil-Sen looks at every pair
_SHORTEST_SIDE = 12  # samples
_MAXIMUM_BENDS = 60
_HALF = 0.5
_OF_LIMIT, _OF_START = 0.1, 0.25


@dataclass(frozen=True, slots=True)
class Growth:
    """The trend since the last restart.

    per_second: Theil-Sen slope (Sen 1968) in the series' unit per second; low and high are its 95 % confidence bounds. since: the
    first sample of the stretch looked at. last: the last value. rise: fitted growth over the stretch, in the series' unit.
    """

    per_second: float
    low: float
    high: float
    since: datetime
    last: float
    rise: float

    @property
    def growing(self) -> bool:
        """The whole confidence interval lies above zero."""
        return self.low > 0

    def time_to(self, limit: float) -> timedelta | None:
        """How long until the limit is reached at this rate; None when it is not growing or the limit is passed."""
        if not self.growing or self.last >= limit:
            return None
        return timedelta(seconds=(limit - self.last) / self.per_second)


def least_rise(start: float, limit: float | None) -> float:
    """The rise of memory that is worth a word, in the unit of both: a tenth of the limit; without one a quarter of the start."""
    return _OF_LIMIT * limit if limit else _OF_START * start


def between_drops(series: pd.Series, *, drop_ratio: float = 0.3) -> list[pd.Series]:
    """The series cut where it falls by more than `drop_ratio` of the value before: a restart. Oldest first."""
    clean = series.dropna()
    if len(clean) < 2:
        return [clean] if len(clean) else []
    values = clean.to_numpy()
    cuts = [0, *(np.flatnonzero(values[1:] < (1 - drop_ratio) * values[:-1]) + 1), len(clean)]
    return [clean.iloc[begin:end] for begin, end in pairwise(cuts)]


def rising_part(series: pd.Series) -> pd.Series:
    """The part from where a series last stood near its lowest value: what lies before is not part of the growth."""
    clean = series.dropna()
    if len(clean) < 3:
        return clean
    smooth = clean.rolling(3, center=True, min_periods=1).median()
    low, high = float(smooth.min()), float(smooth.iloc[-1])
    near = np.flatnonzero(smooth.to_numpy() <= low + 0.1 * (high - low))
    return clean.iloc[near[-1] :] if len(near) else clean


def surge(series: pd.Series, *, at_least: float) -> pd.Series:
    """The end of a series since it last stood at its median, where it went `at_least` beyond anything before; else nothing of it.

    What rose within its last few samples is too short to bend the trend of the whole.
    """
    clean = series.dropna()
    if len(clean) < 3:
        return clean.iloc[:0]
    values = clean.to_numpy()
    last = int(np.flatnonzero(values <= np.median(values))[-1])
    beyond = float(values[last:].max()) - float(values[: last + 1].max())
    return clean.iloc[last:] if beyond >= at_least else clean.iloc[:0]


def after_bend(series: pd.Series) -> pd.Series:
    """The part after the bend of a series that lay level, or rose slowly, before it rose fast; all of it where there is none.

    Two straight lines are fitted with the bend at each of up to 60 places; the best counts when it halves the squared error of a
    single line and the rise after it is at least twice as steep.
    """
    count = len(series)
    if count < 2 * _SHORTEST_SIDE:
        return series
    seconds = np.asarray((series.index - series.index[0]).total_seconds(), dtype="float64")
    values = series.to_numpy(dtype="float64")
    whole, _ = _line(seconds, values)
    places = np.unique(np.linspace(_SHORTEST_SIDE, count - _SHORTEST_SIDE, _MAXIMUM_BENDS).astype(int))
    fits = [(_line(seconds[:place], values[:place]), _line(seconds[place:], values[place:]), int(place)) for place in places]
    (error_before, slope_before), (error_after, slope_after), best = min(fits, key=lambda fit: fit[0][0] + fit[1][0])
    bends = error_before + error_after < _HALF * whole and slope_after > 0 and slope_after >= 2 * slope_before
    return series.iloc[best:] if bends else series


def _line(seconds: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Squared error and slope of the least-squares line."""
    across, up = seconds - seconds.mean(), values - values.mean()
    spread = float(across @ across)
    slope = float(across @ up) / spread if spread else 0.0
    rest = up - slope * across
    return float(rest @ rest), slope


def growth(series: pd.Series, *, minimum_samples: int = 6) -> Growth | None:
    """The robust trend of a series; None when it has too few samples to tell."""
    clean = series.dropna()
    if len(clean) < minimum_samples:
        return None
    with importing("scipy"):
        from scipy.stats import theilslopes

    stride = max(1, len(clean) // _MAXIMUM_POINTS)
    thin = clean.iloc[::stride]
    first = thin.index[0].to_pydatetime()
    seconds = np.asarray((thin.index - thin.index[0]).total_seconds(), dtype="float64")
    if seconds[-1] <= 0:
        return None
    slope, _, low, high = theilslopes(thin.to_numpy(dtype="float64"), seconds, alpha=0.95)
    return Growth(
        per_second=float(slope),
        low=float(low),
        high=float(high),
        since=first,
        last=float(clean.iloc[-1]),
        rise=float(slope) * float(seconds[-1]),
    )
