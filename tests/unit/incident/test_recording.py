"""The causes, the actions and the states of the sources, as `incident.json` has them."""

from __future__ import annotations

from runbook_lib.incident.recording import action_records, cause_record, source_records
from runbook_lib.models.cause import Evidence
from runbook_lib.models.finding import Finding, FindingStatus, SourceStatus
from tests.unit.incident.parts import a_cause, outcome


def finding(*, sources: tuple[SourceStatus, ...]) -> Finding:
    return Finding(name="any", title="Any", summary="Seen.", status=FindingStatus.INFO, sources=sources)


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
