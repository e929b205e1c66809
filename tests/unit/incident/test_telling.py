"""The sentences of an incident say what is measured, with its unit, and never more than is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runbook_lib.incident import telling
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.plan import Outcome, Target
from runbook_lib.playbooks import playbook
from runbook_lib.testing import NOW, ago, error_symptom, service

PLAYBOOK = playbook("high_error_rate")
BREACHED, WELL, UNKNOWN = error_symptom(ago(10)), error_symptom(), error_symptom(value=None)


def outcome(**fields: Any) -> Outcome:
    values = {"status": "executed", "text": "Done.", "at": NOW, "effect_text": "error rate: 30.0% before, 0.1% after"}
    return Outcome(action="restart_pods", target=Target(kind="deployment", name="shop"), **(values | fields))


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


def test_a_value_that_dips_below_its_limit_is_not_called_above_it() -> None:
    dipped = replace(BREACHED, value=0.04)
    assert "has not been for long enough" in telling.match(PLAYBOOK, service(), dipped).summary


@pytest.mark.parametrize(
    ("before", "now", "begins"),
    [
        (BREACHED, WELL, "Recovered after restart pods: error rate is 0.0%, within 5.0% (at the opening 30.0%)."),
        (BREACHED, BREACHED, "Not recovered: error rate is 30.0% after restart pods"),
        (BREACHED, UNKNOWN, "Whether error rate recovered is not known"),
        (WELL, WELL, "Error rate is 0.0%, within 5.0%, as it was at the opening."),
    ],
)
def test_verification_compares_with_the_opening(before: Any, now: Any, begins: str) -> None:
    finding = telling.verification(before, now, [outcome()])
    assert finding.summary.startswith(begins)
    assert finding.notes == ("restart_pods: error rate: 30.0% before, 0.1% after",)


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
    assert [step for step in steps if "stands out" in step] == [
        "Pod status stands out: pod_status says more.",
        "Error logs stands out: error_logs says more.",
    ]


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
