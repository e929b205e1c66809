"""A leak is told from noise, warm-up and load, over many seeds; and the forecast holds what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from runbook_lib.analysis.leak import Course, Kind, course_of, forecast, held_before, judged_together
from runbook_lib.analysis.trend import growth

MIB = 2**20
SEEDS = 100
T = np.arange(240)
INDEX = pd.date_range("2026-03-01", periods=len(T), freq="15s", tz="UTC")
Made = tuple[np.ndarray, np.ndarray | None]
Make = Callable[[np.random.Generator], Made]


def kinds(make: Make) -> Counter[Kind]:
    found: Counter[Kind] = Counter()
    for seed in range(SEEDS):
        memory, load = make(np.random.default_rng(seed))
        beside = None if load is None else pd.Series(load, index=INDEX)
        found[course_of(pd.Series(memory, index=INDEX), load=beside, at_least=12 * MIB).kind] += 1
    return found


def noise(chance: np.random.Generator) -> np.ndarray:
    return 80 * MIB + chance.normal(0, MIB, len(T))


def load(chance: np.random.Generator) -> np.ndarray:
    return 36 + chance.normal(0, 2, len(T))


def by_load(chance: np.random.Generator, requests: np.ndarray) -> Made:
    requests = requests + chance.normal(0, 2, len(T))
    return noise(chance) + 1.2 * MIB * requests, requests


def after_a_start(chance: np.random.Generator) -> np.ndarray:
    """A process that grows to its usual size, stays there, and leaks from the 180th sample on."""
    return noise(chance) - 40 * MIB * np.exp(-T / 4) + 0.9 * MIB * np.maximum(0, T - 180)


LEAKS: dict[str, Make] = {
    "from the start": lambda chance: (noise(chance) + 0.3 * MIB * T, load(chance)),
    "from some moment on": lambda chance: (noise(chance) + 0.6 * MIB * np.maximum(0, T - 160), load(chance)),
    "long after the start, which rose too": lambda chance: (after_a_start(chance), load(chance)),
    "with restarts": lambda chance: (noise(chance) + 1.6 * MIB * (T % 50), load(chance)),
    "while the load sways": lambda chance: (noise(chance) + 0.3 * MIB * T, load(chance) + 10 * np.sin(T / 30)),
    "while the load makes a step": lambda chance: (noise(chance) + 0.3 * MIB * T, load(chance) + 20 * (T > 120)),
    "with a load that is not measured": lambda chance: (noise(chance) + 0.3 * MIB * T, None),
}
NONE: dict[str, Make] = {
    "noise": lambda chance: (noise(chance), load(chance)),
    "a fast warm-up": lambda chance: (noise(chance) + 60 * MIB * (1 - np.exp(-T / 20)), load(chance)),
    "a warm-up": lambda chance: (noise(chance) + 60 * MIB * (1 - np.exp(-T / 60)), load(chance)),
    "a warm-up that has just begun to slow down": lambda chance: (
        noise(chance) + 90 * MIB * (1 - np.exp(-T / 160)),
        load(chance),
    ),
    "a cache that fills in minutes after slow growth": lambda chance: (
        noise(chance) + 0.03 * MIB * T + 40 * MIB * (1 - np.exp(-np.maximum(0, T - 200) / 3)),
        load(chance),
    ),
    "load that rises": lambda chance: by_load(chance, 36 + 0.2 * T),
    "load that rises for a while": lambda chance: by_load(chance, 36 + 0.4 * np.clip(T - 60, 0, 100)),
    "load of a day": lambda chance: by_load(chance, 40 + 20 * np.sin(T / 240 * 2 * np.pi - 1)),
}


@pytest.mark.parametrize("make", LEAKS.values(), ids=LEAKS)
def test_a_leak_is_found(make: Make) -> None:
    assert kinds(make)[Kind.LEAK] == SEEDS


@pytest.mark.parametrize("make", NONE.values(), ids=NONE)
def test_what_is_no_leak_is_never_called_one(make: Make) -> None:
    assert kinds(make)[Kind.LEAK] == 0


def test_a_leak_is_dated_by_its_bend_and_not_by_the_start_of_the_process() -> None:
    late = []
    for seed in range(SEEDS):
        memory = pd.Series(after_a_start(np.random.default_rng(seed)), index=INDEX)
        since = course_of(memory, load=None, at_least=12 * MIB).since
        assert since is not None
        late.append((since - INDEX[180]).total_seconds() / 15)
    assert np.abs(late).max() <= 12, "samples"


def test_growth_that_has_just_begun_is_left_open() -> None:
    memory = pd.Series(80 * MIB + 4 * MIB * np.arange(8), index=INDEX[:8])
    assert course_of(memory, load=None, at_least=12 * MIB).kind is Kind.TOO_SHORT


def test_restarts_are_counted() -> None:
    course = course_of(pd.Series((60 + 1.6 * (T % 50)) * MIB, index=INDEX), load=None, at_least=12 * MIB)
    assert course.falls == 4


def test_the_forecast_is_right_and_its_interval_holds_the_truth_nearly_always() -> None:
    held, guesses = 0, []
    for seed in range(SEEDS):
        memory = noise(np.random.default_rng(seed)) + 0.3 * MIB * T  # 20 bytes a millisecond: 0.3 MiB in 15 s
        found = growth(pd.Series(memory, index=INDEX))
        assert found is not None
        limit = found.last + 60 * MIB
        ahead = forecast(found, limit)
        assert ahead is not None
        assert ahead.latest is not None
        guesses.append(ahead.expected.total_seconds())
        held += ahead.earliest.total_seconds() <= 3000 <= ahead.latest.total_seconds()
    assert np.median(guesses) == pytest.approx(3000, rel=0.02)
    assert held >= 0.9 * SEEDS


def test_a_limit_that_is_reached_has_no_forecast() -> None:
    found = growth(pd.Series(80.0 * MIB + MIB * T, index=INDEX))
    assert found is not None
    assert forecast(found, found.last) is None


def course(kind: Kind, mib_a_minute: float) -> Course:
    memory = pd.Series(80 * MIB + mib_a_minute * MIB * T / 4, index=INDEX)
    return Course(kind, growth(memory), INDEX[0].to_pydatetime())


def judged(*courses: Course) -> list[Kind]:
    return [one.kind for one in judged_together(courses)]


def test_one_container_that_grows_no_faster_than_most_that_follow_the_load_is_no_leak() -> None:
    beside = course(Kind.FOLLOWS_LOAD, 11.3)
    assert judged(beside, course(Kind.LEAK, 7.3), beside) == [Kind.FOLLOWS_LOAD] * 3


def test_a_container_that_grows_faster_than_those_whose_growth_is_explained_leaks() -> None:
    beside = course(Kind.FOLLOWS_LOAD, 3.0)
    assert judged(beside, course(Kind.LEAK, 7.3), beside) == [Kind.FOLLOWS_LOAD, Kind.LEAK, Kind.FOLLOWS_LOAD]


def test_most_that_leak_are_not_explained_by_one_that_seems_to_level_off() -> None:
    leak = course(Kind.LEAK, 7.3)
    assert judged(leak, course(Kind.LEVELS_OFF, 9.0), leak) == [Kind.LEAK, Kind.LEVELS_OFF, Kind.LEAK]


def test_one_leak_beside_steady_containers_stays_one() -> None:
    assert judged(Course(Kind.STEADY), course(Kind.LEAK, 7.3), Course(Kind.STEADY)) == [Kind.STEADY, Kind.LEAK, Kind.STEADY]


def young(memory: np.ndarray, requests: np.ndarray, *, every: str = "5s") -> Course:
    index = pd.date_range("2026-03-01", periods=len(memory), freq=every, tz="UTC")
    return course_of(pd.Series(memory * MIB, index=index), load=pd.Series(requests, index=index), at_least=12 * MIB)


def test_a_young_container_that_warms_up_while_its_load_rises_is_no_leak_yet_and_an_older_one_is() -> None:
    """As seen of a container that was two minutes old: a line, by its warm-up first and by its load then."""
    seconds = np.arange(24) * 5.0
    memory, requests = 45 + 0.25 * seconds, 35 + 35 * np.clip((seconds - 40) / 40, 0, 1)
    assert young(memory, requests).kind is Kind.TOO_SHORT
    assert young(memory, np.full(24, 35.0)).kind is Kind.LEAK
    assert young(memory, requests, every="15s").kind is Kind.LEAK


def restless(chance: np.random.Generator) -> Made:
    requests = 36 + 0.4 * np.clip(T - 60, 0, 100) + chance.normal(0, 2, len(T))
    return (60 + requests + chance.normal(0, 12, len(T))) * MIB, requests


def test_noise_of_the_memory_seldom_hides_that_it_follows_the_load() -> None:
    found = kinds(restless)
    assert found[Kind.FOLLOWS_LOAD] > 60
    assert found[Kind.LEAK] < 15


def test_a_stretch_that_grew_for_too_short_a_time_before_the_last_one_dates_the_leak_to_its_start() -> None:
    before, last = 40 + 4.0 * np.arange(8), 40 + 2.0 * np.arange(40)
    course = young(np.concatenate([before, last]), np.full(48, 35.0))
    assert course.kind is Kind.LEAK
    assert course.since == pd.Timestamp("2026-03-01", tz="UTC")


def of_a_container(memory: np.ndarray, requests: np.ndarray, *, began: int, every: str = "15s") -> Kind:
    """One that began at this sample of the load."""
    index = pd.date_range("2026-03-01", periods=len(requests), freq=every, tz="UTC")
    beside = pd.Series(requests, index=index)
    return course_of(pd.Series(memory * MIB, index=index)[began:], load=beside, at_least=12 * MIB).kind


def test_load_that_comes_back_with_a_container_has_not_grown() -> None:
    requests = np.where(T < 160, 50.0, 10 + 40 * np.clip((T - 160) / 60, 0, 1))
    assert of_a_container(30 + requests, requests, began=160) is Kind.STARTS
    flapping = np.where(T < 60, 50.0, 50 * ((T - 60) % 60) / 60)
    assert of_a_container(30 + flapping, flapping, began=180) is Kind.STARTS
    assert of_a_container(30 + flapping, flapping, began=0) is Kind.STARTS


def test_load_that_goes_beyond_what_was_usual_has_grown_also_beside_a_container_that_began_lately() -> None:
    requests = 50 + 50 * np.clip((T - 160) / 60, 0, 1)
    assert of_a_container(30 + requests, requests, began=160) is Kind.FOLLOWS_LOAD
    assert of_a_container(30 + requests, requests, began=0) is Kind.FOLLOWS_LOAD


def test_beside_a_container_that_has_just_begun_load_is_not_known_to_have_grown() -> None:
    requests = 50 + 50 * np.clip((T - 160) / 60, 0, 1)
    assert of_a_container(30 + requests, requests, began=160, every="3s") is Kind.STARTS


def started(highest: float, *, seconds: int = 60) -> tuple[pd.Series, list[pd.Series]]:
    """A container that grows from 24 MiB to so many, again and again, and the memory of those that ran before it: 100 MiB."""
    index = pd.date_range("2026-03-01", periods=600, freq="1s", tz="UTC")
    lived = np.arange(len(index)) % seconds / (seconds - 1)
    before = pd.Series(100.0 * MIB, index=pd.date_range(end=index[0], periods=200, freq="15s"))
    return pd.Series((24 + (highest - 24) * lived) * MIB, index=index), [before, before + MIB]


@pytest.mark.parametrize(("highest", "kind"), [(64, Kind.STARTS), (100, Kind.STARTS), (112, Kind.LEAK), (240, Kind.LEAK)])
def test_a_young_container_that_never_went_beyond_what_those_before_it_held_only_starts(highest: float, kind: Kind) -> None:
    memory, before = started(highest)
    held = held_before([*before, memory])
    assert held is not None
    assert held.level == pytest.approx(100.5 * MIB)
    assert course_of(memory, load=None, at_least=12 * MIB, held=held).kind is kind


def test_a_container_that_grows_for_longer_than_a_start_takes_is_judged_by_its_growth() -> None:
    memory, before = started(90, seconds=600)
    assert course_of(memory, load=None, at_least=12 * MIB, held=held_before([*before, memory])).kind is Kind.LEAK


def test_what_grew_or_is_still_there_is_not_what_was_held() -> None:
    grew = pd.Series((60 + T) * MIB, index=INDEX)
    assert held_before([grew, grew + MIB, pd.Series(100.0 * MIB, index=INDEX + pd.Timedelta("1h"))]) is None
    assert held_before([]) is None
