"""What was an answer is the same answer after it was kept as JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.errors import ArchiveError
from runbook_lib.models.finding import SourceStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.sources.encoding import decoded, encoded
from runbook_lib.sources.interface import HttpAnswer

times = st.integers(0, 4_000_000_000_000_000).map(lambda number: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=number))
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=10) | times
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3))


def kept(value):
    """Through a file."""
    return decoded(json.loads(json.dumps(encoded(value), allow_nan=False)))


@given(values)
def test_values_come_back(value):
    assert kept(value) == value


@given(
    st.lists(
        st.tuples(
            times | st.none(),
            st.floats(),
            st.none() | st.text(max_size=5),
            st.integers(-5, 5),
            st.booleans(),
            st.none()
            | st.lists(st.integers(0, 9), max_size=2)
            | st.dictionaries(st.text(max_size=2), st.integers(0, 9), max_size=2),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_frames_come_back_with_their_types_and_their_provenance(rows):
    built = frame(
        rows, columns=["time", "value", "pod", "count", "ready", "fields"], unit="ratio", source="s", query="q", command="c"
    )
    built["time"] = pd.to_datetime(built["time"], utc=True).astype("datetime64[us, UTC]")
    built["pod"] = built["pod"].astype("str")
    built["fields"] = built["fields"].astype(object)
    again = kept(built)
    assert isinstance(again, Frame)
    assert again.attrs == built.attrs
    pd.testing.assert_frame_equal(pd.DataFrame(again), pd.DataFrame(built))


def test_an_empty_frame_keeps_its_columns():
    built = frame({"time": pd.DatetimeIndex([], tz="UTC"), "pod": pd.array([], dtype="str"), "value": np.empty(0)})
    again = kept(built)
    assert list(again.columns) == ["time", "pod", "value"]
    assert str(again["time"].dtype).endswith("UTC]")
    assert kept(frame([])).empty


def test_columns_of_the_same_name_stay_apart():
    built = Frame([[1, 2]], columns=["a", "a"])
    assert kept(built).to_numpy().tolist() == [[1, 2]]


def test_a_flag_that_is_missing_is_neither_true_nor_false():
    built = frame({"ready": pd.array([True, None], dtype="boolean"), "count": pd.array([1, None], dtype="Int64")})
    again = kept(built)
    assert again["ready"].tolist() == [True, None]
    assert again["count"].tolist() == [1, None]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_numbers_that_json_lacks_come_back(value):
    again = kept({"value": value})["value"]
    assert again == value or (math.isnan(again) and math.isnan(value))


def test_records_come_back_as_what_they_were():
    status = SourceStatus(name="prometheus", status="timeout", error="no answer")
    answer = HttpAnswer(url="http://x", status=503, seconds=0.25, body={"a": [1, None]}, error="HTTP 503", state="invalid_answer")
    assert kept(status) == status
    assert kept([answer]) == [answer]


def test_other_values_come_back_as_what_json_has():
    assert kept(np.int64(7)) == 7
    assert kept(np.array([1, 2])[0]) == 1
    assert kept(date(2026, 3, 1)) == "2026-03-01"
    assert kept(Decimal("1.5")) == "1.5"
    assert kept((1, 2)) == [1, 2]
    assert kept(pd.NaT) is None
    there = datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    assert kept(there) == there


@pytest.mark.parametrize("told", [{"$frame": {}}, {"$time": "yesterday"}, {"$number": "one"}, {"$SourceStatus": {"colour": 1}}])
def test_what_was_not_written_so_is_refused(told):
    with pytest.raises(ArchiveError, match="cannot be read"):
        decoded(told)


@pytest.mark.parametrize("value", [{"$time": "2026-03-01T00:00:00+00:00"}, {"$frame": 1}, {"$anything": {"$time": "x"}}])
def test_a_systems_own_dollar_keys_are_not_taken_for_ours(value):
    assert kept(value) == value
