"""How values read."""

from __future__ import annotations

import math

import pytest

from runbook_lib.models.units import written


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.312, "ratio", "31.2%"),
        (0.0, "ratio", "0.0%"),
        (0.0004, "ratio", "0.04%"),
        (-0.5, "ratio", "-50.0%"),
        (0.25, "seconds", "250 ms"),
        (1.5, "seconds", "1.5 s"),
        (300, "seconds", "5 min"),
        (3 * 3600, "seconds", "3 h"),
        (0, "bytes", "0 B"),
        (1023, "bytes", "1023 B"),
        (134217728, "bytes", "128 MiB"),
        (1.5 * 2**30, "bytes", "1.5 GiB"),
        (2.0**60, "bytes", "1048576 TiB"),
        (3 * 2**20, "bytes/min", "3 MiB/min"),
        (20, "connections", "20 connections"),
        (12345.6, "requests/s", "12,346 requests/s"),
        (0.123456, "", "0.123"),
        (None, "ratio", "not known"),
        (math.nan, "bytes", "not known"),
        (math.inf, "connections", "unlimited"),
        (-math.inf, "", "-unlimited"),
    ],
)
def test_a_value_reads_as_a_person_writes_it(value: float | None, unit: str, text: str) -> None:
    assert written(value, unit) == text
