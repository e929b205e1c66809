"""What is said after a change is what was measured, and what is left is not called over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runbook_lib.incident import aftermath
from runbook_lib.models.cause import Cause, Diagnosis, Verdict
from runbook_lib.testing import NOW, service
from tests.unit.incident.parts import BREACHED, UNKNOWN, WELL, outcome

RESTARTED = outcome(effect_text="error rate: 30.0% before, 0.1% after")


@pytest.mark.parametrize(
    ("before", "now", "begins"),
    [
        (BREACHED, WELL, "Recovered after restart pods: error rate is 0.0%, within 5.0% (at the opening 30.0%)."),
        (BREACHED, BREACHED, "Not recovered: error rate is 30.0% after restart pods"),
        (BREACHED, UNKNOWN, "Whether error rate recovered is not known"),
        (WELL, WELL, "Error rate is 0.0%, within 5.0%, as it was at the opening."),
        (UNKNOWN, WELL, "Error rate is 0.0%, within 5.0%, and could not be measured at the opening."),
    ],
)
def test_verification_compares_with_the_opening(before: Any, now: Any, begins: str) -> None:
    finding = aftermath.verification(before, now, [RESTARTED])
    assert finding.summary.startswith(begins)
    assert finding.notes == ("restart_pods: error rate: 30.0% before, 0.1% after",)


def test_the_end_says_that_it_is_over_and_tells_what_nothing_called_for_in_one_line(tmp_path: Path) -> None:
    cause = Cause(
        name="db_pool_exhausted",
        title="Pool exhausted",
        verdict=Verdict.CONFIRMED,
        confidence=0.9,
        why="it is full",
        actions=("restart_pods", "raise_pool_size"),
    )
    found = Diagnosis(
        symptoms=(BREACHED,), causes=(cause,), summary="Error rate of shop is 30.0%.", at=NOW, next_steps=("Tell #shop now.",)
    )
    told = aftermath.closing(
        service(),
        found,
        [
            outcome("open_circuit_breaker", "refused", text="Refused (target): no breaker."),
            outcome("raise_pool_size", "proposed", text="Proposed, nothing was changed."),
            outcome(),
        ],
        tmp_path,
        recovered_at=NOW,
    )
    assert told.summary.startswith("Recovered, seen at 2026-03-01T04:00:00Z. What was found at the opening: Error rate")
    assert told.notes[:3] == (
        "restart_pods on deployment/shop: executed - Done.",
        "raise_pool_size on deployment/shop: Proposed, nothing was changed.",
        "No confirmed cause calls for the other actions, none of which was executed: open_circuit_breaker.",
    )


def test_a_symptom_within_its_limit_is_not_called_normal_while_much_of_it_is_left() -> None:
    most_gone, gone = replace(WELL, value=0.04), replace(WELL, value=0.001)
    assert "not yet normal" in aftermath.verification(BREACHED, most_gone, [RESTARTED]).notes[-1]
    assert len(aftermath.verification(BREACHED, gone, [RESTARTED]).notes) == 1


def test_what_was_done_to_get_over_it_is_to_be_taken_back_and_what_mends_is_not() -> None:
    def done(action: str, **plan: Any) -> Any:
        return outcome(action, plan=SimpleNamespace(undo=f"undo {action}", **plan))

    outcomes = [
        done("open_circuit_breaker", reversible=True, repair=False),
        done("restore_configuration", reversible=True, repair=True),
        done("restart_pods", reversible=False, repair=False),
        done("rollback_deployment", reversible=True, repair=False),
    ]
    steps = aftermath.after_recovery(service(), outcomes)
    assert [step for step in steps if "undo" in step] == [
        "Take back what was only to get over it, once the cause is mended - open circuit breaker: undo open_circuit_breaker"
    ]


def test_what_is_within_its_limit_and_far_from_gone_is_not_called_over() -> None:
    left = replace(WELL, value=0.04)
    steps = " ".join(aftermath.after_recovery(service(), [], rest=aftermath.rest_of(BREACHED, left)))
    assert "Better, and not over: error rate is still 4.0%" in steps
    assert "that it is over" not in steps
    assert aftermath.rest_of(BREACHED, WELL) == ""
    memory = {"name": "memory_usage", "title": "memory usage"}
    assert aftermath.rest_of(replace(BREACHED, **memory), replace(left, **memory)) == ""  # memory is never gone
