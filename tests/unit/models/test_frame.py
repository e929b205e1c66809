"""Frames of whatever a server sends."""

from __future__ import annotations

import json

from runbook_lib.models.frame import frame


def test_half_an_emoji_in_a_json_log_costs_that_character_only() -> None:
    rows = [json.loads('{"message": "paid \\ud83d", "tags": ["\\ud83d"], "code": 7}')]
    built = frame(rows, unit="lines")
    assert built["message"].tolist() == ["paid \\ud83d"]
    assert built["code"].tolist() == [7]
    assert built.unit == "lines"
