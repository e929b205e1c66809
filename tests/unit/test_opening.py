"""What a notebook's parameters cell may say, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.errors import ConfigurationError, RunbookError, UsageError
from runbook_lib.incident import Incident
from runbook_lib.opening import open_incident
from runbook_lib.testing import service
from tests.unit.incident.opened import Situation

KNOWN = service(connections={"prometheus": {"url": "http://127.0.0.1:1"}}).model_dump(mode="json", exclude_unset=True)


@pytest.fixture
def situation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Situation:
    """The systems behind every incident of a test are fakes; the archive is a temporary folder."""
    found = Situation()
    sources = found.sources()
    monkeypatch.setenv("RUNBOOK_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setattr("runbook_lib.opening.open_sources", lambda known: sources)
    monkeypatch.setattr(
        "runbook_lib.opening.discover",
        lambda known, asked, window=None: sources.metrics.expressions(),  # type: ignore[attr-defined]
    )
    return found


@pytest.fixture
def opened() -> Iterator[list[Incident]]:
    """Incidents to close when the test ends."""
    incidents: list[Incident] = []
    yield incidents
    for incident in incidents:
        incident.close()


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "incident.json").read_text(encoding="utf-8"))
    return record


def folders(tmp_path: Path) -> list[Path]:
    return sorted(path.parent for path in (tmp_path / "outputs").rglob("incident.json"))


def test_an_incident_gets_a_folder_of_its_own_with_a_record_at_once(
    situation: Situation, tmp_path: Path, opened: list[Incident]
) -> None:
    opened.append(open_incident("high_error_rate", service={"service": KNOWN}))
    (folder,) = folders(tmp_path)
    assert folder.name == opened[0].id
    assert record_of(folder)["status"] == "running"
    assert folder.parent.parent.name == "shop"


def test_a_closed_incident_is_archived_with_its_cause_and_evidence(situation: Situation, tmp_path: Path) -> None:
    incident = open_incident("high_error_rate", service=KNOWN, environment="test")
    incident.close()
    (folder,) = folders(tmp_path)
    record = record_of(folder)
    assert (record["status"], record["causes"][0]["name"]) == ("completed", "db_pool_exhausted")
    assert (folder / "evidence" / "answers" / "metrics.jsonl").is_file()


def test_a_replay_of_the_folder_comes_to_the_same_verdicts_and_changes_nothing(situation: Situation, tmp_path: Path) -> None:
    first = open_incident("high_error_rate", service=KNOWN)
    found = first.causes()
    first.close()
    again = open_incident("high_error_rate", service=KNOWN, replay=str(folders(tmp_path)[0]), approve="restart_pods")
    assert [(cause.name, cause.verdict, cause.confidence) for cause in again.causes().causes] == [
        (cause.name, cause.verdict, cause.confidence) for cause in found.causes
    ]
    assert again.resolve.restart_pods().outcome.status == "refused"
    assert again.window == first.window
    again.close()


def test_the_window_ends_now_unless_an_end_is_given(situation: Situation, opened: list[Incident]) -> None:
    opened.append(open_incident("high_error_rate", service=KNOWN, window="30m"))
    assert opened[-1].window.duration == timedelta(minutes=30)
    assert datetime.now(UTC) - opened[-1].window.end < timedelta(seconds=30)
    opened.append(open_incident("high_error_rate", service=KNOWN, start="2026-03-01T03:00:00Z", end="2026-03-01T04:00:00Z"))
    assert str(opened[-1].window).startswith("2026-03-01T03:00:00Z to 2026-03-01T04:00:00Z")


def test_an_alert_that_began_earlier_widens_the_window_to_find_the_onset(situation: Situation, opened: list[Incident]) -> None:
    began = datetime.now(UTC) - timedelta(minutes=50)
    opened.append(open_incident("high_error_rate", service=KNOWN, window="10m", alert={"startsAt": began.isoformat()}))
    assert opened[-1].window.start == began - timedelta(minutes=60)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"issue": "high_eror_rate"}, "high_error_rate"),
        ({"window": "an hour"}, "an hour"),
        ({"end": "yesterday"}, "yesterday"),
        ({"start": "2026-03-01T05:00:00Z", "end": "2026-03-01T04:00:00Z"}, "start"),
        ({"approve": "restart_everything"}, "restart_everything"),
        ({"service": "no-such-service"}, "no-such-service"),
        ({"replay": "no/such/folder"}, "no/such/folder"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_is_asked(
    situation: Situation, tmp_path: Path, fields: dict[str, Any], expected: str
) -> None:
    values: dict[str, Any] = {"issue": "high_error_rate", "service": KNOWN, "environment": "test"} | fields
    with pytest.raises(RunbookError, match=expected) as raised:
        open_incident(values.pop("issue"), **values)
    assert isinstance(raised.value, UsageError | ConfigurationError) or "replay" in fields
    assert folders(tmp_path) == []


def test_secrets_never_reach_the_archive(situation: Situation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "tr0ub4dor-and-3-more")
    known = {**KNOWN, "connections": {"prometheus": {"url": "http://127.0.0.1:1", "bearer_token": "env:SHOP_TOKEN"}}}
    alert = {"labels": {"alertname": "HighErrorRate"}, "annotations": {"summary": "see token tr0ub4dor-and-3-more"}}
    open_incident("high_error_rate", service=known, alert=alert).close()
    for path in (tmp_path / "outputs").rglob("*"):
        if path.is_file():
            assert "tr0ub4dor" not in path.read_text(encoding="utf-8", errors="replace"), path
