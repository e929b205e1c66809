"""The timeline: each line true and dated, oldest first, and none of it noise."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from runbook_lib.incident.timeline import Happened, timeline
from runbook_lib.models.cause import Cause, Diagnosis, Verdict
from runbook_lib.models.finding import Finding, FindingStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.record import TimelineEntry
from runbook_lib.testing import NOW, ago, error_symptom, events
from tests.unit.incident.parts import ONSET, a_cause, outcome


def told(*findings: Finding, **given: Any) -> tuple[TimelineEntry, ...]:
    values = {"opened_at": None, "diagnosis": None, "alert": {}, "outcomes": (), **given}
    return timeline(Happened(issue="high_error_rate", findings=findings, **values))


def finding(caption: str, table: Frame) -> Finding:
    return Finding(name="any", title="Any", summary="Seen.", status=FindingStatus.INFO, tables=((caption, table),))


def diagnosis(*causes: Cause) -> Diagnosis:
    return Diagnosis(symptoms=(error_symptom(ONSET),), causes=causes, summary="", at=NOW)


def pods_table(*rows: tuple[str, str, datetime | None]) -> Frame:
    return frame(rows, columns=["pod", "last_end", "ended_at"]).astype({"ended_at": "datetime64[us, UTC]"})


def changed_table() -> Frame:
    where = "deployment/shop revision 2"
    return frame(
        [(where, "image", "1", "2", ago(13)), (where, "env.A", "", "1", ago(13)), ("configmap/shop", "B", "1", "2", ago(20))],
        columns=["where", "what", "before", "after", "at"],
    )


def test_the_timeline_tells_what_happened_in_order() -> None:
    warnings = events((ago(11), "Unhealthy", "shop-1", "probe failed"), (ago(11), "Unhealthy", "shop-2", "probe failed"))
    entries = timeline(
        Happened(
            issue="high_error_rate",
            opened_at=ago(9),
            alert={"startsAt": ago(10).isoformat().replace("+00:00", "Z"), "labels": {"alertname": "HighErrorRate"}},
            diagnosis=diagnosis(a_cause("bad_deployment", since=ago(13)), a_cause("full", because_of="bad_deployment")),
            findings=[finding("What changed", changed_table()), finding("Events", warnings)],
            outcomes=[outcome("rollback_deployment"), outcome("restart_pods", "proposed")],
            recovered_at=ago(2),
        )
    )
    assert [(entry.kind, entry.text) for entry in entries] == [
        ("deploy", "configmap/shop: B (1 → 2)"),
        ("deploy", "deployment/shop revision 2: image (1 → 2), env.A (- → 1)"),
        ("finding", "Bad deployment began"),
        ("finding", "Error rate began to rise"),
        ("finding", "Full began (because of: Bad deployment)"),
        ("event", "Unhealthy Pod/shop-1 and 1 more: probe failed"),
        ("alert", "HighErrorRate fired"),
        ("note", "The runbook high_error_rate was opened"),
        ("action", "rollback_deployment on deployment/shop: Done."),
        ("note", "Error rate was seen within its limit again"),
    ]


def test_an_action_says_who_approved_it_how_long_it_took_and_what_came_of_it() -> None:
    done = outcome("restart_pods", approved_by="anna (widget)", seconds=42.0, effect="better")
    (entry,) = told(outcomes=[done])
    assert entry.text == (
        "restart_pods on deployment/shop, approved by anna (widget): Done. It took 42s, and the symptom was better."
    )


def test_containers_that_ended_are_told_those_of_one_minute_together() -> None:
    oom = "OOMKilled (exit 137)"
    table = pods_table(
        ("shop-1", oom, ago(10)), ("shop-2", oom, ago(10)), ("shop-3", oom, ago(300)), ("shop-4", "", None), ("shop-5", oom, None)
    )
    entries = told(finding("Pods", table), diagnosis=diagnosis())
    assert [(entry.kind, entry.text, entry.at) for entry in entries if entry.kind == "event"] == [
        ("event", f"Container ended, {oom}: Pod/shop-1 and 1 more", ago(10))
    ]


def test_a_warning_that_goes_on_since_before_the_incident_is_dated_by_its_last_time() -> None:
    table = events((ago(11), "Unhealthy", "shop-1", "again")).assign(first_seen=ago(500))
    entries = told(finding("Events", Frame(table)), diagnosis=diagnosis())
    assert [entry.at for entry in entries if entry.kind == "event"] == [ago(11)]


def test_a_restart_is_told_as_one_and_a_long_value_is_left_to_the_evidence() -> None:
    where = "deployment/shop revision 2"
    rows = [
        (where, "annotations[kubectl.kubernetes.io/restartedAt]", "", "2026-03-01T03:47:00Z", ago(13)),
        ("configmap/shop", "routes.yaml", "a: 1\nb: 2", "a: 1", ago(12)),
    ]
    table = frame(rows, columns=["where", "what", "before", "after", "at"])
    assert [entry.text for entry in told(finding("What changed", table))] == [
        f"{where}: a restart",
        "configmap/shop: routes.yaml",
    ]


def test_a_cause_that_is_not_confirmed_and_a_change_that_was_not_made_are_no_history() -> None:
    entries = told(
        diagnosis=diagnosis(a_cause("suspect", verdict=Verdict.SUSPECTED)), outcomes=[outcome("restart_pods", "refused")]
    )
    assert [entry.kind for entry in entries] == ["finding"]  # the symptom's onset


def test_a_storm_of_events_is_bounded() -> None:
    storm = events(*((ago(30) + timedelta(seconds=20 * number), f"Reason{number}", "shop-1", "x") for number in range(90)))
    assert len(told(finding("Events", storm))) == 30


def test_warnings_from_long_before_the_incident_are_left_to_the_evidence() -> None:
    warnings = events(
        (ago(50), "FailedMount", "shop-1", "early"),
        (ago(20), "FailedMount", "shop-2", "just before"),
        (ago(20), "Unhealthy", "shop-3", "as at every start"),
        (ago(12.5), "Unhealthy", "shop-4", "the first sign"),
    )
    entries = told(finding("Events", warnings), diagnosis=diagnosis())
    assert [entry.text for entry in entries if entry.kind == "event"] == [
        "FailedMount Pod/shop-2: just before",
        "Unhealthy Pod/shop-4: the first sign",
    ]
