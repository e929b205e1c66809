from dataclasses import replace
from datetime import UTC, datetime

import pytest

from runbook_lib.errors import ArchiveError
from runbook_lib.models.record import IncidentRecord
from runbook_lib.receiver.job import Job, JoinedAlert
from runbook_lib.receiver.resolution import note_alerts

STARTED = datetime(2026, 5, 4, 3, 12, 40, tzinfo=UTC)
RESOLVED = datetime(2026, 5, 4, 3, 20, tzinfo=UTC)


@pytest.fixture
def job(tmp_path) -> Job:
    entries = ({"at": STARTED, "kind": "alert", "text": "fired"}, {"at": "2026-05-04T04:00:00Z", "kind": "note", "text": "later"})
    record = IncidentRecord(
        id="1",
        issue="high_error_rate",
        service="orders",
        environment="lab",
        status="completed",
        started_at=STARTED,
        window_start=STARTED,
        window_end=RESOLVED,
        timeline=entries,
    )
    (tmp_path / "incident.json").write_text(record.model_dump_json(by_alias=True))
    alert = {"labels": {"alertname": "HighErrorRate"}}
    ended = {"archive": str(tmp_path), "resolved_at": RESOLVED.isoformat()}
    return Job(id="1", key="k", notebook="high_error_rate", service="o.yaml", alert=alert, accepted_at="", **ended)


def timeline(tmp_path) -> list[str]:
    return [entry.text for entry in IncidentRecord.model_validate_json((tmp_path / "incident.json").read_bytes()).timeline]


def test_the_resolution_stands_in_the_timeline_in_its_place_and_once(job, tmp_path):
    note_alerts(job)
    note_alerts(job)
    assert timeline(tmp_path) == ["fired", "HighErrorRate is resolved", "later"]
    assert not list(tmp_path.glob("*.part"))


def joined(name: str, key: str, resolved_at: str | None) -> JoinedAlert:
    alert = {"labels": {"alertname": name}, "startsAt": "2026-05-04T03:13:00Z"}
    return JoinedAlert(key=key, alert=alert, resolved_at=resolved_at)


def test_alerts_that_joined_stand_in_the_timeline_and_only_the_last_resolution(job, tmp_path):
    others = (joined("HighErrorRate", "a", "2026-05-04T03:30:00+00:00"), joined("TooManyErrors", "b", None))
    note_alerts(replace(job, joined=others))
    told = "2 more called for this run: HighErrorRate (1), TooManyErrors (1)"
    assert timeline(tmp_path) == ["fired", told, "later"]
    note_alerts(replace(job, joined=(others[0], joined("TooManyErrors", "b", "2026-05-04T03:25:00+00:00"))))
    assert timeline(tmp_path) == ["fired", told, "HighErrorRate and 2 more are resolved", "later"]


def test_without_an_archive_or_a_resolution_nothing_happens(job, tmp_path):
    note_alerts(replace(job, archive=None))
    note_alerts(replace(job, resolved_at=None))
    assert timeline(tmp_path) == ["fired", "later"]


@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_record_that_cannot_be_read_is_told(content, job, tmp_path):
    (tmp_path / "incident.json").unlink()
    if content is not None:
        (tmp_path / "incident.json").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"incident\.json"):
        note_alerts(job)
