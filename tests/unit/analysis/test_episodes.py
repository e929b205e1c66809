"""Onsets are dated on the symptom's own series."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook_lib.analysis.episodes import latest_episode, spans, step_up

GAP = timedelta(seconds=60)


def series(values: np.ndarray, seconds: int = 10) -> pd.Series:
    return pd.Series(values, index=pd.date_range("2026-03-01", periods=len(values), freq=f"{seconds}s", tz="UTC"))


def noisy(length: int, level: float, noise: float, seed: int = 7) -> np.ndarray:
    return np.abs(np.random.default_rng(seed).normal(level, noise, length))


def test_a_series_below_its_threshold_has_no_episode():
    assert latest_episode(series(noisy(200, 0.01, 0.005)), threshold=0.05, gap=GAP) is None


def test_an_empty_series_has_no_episode():
    assert latest_episode(series(np.array([])), threshold=0.05, gap=GAP) is None


def test_a_sudden_rise_is_dated_at_its_first_high_sample():
    values = noisy(300, 0.001, 0.0005)
    values[200:] += 0.3
    episode = latest_episode(series(values), threshold=0.05, gap=GAP)
    assert episode is not None
    assert abs(episode.onset - series(values).index[200]) <= timedelta(seconds=10)
    assert episode.ongoing


def test_a_slow_rise_is_dated_before_it_crosses_the_threshold():
    values = np.zeros(300)
    values[200:] = np.linspace(0, 0.5, 100)
    episode = latest_episode(series(values), threshold=0.25, gap=GAP)
    assert episode is not None
    assert episode.first - episode.onset > timedelta(minutes=5)


def test_only_the_latest_of_two_episodes_counts_and_its_own_baseline():
    values = noisy(400, 0.001, 0.0005)
    values[50:100] += 0.4
    values[300:] += 0.2
    episode = latest_episode(series(values), threshold=0.05, gap=GAP)
    assert episode is not None
    assert episode.onset >= series(values).index[295]
    assert episode.baseline < 0.01


def test_an_episode_that_is_over_is_not_ongoing():
    values = noisy(300, 0.001, 0.0005)
    values[100:150] += 0.3
    episode = latest_episode(series(values), threshold=0.05, gap=GAP)
    assert episode is not None
    assert not episode.ongoing


def test_a_series_that_begins_high_says_that_its_onset_is_not_known():
    episode = latest_episode(series(np.full(50, 0.3)), threshold=0.05, gap=GAP)
    assert episode is not None
    assert episode.seen_from_start


def with_a_hole(whole: pd.Series, begin: int, end: int) -> pd.Series:
    return pd.concat([whole.iloc[:begin], whole.iloc[end:]])


def test_a_hole_in_the_data_is_no_recovery():
    values = np.zeros(360)
    values[100:] = 0.3
    whole = series(values)
    episode = latest_episode(with_a_hole(whole, 200, 260), threshold=0.05, gap=GAP)
    assert episode is not None
    assert episode.onset == whole.index[100]
    assert not episode.seen_from_start


def test_bursts_with_hours_of_silence_between_are_episodes_of_their_own():
    whole = series(np.full(1000, 0.3))
    episode = latest_episode(with_a_hole(whole, 100, 900), threshold=0.05, gap=GAP)
    assert episode is not None
    assert episode.onset == whole.index[900]
    assert not episode.seen_from_start


def test_a_clear_sample_amid_a_hole_is_a_recovery():
    values = np.zeros(360)
    values[100:] = 0.3
    values[230] = 0.0
    whole = series(values)
    holed = pd.concat([whole.iloc[:200], whole.iloc[230:231], whole.iloc[260:]])
    episode = latest_episode(holed, threshold=0.05, gap=GAP)
    assert episode is not None
    assert episode.onset == whole.index[260]


def test_one_high_sample_is_noise():
    values = noisy(200, 0.001, 0.0005)
    values[120] = 0.9
    assert latest_episode(series(values), threshold=0.05, gap=GAP) is None


def test_short_dips_do_not_end_a_span():
    flags = series(np.array([0, 1, 1, 0, 0, 1, 1, 0])).astype(bool)
    assert len(spans(flags, gap=timedelta(seconds=30))) == 1
    assert len(spans(flags, gap=timedelta(seconds=10))) == 2


def test_a_step_is_found_where_the_level_rose_and_stayed():
    values = np.concatenate([noisy(60, 10, 0.5), noisy(60, 20, 0.5)])
    found = step_up(series(values), at_least=5)
    assert found is not None
    assert abs(found - series(values).index[60]) <= timedelta(seconds=30)
    assert step_up(series(noisy(120, 10, 0.5)), at_least=5) is None


def test_a_rise_that_is_over_does_not_date_the_one_of_now() -> None:
    values = [0.0] * 40 + [4.0] * 15 + [0.4] * 40 + [1.2] * 10 + [2.0] * 20
    found = step_up(series(values), at_least=1.0)
    assert found is not None
    assert found >= series(values).index[94].to_pydatetime()


@settings(max_examples=40, deadline=None)
@given(
    begin=st.integers(min_value=20, max_value=150),
    height=st.floats(min_value=0.1, max_value=1.0),
    seed=st.integers(min_value=0, max_value=1000),
)
def test_the_onset_lies_near_the_rise_wherever_it_is(begin: int, height: float, seed: int):
    values = noisy(200, 0.002, 0.001, seed)
    values[begin:] += height
    episode = latest_episode(series(values), threshold=0.05, gap=GAP)
    assert episode is not None
    assert abs((episode.onset - series(values).index[begin]).total_seconds()) <= 30


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_a_very_short_series_is_judged_all_the_same(length: int):
    assert latest_episode(series(np.full(length, 0.5)), threshold=0.05, gap=GAP) is not None


def test_what_was_a_little_more_than_usual_for_another_reason_before_is_not_where_it_began():
    """As seen: more traffic made 0.3 s of 0.2 s, and a minute later a lock made 1.4 s of them."""
    values = np.concatenate([noisy(100, 0.2, 0.01), noisy(14, 0.31, 0.01), [0.38, 0.42, 0.73, 1.15], noisy(20, 1.4, 0.02)])
    episode = latest_episode(series(values), threshold=1.0, gap=GAP)
    assert episode is not None
    assert abs(episode.onset - series(values).index[114]) <= timedelta(seconds=10)


@pytest.mark.parametrize("samples", [20, 40, 120])
def test_a_rise_that_goes_on_is_dated_at_its_begin_however_slow(samples):
    values = np.concatenate([noisy(100, 0.2, 0.005), 0.2 + np.linspace(0, 1.2, samples), noisy(20, 1.4, 0.02)])
    episode = latest_episode(series(values), threshold=1.0, gap=GAP)
    assert episode is not None
    assert abs(episode.onset - series(values).index[100]) <= timedelta(seconds=10 * (1 + samples // 10))
