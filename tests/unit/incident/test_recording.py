"""The timeline and the states of the sources, as `incident.json` has them."""

from __future__ import annotations

from datetime import timedelta

from runbook_lib.incident.recording import action_records, cause_record, source_records, timeline
from runbook_lib.models.cause import Cause, Diagnosis, Evidence, Verdict
from runbook_lib.models.finding import Finding, FindingStatus, SourceStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.plan import Outcome, Target
from runbook_lib.testing import NOW, ago, error_symptom, events

ONSET = ago(12)


def finding(name: str = "any", *, tables: tuple[tuple[str, Frame], ...] = (), sources: tuple[SourceStatus, ...] = ()) -> Finding:
    return Finding(name=name, title=name, summary="Seen.", status=FindingStatus.INFO, tables=tables, sources=sources)


def a_cause(name: str, **fields: object) -> Cause:
    values: dict[str, object] = {"verdict": Verdict.CONFIRMED, "confidence": 0.9, "why": "seen", "since": ONSET}
    return Cause(name=name, title=name.replace("_", " ").capitalize(), **(values | fields))  # type: ignore[arg-type]


def diagnosis(*causes: Cause) -> Diagnosis:
    return Diagnosis(symptoms=(error_symptom(ONSET),), causes=causes, summary="", at=NOW)


def outcome(name: str, status: str = "executed") -> Outcome:
    return Outcome(
        action=name,
        target=Target(kind="deployment", name="shop"),
        status=status,
        text="Done.",
        at=ago(3),  # type: ignore[arg-type]
    )


def changed_table() -> Frame:
    where = "deployment/shop revision 2"
    return frame(
        [(where, "image", "1", "2", ago(13)), (where, "env.A", "", "1", ago(13)), ("configmap/shop", "B", "1", "2", ago(20))],
        columns=["where", "what", "before", "after", "at"],
    )


def test_the_timeline_tells_what_happened_in_order() -> None:
    warnings = events((ago(11), "Unhealthy", "shop-1", "probe failed"), (ago(11), "Unhealthy", "shop-2", "probe failed"))
    told = timeline(
        alert={"startsAt": ago(10).isoformat().replace("+00:00", "Z"), "labels": {"alertname": "HighErrorRate"}},
        diagnosis=diagnosis(a_cause("bad_deployment", since=ago(13)), a_cause("full", because_of="bad_deployment")),
        findings=[finding(tables=(("What changed", changed_table()),)), finding(tables=(("Events", warnings),))],
        outcomes=[outcome("rollback_deployment"), outcome("restart_pods", "proposed")],
    )
    assert [(entry.kind, entry.text) for entry in told] == [
        ("deploy", "configmap/shop: B"),
        ("deploy", "deployment/shop revision 2: image, env.A"),
        ("finding", "Bad deployment began"),
        ("finding", "Error rate began to rise"),
        ("finding", "Full began (because of bad_deployment)"),
        ("event", "Unhealthy Pod/shop-1 and 1 more: probe failed"),
        ("alert", "HighErrorRate fired"),
        ("action", "rollback_deployment on deployment/shop: Done."),
    ]


def test_a_cause_that_is_not_confirmed_and_a_change_that_was_not_made_are_no_history() -> None:
    told = timeline(
        alert={},
        diagnosis=diagnosis(a_cause("suspect", verdict=Verdict.SUSPECTED)),
        findings=[],
        outcomes=[outcome("restart_pods", "refused")],
    )
    assert [entry.kind for entry in told] == ["finding"]  # the symptom's onset


def test_a_storm_of_events_is_bounded() -> None:
    storm = events(*((ago(30) + timedelta(seconds=20 * number), f"Reason{number}", "shop-1", "x") for number in range(90)))
    assert len(timeline(alert={}, diagnosis=None, findings=[finding(tables=(("Events", storm),))], outcomes=[])) == 30


def test_each_source_has_one_state_its_first_trouble_else_its_slowest_answer() -> None:
    records = source_records(
        [
            finding(sources=(SourceStatus(name="prometheus", status="ok", seconds=0.1),)),
            finding(sources=(SourceStatus(name="prometheus", status="ok", seconds=0.4),)),
            finding(sources=(SourceStatus(name="logs", status="ok", seconds=3.0),)),
            finding(sources=(SourceStatus(name="logs", status="timeout", error="no answer"),)),
            finding(sources=(SourceStatus(name="logs", status="ok", seconds=9.0),)),
        ]
    )
    assert [(one.name, one.status, one.seconds) for one in records] == [("logs", "timeout", None), ("prometheus", "ok", 0.4)]


def test_evidence_says_whether_it_speaks_for_or_against_or_is_missing() -> None:
    evidence = (
        Evidence(bearing="for", signal="a", text="the pool is full"),
        Evidence(bearing="missing", signal="b", text="the logs"),
    )
    assert cause_record(a_cause("full", evidence=evidence)).evidence == ("for: the pool is full", "missing: the logs")


def test_what_was_done_stands_before_what_was_only_proposed() -> None:
    records = action_records(
        [(outcome("a", "refused"), ()), (outcome("b", "proposed"), ("cause",)), (outcome("c", "executed"), ())]
    )
    assert [record.name for record in records] == ["c", "b", "a"]
