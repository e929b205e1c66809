from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.durations import format_duration, parse_duration
from runbook_lib.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("1w", 604_800),
        (" 5m ", 300),
    ],
)
def test_durations_are_read_as_prometheus_writes_them(text, seconds):
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "0s", "5y", "5m x", "1h 30m", "∞", "5m\n6"])
def test_what_is_no_duration_is_refused_with_what_was_found(text):
    with pytest.raises(UsageError) as raised:
        parse_duration(text)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize("text", ["9" * 400 + "d", "1" * 20 + "w"])
def test_a_duration_beyond_all_calendars_is_refused_too(text):
    with pytest.raises(UsageError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (98, "98s"),
        (0.25, "250ms"),
        (5400, "1h 30m"),
        (3600, "1h"),
        (90_061, "1d 1h"),
        (119.6, "120s"),
        (0, "0ms"),
        (-5400, "-1h 30m"),
    ],
)
def test_durations_are_written_in_at_most_two_units(seconds, text):
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.integers(1, 10_000_000))
def test_what_is_written_says_what_is_meant_to_its_smallest_unit(seconds):
    written = format_duration(timedelta(seconds=seconds))
    again = parse_duration(written.replace(" ", "")).total_seconds()
    smallest = {"s": 1, "m": 60, "h": 3600, "d": 86_400}[written[-1]]
    assert seconds - smallest < again <= seconds
