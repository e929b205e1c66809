"""Small steps on time series that the checks share.

A series here is a pandas Series of floats whose index is an aware, sorted DatetimeIndex; a frame is tidy, with the columns
`time` and `value` and labels as further columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from runbook_lib.models.frame import Frame, frame

_NOT_ADDED_UP = ("ratio", "seconds", "state")  # units in which two series, of two replicas of Prometheus, say, are no sum
_NONE = pd.Series(dtype="float64", index=pd.DatetimeIndex([], tz="UTC"))


def as_series(tidy: pd.DataFrame) -> pd.Series:
    """The single series in a tidy frame: index time, values float.

    Several rows at one instant are summed; of ratios, seconds and states the highest counts.
    """
    if tidy.empty:
        return _NONE
    at_once = tidy.groupby("time", sort=True)["value"]
    joined = at_once.max() if _highest_counts(tidy) else at_once.sum(min_count=1)
    return joined.astype("float64").dropna()


def split(tidy: pd.DataFrame, by: str) -> dict[str, pd.Series]:
    """One series for each value of the column `by`, in the order of their names, each as `as_series` makes it.

    A missing column is one series named ''.
    """
    if tidy.empty:
        return {}
    if by not in tidy.columns:
        return {"": as_series(tidy)}
    codes, labels = pd.factorize(tidy[by], use_na_sentinel=False)
    parts = _joined(tidy, codes, count=len(labels))
    return {str(labels[place]): parts[place] for place in sorted(range(len(labels)), key=lambda place: str(labels[place]))}


def _highest_counts(tidy: pd.DataFrame) -> bool:
    return tidy.attrs.get("unit") in _NOT_ADDED_UP


def _joined(tidy: pd.DataFrame, codes: npt.NDArray[np.intp], *, count: int) -> list[pd.Series]:
    """One series for each code, one value where several rows are of one instant; a row without a number counts as none.

    One sort of all rows and then slices: grouping each of a thousand pods by itself takes seconds, and grouping a handful of
    series by two keys takes pandas four times as long as this.
    """
    values = tidy["value"].to_numpy(dtype="float64")
    times = pd.DatetimeIndex(tidy["time"], name="time")
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.lexsort((times.asi8[known], codes[known]))]
    codes, instants = codes[order], times.asi8[order]
    if not len(order):
        return [_NONE] * count
    first = np.flatnonzero((np.diff(codes, prepend=-1) != 0) | (np.diff(instants, prepend=instants[0]) != 0))
    join = np.maximum if _highest_counts(tidy) else np.add
    amounts, at = join.reduceat(values[order], first), times[order[first]]
    edges = np.searchsorted(codes[first], np.arange(count + 1))
    return [
        pd.Series(amounts[begin:end], index=at[begin:end], name="value") if end > begin else _NONE
        for begin, end in pairwise(edges)
    ]


def long(parts: dict[str, pd.Series], *, unit: str) -> Frame:
    """The reverse of `split` for a figure: columns time, series, value."""
    rows = [
        pd.DataFrame({"time": part.index, "series": name, "value": part.to_numpy()}) for name, part in parts.items() if len(part)
    ]
    if not rows:
        return frame({"time": pd.DatetimeIndex([], tz="UTC"), "series": [], "value": []}, unit=unit)
    return frame(pd.concat(rows, ignore_index=True), unit=unit)


def ratio(numerator: pd.Series, denominator: pd.Series) -> pd.Series:
    """Divide two series where both have a value and the denominator is above zero; the nearest earlier divisor counts."""
    if numerator.empty or denominator.empty:
        return _NONE
    if not denominator.index.equals(numerator.index):
        denominator = denominator.reindex(numerator.index, method="ffill")
    above, below = numerator.to_numpy(dtype="float64"), denominator.to_numpy(dtype="float64")
    shares = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    known = ~np.isnan(shares)
    return pd.Series(shares[known], index=numerator.index[known], name=numerator.name)


def largest(parts: dict[str, pd.Series], count: int) -> dict[str, pd.Series]:
    """The `count` series with the highest maximum, so that a figure of a thousand pods stays legible."""
    ranked = sorted((name for name in parts if len(parts[name])), key=lambda name: -float(parts[name].max()))
    return {name: parts[name] for name in ranked[:count]}


def total(parts: Sequence[pd.Series]) -> pd.Series:
    """Their sum at each instant at which any has a value."""
    if not parts:
        return _NONE
    return pd.concat(list(parts), axis=1).sum(axis=1, min_count=1).dropna()
