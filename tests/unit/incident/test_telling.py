"""The sentences of an incident say what is measured, with its unit, and never more than is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runbook_lib.incident import telling
from runbook_lib.models.cause import Cause, Verdict
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal, SourceStatus
from runbook_lib.playbooks import playbook
from runbook_lib.testing import NOW, ago, service
from tests.unit.incident.parts import BREACHED, UNKNOWN, WELL, outcome

PLAYBOOK = playbook("high_error_rate")


@pytest.mark.parametrize(
    ("symptom", "begins", "status"),
    [
        (BREACHED, "Yes: error rate is 30.0% since 2026-03-01T03:50:00Z, above the limit of 5.0%.", FindingStatus.CRITICAL),
        (WELL, "No: error rate is 0.0%, within 5.0%.", FindingStatus.NORMAL),
        (UNKNOWN, "Not known: as the test says", FindingStatus.UNKNOWN),
    ],
)
def test_whether_it_is_this_issue_is_said_first(symptom: Any, begins: str, status: FindingStatus) -> None:
    finding = telling.match(PLAYBOOK, service(), symptom)
    assert finding.summary.startswith(begins)
    assert finding.status is status
    assert symptom is not WELL or "Apply nothing below" in finding.notes[0]


def test_a_share_of_too_few_requests_is_not_called_within_its_limit() -> None:
    few = replace(WELL, value=0.0625, text="1 of 16 requests to shop failed: too few to judge by.")
    told = "above the limit of 5.0%, but of too few requests to judge by"
    assert telling.match(PLAYBOOK, service(), few).summary == f"No: error rate is 6.2%, {told}."
    diagnosis = telling.diagnosis(PLAYBOOK, service(), few, [], [], at=NOW)
    assert told in diagnosis.summary
    assert diagnosis.next_steps[0].startswith("Nothing to do yet: 1 of 16 requests")


def test_a_value_that_dips_below_its_limit_is_not_called_above_it() -> None:
    dipped = replace(BREACHED, value=0.04)
    assert "has not been for long enough" in telling.match(PLAYBOOK, service(), dipped).summary


@pytest.mark.parametrize(
    ("symptom", "alert", "severity"),
    [
        (BREACHED, {}, "SEV-2"),
        (replace(BREACHED, value=0.8), {}, "SEV-1"),
        (BREACHED, {"labels": {"severity": "sev-3"}}, "SEV-3"),
        (BREACHED, {"labels": {"severity": "page"}}, "SEV-2"),
        (BREACHED, {"labels": None}, "SEV-2"),
        (WELL, {}, None),
        (None, {}, None),
    ],
)
def test_severity_is_the_alerts_own_else_from_tier_and_share(symptom: Any, alert: Any, severity: str | None) -> None:
    assert telling.severity(service(), symptom, alert) == severity


def test_severity_never_falls_below_the_least() -> None:
    least = service(overview={"purpose": "Reports.", "owner": "Team", "tier": 4})
    assert telling.severity(least, BREACHED, {}) == "SEV-4"


def test_impact_is_the_measured_part_and_what_the_team_says_of_it() -> None:
    known = service(overview={"purpose": "x", "owner": "y", "tier": 1, "business_impact": "Nobody can order."})
    assert telling.impact(known, BREACHED) == "30.0% of the requests to shop fail. Nobody can order."
    assert telling.impact(known, WELL) == ""


@pytest.mark.parametrize(
    ("symptom", "told"),
    [
        (replace(BREACHED, peak=0.62), "30.0% of the requests to shop fail, 62.0% at the worst."),
        (replace(BREACHED, name="unavailability", value=1.0, peak=1.0), "100.0% of shop is away."),
        (
            replace(BREACHED, name="latency_p95", value=2.5, unit="seconds", peak=4.0),
            "One in twenty requests to shop takes 2.5 s or longer, 4 s at the worst.",
        ),
        (replace(BREACHED, name="memory_usage", text="3 of 3 pods grow."), "3 of 3 pods grow."),
    ],
)
def test_impact_tells_of_the_worst(symptom: Any, told: str) -> None:
    assert telling.impact(service(), symptom) == told


def test_markers_are_the_onset_changes_the_alert_and_what_was_done() -> None:
    changed = Signal(
        name="rollout_before_onset", presence=Presence.PRESENT, text="x", since=ago(11), subject="deployment/shop revision 2"
    )
    changes = Finding(name="recent_changes", title="", summary="", status=FindingStatus.INFO, signals=(changed,))
    found = telling.markers(BREACHED, changes, {"startsAt": "2026-03-01T03:55:00Z"}, [outcome(), outcome(status="proposed")])
    assert [(marker.kind, marker.label) for marker in found] == [
        ("onset", "onset"),
        ("deploy", "shop revision 2"),
        ("alert", "alert"),
        ("action", "restart_pods"),
    ]
    assert telling.markers(WELL, None, {}, []) == ()


def test_without_a_cause_the_next_step_is_a_person() -> None:
    level = {
        "level": 2,
        "title": "Team lead",
        "when": ["Not resolved"],
        "contacts": [{"name": "Ada", "slack": "@ada"}],
        "after_minutes": 30,
    }
    known = service(escalation={"levels": [level]})
    found = telling.diagnosis(PLAYBOOK, known, BREACHED, (), (), at=NOW)
    assert found.next_steps[-1].startswith("Escalate to Team lead (Ada) now, since no cause is confirmed")


def test_a_cause_that_no_action_mends_says_what_is_left_to_do_by_hand() -> None:
    cause = Cause(
        name="gone", title="It is gone", verdict=Verdict.CONFIRMED, confidence=0.9, why="gone", by_hand="apply it again."
    )
    steps = telling.diagnosis(PLAYBOOK, service(), BREACHED, (cause,), (), at=NOW).next_steps
    assert steps[0] == "It is gone: apply it again."
    mended = replace(cause, actions=PLAYBOOK.actions[:1])
    assert not any(
        "apply it again" in step for step in telling.diagnosis(PLAYBOOK, service(), BREACHED, (mended,), (), at=NOW).next_steps
    )


def seen(name: str, status: FindingStatus) -> Finding:
    return Finding(name=name, title=name.replace("_", " ").capitalize(), summary=f"{name} says more.", status=status)


def test_without_a_cause_what_stands_out_is_told_the_worst_first() -> None:
    findings = [
        seen("error_logs", FindingStatus.WARNING),
        seen("memory", FindingStatus.NORMAL),
        seen("pod_status", FindingStatus.CRITICAL),
        seen("error_ratio", FindingStatus.CRITICAL),
    ]
    steps = telling.diagnosis(PLAYBOOK, service(), BREACHED, (), findings, at=NOW).next_steps
    assert [step for step in steps if step.startswith("Stands out")] == [
        "Stands out: Pod status - pod_status says more.",
        "Stands out: Error logs - error_logs says more.",
    ]


def test_a_symptom_that_was_not_measured_is_asked_for_again_first() -> None:
    steps = telling.diagnosis(PLAYBOOK, service(), UNKNOWN, (), (), at=NOW).next_steps
    assert steps[0].endswith("ask again first, incident.refresh().")


def test_what_breaches_a_symptom_whose_value_does_not_is_told_with_it() -> None:
    killed = replace(BREACHED, value=0.04, beyond="2 containers were killed for lack of memory")
    summary = telling.diagnosis(PLAYBOOK, service(), killed, (), (), at=NOW).summary
    assert "is 4.0% (2 containers were killed for lack of memory) since" in summary


def test_a_symptom_that_cannot_be_measured_may_be_that_of_another_runbook() -> None:
    unknown = replace(BREACHED, value=None, breached=None, text="no requests were answered")
    (other,) = [issue for _, issue in PLAYBOOK.not_this_issue]
    assert any(other in note for note in telling.match(PLAYBOOK, service(), unknown).notes)
    assert any(other in step for step in telling.diagnosis(PLAYBOOK, service(), unknown, (), (), at=NOW).next_steps)


@pytest.mark.parametrize(
    ("value", "unit", "text"), [(0.0312, "ratio", "3.1%"), (None, "ratio", "not known"), (7.0, "pods", "7 pods")]
)
def test_values_are_written_with_their_unit(value: float | None, unit: str, text: str) -> None:
    assert telling.written(value, unit) == text


def test_a_source_that_missed_one_question_is_not_told_as_dead() -> None:
    partly = [SourceStatus(name="prometheus", status="ok"), SourceStatus(name="prometheus", status="timeout", error="5 s")]
    dead = SourceStatus(name="postgres", status="unreachable", error="refused")
    findings = [replace(seen(f"check{place}", FindingStatus.NORMAL), sources=(one,)) for place, one in enumerate([*partly, dead])]
    found = telling.diagnosis(PLAYBOOK, service(), BREACHED, [], findings, at=NOW)
    assert found.summary.endswith("Not available: postgres. Answered only in part: prometheus.")
