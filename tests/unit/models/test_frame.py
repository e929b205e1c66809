"""Frames of whatever a server sends."""

from __future__ import annotations

import json

import pandas as pd

from runbook_lib.models.frame import Frame, frame


def test_half_an_emoji_in_a_json_log_costs_that_character_only() -> None:
    rows = [json.loads('{"message": "paid \\ud83d", "tags": ["\\ud83d"], "code": 7}')]
    built = frame(rows, unit="lines")
    assert built["message"].tolist() == ["paid \\ud83d"]
    assert built["code"].tolist() == [7]
    assert built.unit == "lines"


def test_a_frame_of_another_one_knows_where_it_came_from() -> None:
    asked = frame({"pod": ["a", "b"], "value": [1.0, 2.0]}, unit="bytes", source="prometheus", command="curl …")
    asked.attrs["notes"] = ["store-1 is down"]
    some = Frame(asked[asked["value"] > 1])
    assert (some.unit, some.command, some.attrs["notes"]) == ("bytes", "curl …", ["store-1 is down"])
    some.attrs["unit"] = "ratio"
    assert asked.unit == "bytes"
    assert Frame(pd.DataFrame({"value": [1]})).attrs == {}
