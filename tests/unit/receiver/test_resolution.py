from dataclasses import replace
from datetime import UTC, datetime

import pytest

from runbook_lib.errors import ArchiveError
from runbook_lib.models.record import IncidentRecord
from runbook_lib.receiver.queue import Job
from runbook_lib.receiver.resolution import note_resolved

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
    note_resolved(job)
    note_resolved(job)
    assert timeline(tmp_path) == ["fired", "HighErrorRate is resolved", "later"]
    assert not list(tmp_path.glob("*.part"))


def test_without_an_archive_or_a_resolution_nothing_happens(job, tmp_path):
    note_resolved(replace(job, archive=None))
    note_resolved(replace(job, resolved_at=None))
    assert timeline(tmp_path) == ["fired", "later"]


@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_record_that_cannot_be_read_is_told(content, job, tmp_path):
    (tmp_path / "incident.json").unlink()
    if content is not None:
        (tmp_path / "incident.json").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"incident\.json"):
        note_resolved(job)
