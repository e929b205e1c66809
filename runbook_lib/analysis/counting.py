"""From rates back to counts: how many there were of what a share was taken of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

__all__ = ["Counted", "counted"]


@dataclass(frozen=True, slots=True)
class Counted:
    """So many of so many."""

    part: float
    whole: float


def counted(share: pd.Series, rate: pd.Series, *, since: datetime, until: datetime, window_seconds: float) -> Counted | None:
    """How many there were in a stretch, of a share [ratio] of a rate [1/s] that is taken over `window_seconds`.

    The most within one such window, or all within the stretch, whichever is more: in the first minutes of a stretch the rates do
    not yet add up to what they tell, and later one window holds less than the whole. None when the two have no times in common.
    """
    together = pd.concat([share, rate], axis=1, join="inner", keys=["share", "rate"]).loc[since:until].dropna()
    if together.empty or len(together) < len(share.loc[since:until]) / 2:
        return None
    whole = together["rate"].to_numpy(dtype="float64")
    part = together["share"].to_numpy(dtype="float64") * whole
    seconds = together.index.to_series().diff().dt.total_seconds().fillna(0.0).to_numpy()
    highest = int(np.argmax(part))
    in_window = Counted(float(part[highest]) * window_seconds, float(whole[highest]) * window_seconds)
    in_stretch = Counted(float(part @ seconds), float(whole @ seconds))
    return max(in_window, in_stretch, key=lambda one: one.part)
