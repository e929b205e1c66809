"""What an incident shows, asks again, and leaves behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.errors import SourceTimeout
from runbook_lib.models.cause import Verdict
from runbook_lib.models.figure import LineFigure
from runbook_lib.models.finding import FindingStatus
from runbook_lib.models.record import IncidentRecord
from runbook_lib.service.instrumentation import Expressions
from runbook_lib.sources.interface import Sources
from runbook_lib.testing import FakeDatabase, FakeJournal, FakeLogs, FakeMetrics, Sick, fake_sources, line, log_lines
from tests.unit.incident.opened import Changing, Situation, last_hour, opened


@pytest.fixture
def situation() -> Situation:
    return Situation()


class CountingLogs(FakeLogs):
    """Logs that count how often they were read."""

    def __init__(self, *records: Any) -> None:
        super().__init__(*records)
        self.reads = 0

    def read(self, selector: str, **asked: Any) -> Any:
        self.reads += 1
        return super().read(selector, **asked)


def test_a_record_is_written_before_anything_is_asked(tmp_path: Path, situation: Situation) -> None:
    journal_at_first_question: list[int] = []

    class Watched(FakeLogs):
        def read(self, selector: str, **asked: Any) -> Any:
            journal_at_first_question.append(len(journals[0].records) if journals else 1)
            return super().read(selector, **asked)

    journals: list[FakeJournal] = []
    incident, journal = opened(tmp_path, situation.sources(logs=Watched()), window=situation.window)
    journals.append(journal)
    assert journal.records[0].status == "running"
    assert journal.records[0].findings == ()
    incident.check.error_logs()
    assert journal_at_first_question[0] >= 1


def test_the_steps_in_the_notebooks_order_tell_the_story(tmp_path: Path, situation: Situation) -> None:
    incident, _ = opened(tmp_path, situation.sources(), window=situation.window)
    assert "6 of 6 sources answer" in incident.connection().summary
    assert incident.symptoms().summary.startswith("Yes: error rate is 40.0% since ")
    found = incident.causes()
    assert [cause.name for cause in found.roots] == ["db_pool_exhausted"]
    assert "Cause: Database connection pool exhausted" in found.summary
    assert any("incident.resolve.restart_pods()" in step for step in found.next_steps)
    assert incident.verify().summary.startswith("Not recovered: error rate is 40.0%")
    assert incident.close().summary == found.summary


def test_tab_completion_lists_this_playbooks_steps_and_nothing_else(tmp_path: Path, situation: Situation) -> None:
    incident, _ = opened(tmp_path, situation.sources(), window=situation.window)
    assert "error_logs" in dir(incident.check)
    assert "rollback_deployment" in dir(incident.resolve)
    assert not [name for name in dir(incident.check) if name.startswith("_")]
    assert "Errors in the logs of all pods" in (incident.check.error_logs.__doc__ or "")
    with pytest.raises(AttributeError, match=r"this runbook has no check 'eror_logs'; it has: .*error_logs"):
        incident.check.eror_logs()


def test_the_first_look_shows_what_was_gathered_and_a_repeated_one_asks_again(tmp_path: Path, situation: Situation) -> None:
    logs = CountingLogs()
    incident, _ = opened(tmp_path, situation.sources(logs=logs), window=situation.window)
    first = incident.check.error_logs()
    assert logs.reads == 1
    again = incident.check.error_logs()
    assert logs.reads == 2
    assert first.at is not None
    assert again.at is not None
    assert again.at > first.at


@pytest.mark.parametrize("fixed", [{"live": False}, {"replayed": True}])
def test_a_past_or_replayed_window_is_not_asked_again(tmp_path: Path, situation: Situation, fixed: dict[str, bool]) -> None:
    logs = CountingLogs()
    incident, _ = opened(tmp_path, situation.sources(logs=logs), window=situation.window, **fixed)  # type: ignore[arg-type]
    assert incident.check.error_logs() == incident.check.error_logs()
    assert logs.reads == 1


def test_refresh_looks_at_everything_again_and_judges_anew(tmp_path: Path, situation: Situation) -> None:
    incident, _ = opened(tmp_path, situation.sources(), window=situation.window)
    assert incident.causes().symptoms[0].breached is True
    before = incident.window
    situation.recover()
    refreshed = incident.refresh()
    assert refreshed.symptoms[0].breached is False
    assert refreshed.roots == ()
    assert incident.window.end > before.end
    assert incident.window.duration == before.duration


def test_causes_are_judged_once_so_that_every_cell_speaks_of_the_same(tmp_path: Path, situation: Situation) -> None:
    incident, _ = opened(tmp_path, situation.sources(), window=situation.window)
    assert incident.causes() is incident.causes()


def test_verification_after_recovery_is_recorded_with_its_time(tmp_path: Path, situation: Situation) -> None:
    incident, journal = opened(tmp_path, situation.sources(), window=situation.window)
    incident.causes()
    situation.recover()
    finding = incident.verify()
    assert finding.status is FindingStatus.NORMAL
    assert "0.0%, within 5.0% (at the opening 40.0%)" in finding.summary
    assert journal.records[-1].recovered_at is not None
    closed = incident.close()
    assert any("Recovered" in note for note in closed.notes)


class BusyAtFirst(Changing):
    """A Prometheus that lets the symptom time out while all the checks ask, a second try included."""

    def __init__(self, situation: Situation) -> None:
        super().__init__(situation)
        self.asked = 0

    def range(self, promql: str, **asked: Any) -> Any:
        if promql == "error_ratio":
            self.asked += 1
            if self.asked <= 2:
                raise SourceTimeout(self.name, "no complete answer within 8 s")
        return super().range(promql, **asked)


def test_a_symptom_that_timed_out_amid_all_the_checks_is_asked_for_again_when_they_are_done(
    tmp_path: Path, situation: Situation
) -> None:
    metrics = BusyAtFirst(situation)
    incident, journal = opened(tmp_path, situation.sources(metrics=metrics), window=situation.window)
    assert incident.symptoms().summary.startswith("Yes: error rate is 40.0%")
    assert [cause.name for cause in incident.causes().roots] == ["db_pool_exhausted"]
    assert journal.records[-1].symptoms[0].breached is True


def test_a_prometheus_that_does_not_answer_at_all_is_not_waited_for_twice(tmp_path: Path, situation: Situation) -> None:
    metrics = BusyAtFirst(situation)

    def discover() -> Expressions:
        raise SourceTimeout("prometheus", "no answer")

    incident, _ = opened(tmp_path, situation.sources(metrics=metrics), window=situation.window, discover=discover)
    incident.symptoms()
    incident.causes()
    assert metrics.asked <= 1


def test_a_symptom_that_is_first_measured_later_stands_in_the_record(tmp_path: Path, situation: Situation) -> None:
    known = situation.measured["error_ratio"]
    situation.measured["error_ratio"] = Sick("timeout")
    incident, journal = opened(tmp_path, situation.sources(), window=situation.window)
    incident.causes()
    assert journal.records[-1].symptoms[0].breached is None
    situation.measured["error_ratio"] = known
    incident.verify()
    record = journal.records[-1]
    assert (record.symptoms[0].value, record.symptoms[0].breached) == (0.4, True)
    assert "could not be measured" in record.summary
    assert "Measured later, it is 40.0%, above the limit of 5.0%. Look at everything again" in record.summary
    assert "Measured later" in incident.close().summary


def test_verification_does_not_claim_what_it_cannot_measure(tmp_path: Path, situation: Situation) -> None:
    incident, journal = opened(tmp_path, situation.sources(), window=situation.window)
    incident.causes()
    situation.measured["error_ratio"] = Sick("timeout")
    finding = incident.verify()
    assert finding.status is FindingStatus.UNKNOWN
    assert "not known" in finding.summary
    assert journal.records[-1].recovered_at is None


def test_the_closed_record_holds_what_the_postmortem_needs(tmp_path: Path, situation: Situation) -> None:
    alert = {"labels": {"alertname": "HighErrorRate", "severity": "sev-1"}, "startsAt": (situation.onset).isoformat()}
    incident, journal = opened(tmp_path, situation.sources(), window=situation.window, alert=alert)
    incident.connection()
    incident.symptoms()
    incident.close()
    record = journal.records[-1]
    assert (record.status, record.severity, record.issue, record.service) == ("completed", "SEV-1", "high_error_rate", "shop")
    assert record.onset_at is not None
    assert abs(record.onset_at - situation.onset) < timedelta(seconds=30)
    assert record.finished_at is not None
    assert record.started_at <= record.finished_at
    assert [(one.name, one.unit, one.breached) for one in record.symptoms] == [("error_rate", "ratio", True)]
    assert record.causes[0].verdict is Verdict.CONFIRMED
    assert {line.split(":")[0] for cause in record.causes for line in cause.evidence} <= {"for", "against", "missing"}
    assert {source.name for source in record.sources} >= {"prometheus", "kubernetes", "logs", "postgres", "http"}
    assert record.impact.startswith("40.0% of the requests to shop fail.")
    assert [entry.kind for entry in record.timeline][:1] == ["alert"] or record.timeline[0].kind == "finding"
    assert {entry.kind for entry in record.timeline} == {"alert", "finding", "note"}
    assert list(record.timeline) == sorted(record.timeline, key=lambda entry: entry.at)
    assert IncidentRecord.model_validate_json(record.model_dump_json(by_alias=True)) == record


def test_a_healthy_service_has_no_severity_no_impact_and_nothing_to_do(tmp_path: Path) -> None:
    window = last_hour()
    incident, journal = opened(tmp_path, fake_sources(metrics=FakeMetrics(window=window)), window=window)
    assert incident.symptoms().summary.startswith("No: error rate is 0.0%")
    assert incident.causes().summary == "shop is well: error rate is 0.0%, within 5.0%."
    incident.close()
    record = journal.records[-1]
    assert (record.severity, record.impact, record.onset_at) == (None, "", None)
    assert record.next_steps == ("Nothing to do here: the symptom is within its threshold.",)


def test_a_service_whose_symptom_is_absent_is_not_called_well_while_something_is_critical(tmp_path: Path) -> None:
    window = last_hour()
    slow = FakeMetrics({"latency_quantile": line(4.8, window=window)}, window=window)
    incident, _ = opened(tmp_path, fake_sources(metrics=slow), window=window)
    assert "yet it is not well: 1 of 6 key metrics are out of bounds: p95 latency 4.80 s" in incident.causes().summary


def test_figures_over_time_show_the_onset_and_the_alert(tmp_path: Path, situation: Situation) -> None:
    alert = {"startsAt": (situation.onset + timedelta(minutes=5)).isoformat()}
    incident, _ = opened(tmp_path, situation.sources(), window=situation.window, alert=alert)
    figure = incident.check.error_ratio().figure
    assert isinstance(figure, LineFigure)
    assert [(marker.kind, marker.label) for marker in figure.markers] == [("onset", "onset"), ("alert", "alert")]


def test_with_every_source_dead_the_incident_still_closes(tmp_path: Path) -> None:
    dead = {name: Sick("unreachable", name=name) for name in ("metrics", "cluster", "logs", "database", "cache", "http")}
    incident, journal = opened(tmp_path, fake_sources(**dead), window=last_hour(), discover=dead["metrics"].expressions)
    assert "0 of 6 sources answer" in incident.connection().summary
    found = incident.causes()
    assert {cause.verdict for cause in found.causes} == {Verdict.UNKNOWN}
    assert "could not be measured" in found.summary
    assert len(found.missing_sources) == 4  # an HTTP answer that failed is told of by its address, not as a source
    incident.verify()
    incident.close()
    assert journal.records[-1].status == "completed"
    assert {source.status for source in journal.records[-1].sources} == {"unreachable"}


def test_the_missing_source_is_named_in_the_summary(tmp_path: Path, situation: Situation) -> None:
    sources = situation.sources(database=Sick("refused", "password authentication failed", name="postgres"))
    incident, _ = opened(tmp_path, sources, window=situation.window)
    found = incident.causes()
    assert found.summary.endswith("Not available: postgres.")
    assert found.missing_sources == ("postgres (refused: password authentication failed)",)


def test_any_question_off_the_path_is_answered_as_a_frame_and_kept(tmp_path: Path, situation: Situation) -> None:
    logs = FakeLogs(log_lines("charged 7 EUR (ok)", since=situation.onset, until=situation.window.end, level="info"))
    incident, journal = opened(tmp_path, situation.sources(logs=logs, database=FakeDatabase()), window=situation.window)
    assert len(incident.metrics.range("error_ratio", window="5m")) < len(incident.metrics.range("error_ratio"))
    assert incident.metrics.instant("error_ratio")["value"].tolist() == [0.4]
    assert "pool_size" in incident.metrics.names("pool")
    assert set(incident.logs.search("EUR (ok")["message"]) == {"charged 7 EUR (ok)"}
    assert len(incident.logs.search("eur|usd", regex=True)) == len(incident.logs.search("EUR"))
    assert len(incident.database.query("select 1 as one")) == 0
    assert {finding.name for finding in journal.findings} >= {"query_metrics", "search_logs", "query_database"}


def test_the_window_and_the_service_are_those_that_were_given(tmp_path: Path, situation: Situation) -> None:
    incident, _ = opened(tmp_path, situation.sources(), window=situation.window)
    assert incident.window == situation.window
    assert incident.service.name == "shop"
    assert incident.id.endswith("high_error_rate-1")


def test_prevention_says_what_keeps_it_from_coming_back(tmp_path: Path, situation: Situation) -> None:
    incident, _ = opened(tmp_path, situation.sources(), window=situation.window)
    assert any("connection pools" in note for note in incident.prevention().notes)


def test_closing_gives_the_sources_back(tmp_path: Path, situation: Situation) -> None:
    closed: list[str] = []

    class Closing(FakeLogs):
        def close(self) -> None:
            closed.append(datetime.now(UTC).isoformat())

    sources: Sources = situation.sources(logs=Closing())
    incident, _ = opened(tmp_path, sources, window=situation.window)
    incident.close()
    assert len(closed) == 1
