"""Steps on time series, against the plain pandas that they stand for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.analysis.series import as_series, long, ratio, split

NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")))
ROWS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["shop-1", "shop-2", None]), NUMBERS), max_size=40)


def tidy(rows: list[tuple[int, str | None, float]]) -> pd.DataFrame:
    start = pd.Timestamp("2026-03-01", tz="UTC")
    return pd.DataFrame(
        {
            "time": pd.DatetimeIndex([start + pd.Timedelta(seconds=second) for second, _, _ in rows], tz="UTC"),
            "pod": pd.array([pod for _, pod, _ in rows], dtype="str"),
            "value": np.array([value for _, _, value in rows], dtype="float64"),
        }
    )


@given(ROWS)
def test_a_split_has_what_grouping_by_label_and_time_gives(rows: list[tuple[int, str | None, float]]) -> None:
    frame = tidy(rows)
    parts = split(frame, "pod")
    assert list(parts) == sorted({str(pod) for pod in frame["pod"]})
    for name, part in parts.items():
        own = frame[frame["pod"].map(str) == name]
        expected = own.groupby("time")["value"].sum(min_count=1).dropna()
        pd.testing.assert_series_equal(part, expected, check_names=False, check_freq=False, check_index_type=False)


@given(ROWS)
def test_the_parts_of_a_split_sum_to_the_whole(rows: list[tuple[int, str | None, float]]) -> None:
    parts = split(tidy(rows), "pod")
    whole = as_series(tidy(rows))
    assert np.isclose(sum(part.sum() for part in parts.values()), whole.sum(), rtol=1e-9, atol=1e-3)
    assert len(long(parts, unit="ratio")) == sum(len(part) for part in parts.values())


@pytest.mark.parametrize(
    ("unit", "expected"), [("ratio", 0.03), ("seconds", 0.03), ("state", 0.03), ("requests/s", 0.05), ("", 0.05)]
)
def test_of_several_ratios_the_highest_counts_and_amounts_are_summed(unit: str, expected: float) -> None:
    frame = tidy([(0, "shop-1", 0.03), (0, "shop-1", 0.02)])
    frame.attrs["unit"] = unit
    assert as_series(frame).tolist() == pytest.approx([expected])
    assert split(frame, "pod")["shop-1"].tolist() == pytest.approx([expected])


def test_a_ratio_takes_the_nearest_earlier_divisor_and_leaves_out_what_cannot_be_divided() -> None:
    times = pd.date_range("2026-03-01", periods=4, freq="15s", tz="UTC")
    above = pd.Series([1.0, 2.0, float("nan"), 4.0], index=times)
    below = pd.Series([2.0, 0.0], index=[times[0], times[3]])
    assert ratio(above, below).to_dict() == {times[0]: 0.5, times[1]: 1.0}
    assert ratio(above, pd.Series([2.0, 0.0, 1.0, -1.0], index=times)).to_dict() == {times[0]: 0.5}
    assert ratio(above, below[:0]).empty
