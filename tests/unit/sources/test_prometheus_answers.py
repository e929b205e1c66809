"""Answers become tidy frames, the same ones whichever way they are decoded and in whatever pieces they come."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.errors import SourceAnswerInvalid
from runbook_lib.sources import prometheus_answers
from runbook_lib.sources.prometheus_answers import AnswerReader, decode, to_frame

MARKS = '{"metric":{},"values":[[1,"2"]]}'
names = st.sampled_from(["pod", "route", "time", "value", "le"])
labels = st.dictionaries(names, st.text(max_size=8) | st.sampled_from([MARKS, "]]", 'a"b', "\\", "é"]), max_size=4)
numbers = st.floats(width=64) | st.sampled_from([math.inf, -math.inf, math.nan])
samples = st.lists(st.tuples(st.integers(0, 4_000_000_000_000).map(lambda ms: ms / 1000), numbers), min_size=1, max_size=5)
answers = st.lists(st.tuples(labels, samples), max_size=4)
warnings = st.lists(st.text(max_size=10), max_size=2)


def written(value: float) -> str:
    """As Go writes it."""
    return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(str(value), repr(value))


def content(series, told=(), *, spaces=False):
    result = [{"metric": metric, "values": [[at, written(value)] for at, value in values]} for metric, values in series]
    answer = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    answer |= {"warnings": list(told)} if told else {}
    # Go escapes what JSON need not, and Python writes no spaces only on demand: with them, the text is not Prometheus' own
    return json.dumps(answer, separators=None if spaces else (",", ":")).encode()


def shown(body):
    return to_frame(decode(body), query="q", command="c")


@given(answers, warnings)
def test_both_ways_of_decoding_come_to_the_same_frame(series, told):
    quick, slow = shown(content(series, told)), shown(content(series, told, spaces=True))
    pd.testing.assert_frame_equal(pd.DataFrame(quick), pd.DataFrame(slow))
    assert quick.attrs == slow.attrs
    assert quick.attrs["notes"] == list(told)


@given(answers, st.lists(st.integers(0, 400), max_size=6))
def test_an_answer_in_pieces_is_the_answer(series, cuts):
    body = content(series)
    with patch.object(prometheus_answers, "_PIECE_BYTES", 1):
        reader = AnswerReader()
        for cut in sorted(cuts):
            reader.more(body[:cut])
        pieces = to_frame(reader.answer(body), query="q", command="c")
    pd.testing.assert_frame_equal(pd.DataFrame(pieces), pd.DataFrame(shown(body)))


@given(answers)
def test_every_sample_is_a_row_with_its_time_and_value(series):
    frame = shown(content(series))
    flat = [(at, value) for _, values in series for at, value in values]
    assert len(frame) == len(flat)
    assert str(frame["time"].dtype) == "datetime64[ms, UTC]"
    assert frame["value"].dtype == np.float64
    np.testing.assert_array_equal(frame["value"], [value for _, value in flat])
    np.testing.assert_array_equal(frame["time"].astype("int64"), [round(at * 1000) for at, _ in flat])


@given(answers, st.data())
def test_an_answer_that_is_cut_off_is_no_answer(series, data):
    body = content(series)
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    with pytest.raises(SourceAnswerInvalid):
        decode(cut)


@given(answers, st.data())
def test_whatever_is_broken_is_an_error_of_ours_or_a_frame(series, data):
    body = bytearray(content(series))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] = data.draw(st.integers(0, 255))
    with suppress(SourceAnswerInvalid):
        decode(bytes(body))


def test_an_instant_answer_has_one_row_a_series():
    result = [{"metric": {"pod": pod}, "value": [1772323200.123, value]} for pod, value in (("a", "1"), ("b", "NaN"))]
    frame = shown(json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode())
    assert list(frame.columns) == ["time", "pod", "value"]
    assert frame["time"].iloc[0] == pd.Timestamp("2026-03-01T00:00:00.123Z")
    assert math.isnan(frame["value"].iloc[1])


def test_a_scalar_is_a_value_without_labels():
    frame = shown(b'{"status":"success","data":{"resultType":"scalar","result":[1772323200,"7"]}}')
    assert frame[["value"]].to_dict("list") == {"value": [7.0]}
    assert list(frame.columns) == ["time", "value"]


def test_an_empty_answer_keeps_its_columns():
    frame = shown(content([]))
    assert list(frame.columns) == ["time", "value"]
    assert frame.empty
    assert str(frame["time"].dtype) == "datetime64[ms, UTC]"
    assert frame["value"].dtype == np.float64


def test_labels_that_are_called_like_our_columns_get_another_name():
    frame = shown(content([({"time": "t", "value": "v", "pod": "p"}, [(0, 1)])]))
    assert list(frame.columns) == ["time", "pod", "label_time", "label_value", "value"]


def test_a_label_that_a_series_lacks_is_missing_and_not_empty():
    frame = shown(content([({"pod": "a", "code": ""}, [(0, 1)]), ({"pod": "b"}, [(0, 1)])]))
    assert frame["code"].tolist()[0] == ""
    assert frame["code"].isna().tolist() == [False, True]


def test_native_histograms_are_left_out_since_they_are_no_numbers():
    histogram = {"metric": {"a": "1"}, "histograms": [[1, {"count": "1", "sum": "1", "buckets": [[0, "1", "2", "1"]]}]]}
    plain = {"metric": {"a": "2"}, "values": [[1, "5"]]}
    for result in ([histogram, plain], [plain, histogram]):
        body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}, separators=(",", ":"))
        assert shown(body.encode())[["a", "value"]].to_dict("records") == [{"a": "2", "value": 5.0}]


def test_notices_are_kept_beside_warnings():
    body = b'{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["partial"],"infos":["not a counter"]}'
    assert shown(body).attrs["notes"] == ["partial", "not a counter"]
