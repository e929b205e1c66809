"""The list of incidents: newest first, none lost, whatever their folders hold."""

from datetime import timedelta

from runbook_lib.archive.index import incidents
from tests.unit.archive.archives import AT, folder, record


def made(outputs, minutes, **changes):
    at = AT + timedelta(minutes=minutes)
    known = record(id=f"{at:%Y%m%dT%H%M%S}.000Z-high_error_rate-{minutes:06d}", started_at=at, **changes)
    return folder(outputs, known=known)


def test_the_newest_comes_first(tmp_path):
    for minutes in (5, 90, 30):
        made(tmp_path, minutes)
    assert [entry.record.id[-2:] for entry in incidents(tmp_path)] == ["90", "30", "05"]


def test_a_search_looks_into_the_whole_record(tmp_path):
    made(tmp_path, 1, summary="The pool is full.")
    made(tmp_path, 2, summary="Payments does not answer.")
    (found,) = incidents(tmp_path, "POOL")
    assert found.record.summary == "The pool is full."


def test_a_broken_record_is_an_incident_that_says_so(tmp_path):
    made(tmp_path, 1)
    broken = made(tmp_path, 2)
    broken.record_path.write_text('{"schema": 1, "id"')
    empty = made(tmp_path, 3)
    empty.record_path.unlink()
    entries = incidents(tmp_path)
    assert len(entries) == 3
    assert [entry.record.status for entry in entries] == ["interrupted", "interrupted", "completed"]
    assert all("unreadable" in (entry.record.error or "") for entry in entries[:2])
    assert entries[0].record.issue == "high_error_rate"


def test_files_and_hidden_folders_are_none(tmp_path):
    made(tmp_path, 1)
    (tmp_path / "orders" / "2026-03-01" / ".trash").mkdir()
    (tmp_path / "orders" / "2026-03-01" / "notes.txt").write_text("x")
    (tmp_path / ".queue" / "a" / "b").mkdir(parents=True)
    assert len(incidents(tmp_path)) == 1


def test_no_archive_is_an_empty_list(tmp_path):
    assert incidents(tmp_path / "nowhere") == []


def test_hundreds_of_incidents_are_listed_whole(tmp_path):
    for minutes in range(300):
        made(tmp_path, minutes)
    assert len({entry.record.id for entry in incidents(tmp_path)}) == 300
