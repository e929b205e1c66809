"""Growth is told from noise, warm-up and restarts."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from runbook_lib.analysis.trend import between_drops, growth, rising_part, surge

MIB = 2.0**20


def series(values: np.ndarray) -> pd.Series:
    return pd.Series(values, index=pd.date_range("2026-03-01", periods=len(values), freq="10s", tz="UTC"))


def noise(length: int) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 0.2 * MIB, length)


def test_a_flat_series_does_not_grow():
    found = growth(series(100 * MIB + noise(100)))
    assert found is not None
    assert not found.growing


def test_a_leak_grows_at_its_rate_and_its_end_is_foretold():
    found = growth(series(100 * MIB + np.arange(100) * MIB + noise(100)))
    assert found is not None
    assert found.growing
    assert abs(found.per_second - MIB / 10) < 0.02 * MIB
    left = found.time_to(found.last + 60 * MIB)
    assert left is not None
    assert abs(left - timedelta(seconds=600)) < timedelta(seconds=60)


def test_too_few_samples_tell_nothing():
    assert growth(series(np.array([1.0, 2.0, 3.0]))) is None


def test_a_restart_cuts_the_series():
    values = np.concatenate([np.linspace(100, 200, 50), np.linspace(90, 150, 50)])
    assert [len(part) for part in between_drops(series(values))] == [50, 50]


def test_the_flat_part_before_a_leak_is_not_part_of_it():
    values = np.concatenate([np.full(300, 100.0), np.linspace(100, 200, 60)])
    assert 55 <= len(rising_part(series(values))) <= 70


def test_a_rise_within_the_last_samples_is_seen_beside_a_long_level():
    level = 60 * MIB + noise(40)
    tail = surge(series(np.concatenate([level, [85 * MIB, 101 * MIB, 119 * MIB]])), at_least=12 * MIB)
    found = growth(tail, minimum_samples=3)
    assert len(tail) < 12
    assert found is not None
    assert found.growing


def test_what_stays_within_its_level_or_has_stepped_up_is_no_surge():
    swaying = series(60 * MIB + 30 * MIB * (np.arange(43) % 4 == 3))
    stepped = surge(series(np.concatenate([60 * MIB + noise(40), np.full(6, 120 * MIB)])), at_least=12 * MIB)
    assert surge(swaying, at_least=12 * MIB).empty
    found = growth(stepped, minimum_samples=3)
    assert found is None or not found.growing
