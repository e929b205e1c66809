"""The effect of a change: better, same or worse, from the symptom's own metric."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.actions.interface import ActionContext, Change, Gauge, Settling
from runbook_lib.actions.verification import assess, compare, recovered_since, settle
from tests.unit.actions.situations import START, Clock, a_context, a_diagnosis


def gauge(*, lower: bool = True) -> Gauge:
    return Gauge(title="error rate", unit="ratio", threshold=0.05, read=lambda: None, better_when_lower=lower)


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        (0.31, 0.04, "better"),
        (0.31, 0.15, "better"),
        (0.31, 0.29, "same"),
        (0.31, 0.45, "worse"),
        (0.051, 0.053, "same"),  # twice as far beyond the threshold, and no more than noise
        (0.01, 0.02, "same"),
        (0.01, 0.06, "worse"),
        (None, 0.06, "unknown"),
        (0.31, None, "unknown"),
    ],
)
def test_the_effect_compares_before_and_after(before: float | None, after: float | None, effect: str) -> None:
    assert compare(gauge(), before, after) == effect


@given(before=st.floats(0, 1), after=st.floats(0, 1))
def test_going_there_and_back_is_never_better_both_ways(before: float, after: float) -> None:
    both = {compare(gauge(), before, after), compare(gauge(), after, before)}
    assert both in ({"same"}, {"better", "worse"}, {"better", "same"}, {"worse", "same"})


@given(before=st.floats(0, 1), after=st.floats(0, 1))
def test_what_is_better_when_lower_is_worse_when_higher_is_better(before: float, after: float) -> None:
    mirrored = Gauge(title="", unit="ratio", threshold=-0.05, read=lambda: None, better_when_lower=False)
    assert compare(gauge(), before, after) == compare(mirrored, -before, -after)


def test_one_good_reading_between_two_bad_ones_is_no_recovery(tmp_path: Path) -> None:
    clock = Clock()
    context = a_context(tmp_path, clock=clock, readings=(0.31, 0.0, 0.31, 0.0, 0.0))
    assessment = assess(context, 0.31, patient=True)
    assert assessment.effect == "better"
    assert clock.now - START == timedelta(seconds=4 * context.poll_seconds)


@pytest.mark.parametrize(("grace", "done"), [(0.0, False), (60.0, True)])
def test_what_is_given_time_to_end_is_not_stuck_meanwhile(tmp_path: Path, grace: float, done: bool) -> None:
    clock = Clock()

    def settling() -> Settling:
        over = clock.now - START >= timedelta(seconds=100)
        return Settling(done=over, text="1 old ones left", grace_seconds=grace)

    change = cast(Change, SimpleNamespace(settling=settling))
    assert settle(a_context(tmp_path, clock=clock), [change]).done is done


def test_a_symptom_that_stays_is_waited_for_as_long_as_the_policy_says(tmp_path: Path) -> None:
    clock = Clock()
    assessment = assess(a_context(tmp_path, clock=clock, readings=(0.3,)), 0.31, patient=True)
    assert (assessment.effect, clock.now - START) == ("same", timedelta(seconds=60))
    assert "beyond 5.0%" in assessment.text


@pytest.mark.parametrize(("readings", "effect", "seconds"), [((0.31, 0.2, 0.2, 0.2), "better", 4), ((0.3,), "same", 20)])
def test_the_fix_of_one_of_two_causes_is_not_waited_for_as_if_it_were_the_only_one(
    tmp_path: Path, readings: tuple[float, ...], effect: str, seconds: float
) -> None:
    clock = Clock()
    context = a_context(tmp_path, clock=clock, readings=readings, other_causes=("A downstream service fails",))
    assert context.symptom is not None
    context = replace(context, symptom=replace(context.symptom, lag=timedelta(seconds=20)))
    assessment = assess(context, 0.31, patient=True)
    assert (assessment.effect, clock.now - START) == (effect, timedelta(seconds=seconds))
    assert assessment.text.endswith("since nothing was done yet about: A downstream service fails")


def test_without_a_measure_the_effect_is_unknown(tmp_path: Path) -> None:
    assert assess(a_context(tmp_path, symptom=None), None, patient=True).effect == "unknown"


def test_a_value_is_told_in_the_unit_that_a_person_reads(tmp_path: Path) -> None:
    slow = Gauge(title="p95 latency", unit="seconds", threshold=1.0, read=lambda: 0.9517)
    told = assess(a_context(tmp_path, symptom=slow), 4.289, patient=False).text
    assert told == "p95 latency: 4.29 s before, 952 ms after, within 1 s"


def diagnosed(
    folder: Path, *, now: float | None = 0.001, beyond: str = "", clock: Clock | None = None, **was: Any
) -> ActionContext:
    """Nothing but the symptom's reading now; `was`: how it was when it was diagnosed."""
    seen = a_diagnosis()
    symptom = Gauge(title="error rate", unit="ratio", threshold=0.05, read=lambda: now, beyond=lambda: beyond)
    told = replace(seen, symptoms=(replace(seen.symptoms[0], **was),))
    return a_context(folder, symptom=symptom, diagnosis=told, clock=clock)


def test_a_symptom_that_is_back_within_its_threshold_is_told_with_its_numbers(tmp_path: Path) -> None:
    assert recovered_since(diagnosed(tmp_path), 0.001) == "error rate was 31.0%, and is 0.1% now, within 5.0%"


@pytest.mark.parametrize(
    ("before", "now", "was"),
    [
        (0.2, 0.2, {}),
        (None, 0.001, {}),  # it cannot be measured, which stops nobody
        (0.001, None, {}),
        (0.001, 0.2, {}),
        (0.001, 0.001, {"value": 0.04}),  # it was breached by something else than its value
        (0.001, 0.001, {"value": None}),
        (0.001, 0.001, {"breached": None}),
    ],
)
def test_a_symptom_is_not_called_gone_that_is_there_or_cannot_be_told(
    tmp_path: Path, before: float | None, now: float | None, was: dict[str, Any]
) -> None:
    assert recovered_since(diagnosed(tmp_path, now=now, **was), before) == ""


def test_what_breaches_it_besides_its_value_counts_too(tmp_path: Path) -> None:
    killed = "pod orders-1 was killed for lack of memory"
    assert recovered_since(diagnosed(tmp_path, beyond=killed), 0.001) == "", "a pod that was killed uses little for a while"
    assert recovered_since(diagnosed(tmp_path, value=0.04, beyond=killed), 0.001) == ""
    context = diagnosed(tmp_path, value=0.04)
    assert context.diagnosis is not None
    was_killed = replace(context.diagnosis, symptoms=(replace(context.diagnosis.symptoms[0], beyond=killed),))
    assert recovered_since(replace(context, diagnosis=was_killed), 0.001) != ""


def test_only_a_good_reading_is_waited_upon(tmp_path: Path) -> None:
    clock = Clock()
    recovered_since(diagnosed(tmp_path, clock=clock), 0.2)
    assert clock.now == START
    recovered_since(diagnosed(tmp_path, clock=clock), 0.001)
    assert clock.now == START + timedelta(seconds=2)
