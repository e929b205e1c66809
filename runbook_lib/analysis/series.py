"""Small steps on time series that the checks share.

A series here is a pandas Series of floats whose index is an aware, sorted DatetimeIndex; a frame is tidy, with the columns
`time` and `value` and labels as further columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from runbook_lib.models.frame import Frame, frame

_NONE = pd.Series(dtype="float64", index=pd.DatetimeIndex([], tz="UTC"))


def as_series(tidy: pd.DataFrame) -> pd.Series:
    """The single series in a tidy frame: index time, values float. Several rows at one instant are summed."""
    if tidy.empty:
        return _NONE
    summed = tidy.groupby("time", sort=True)["value"].sum(min_count=1)
    return summed.astype("float64").dropna()


def split(tidy: pd.DataFrame, by: str) -> dict[str, pd.Series]:
    """One series for each value of the column `by`, in the order of their names. A missing column is one series named ''."""
    if tidy.empty:
        return {}
    if by not in tidy.columns:
        return {"": as_series(tidy)}
    # One pass over all rows and then slices: grouping each of a thousand pods by itself takes seconds.
    summed = tidy.groupby([by, "time"], sort=True, dropna=False)["value"].sum(min_count=1).astype("float64").dropna()
    names, times = summed.index.get_level_values(0), pd.DatetimeIndex(summed.index.get_level_values(1), name="time")
    codes, labels = pd.factorize(names, use_na_sentinel=False)
    edges = [*np.flatnonzero(np.diff(codes, prepend=-1)), len(codes)]
    values = summed.to_numpy()
    parts = {
        str(label): pd.Series(values[begin:end], index=times[begin:end], name="value")
        for label, (begin, end) in zip(labels, pairwise(edges), strict=True)
    }
    return {str(name): parts.get(str(name), _NONE) for name in sorted({str(one) for one in tidy[by].unique()})}


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
    aligned = denominator.reindex(numerator.index, method="ffill")
    return (numerator / aligned.where(aligned > 0)).dropna()


def largest(parts: dict[str, pd.Series], count: int) -> dict[str, pd.Series]:
    """The `count` series with the highest maximum, so that a figure of a thousand pods stays legible."""
    ranked = sorted((name for name in parts if len(parts[name])), key=lambda name: -float(parts[name].max()))
    return {name: parts[name] for name in ranked[:count]}


def total(parts: Sequence[pd.Series]) -> pd.Series:
    """Their sum at each instant at which any has a value."""
    if not parts:
        return _NONE
    return pd.concat(list(parts), axis=1).sum(axis=1, min_count=1).dropna()
