"""Changes: only what was approved is done, once, and never on a window that is over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runbook_lib.actions.interface import Mode
from runbook_lib.errors import SourceUnreachable
from runbook_lib.incident import Incident
from runbook_lib.models.plan import Refusal
from runbook_lib.playbooks import playbook
from runbook_lib.testing import FakeJournal
from tests.unit.incident.opened import FakeAction, Situation, opened

NAMES = playbook("high_error_rate").actions


@pytest.fixture
def situation() -> Situation:
    return Situation()


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch, situation: Situation) -> dict[str, FakeAction]:
    """Fakes for this playbook's actions, any of which cures the symptom; waiting takes no time."""
    fakes = {name: FakeAction(then=situation.recover) for name in NAMES}
    monkeypatch.setattr("runbook_lib.incident.resolution.ACTIONS", {name: fake.as_action(name) for name, fake in fakes.items()})
    monkeypatch.setattr("runbook_lib.incident.resolution.time", SimpleNamespace(sleep=lambda _: None))
    return fakes


def incident_on(
    folder: Path, situation: Situation, mode: Mode = "papermill", approve: str = "", **fields: Any
) -> tuple[Incident, FakeJournal]:
    return opened(folder, situation.sources(), window=situation.window, mode=mode, approve=approve, **fields)


def test_papermill_executes_what_approve_names_and_shows_the_rest(
    tmp_path: Path, situation: Situation, actions: dict[str, FakeAction]
) -> None:
    incident, journal = incident_on(tmp_path, situation, approve="restart_pods")
    assert incident.resolve.raise_pool_size().outcome.status == "proposed"
    assert incident.resolve.restart_pods().outcome.status == "executed"
    assert {name: action.applied for name, action in actions.items() if action.applied} == {"restart_pods": 1}
    recorded = {action.name: action for action in journal.records[-1].actions}
    assert recorded["restart_pods"].status == "executed"
    assert recorded["restart_pods"].recommended_for == ("db_pool_exhausted",)
    assert recorded["restart_pods"].effect == "better"
    assert recorded["raise_pool_size"].status == "proposed"


def test_a_second_approved_action_is_not_made_once_the_first_has_cured_the_symptom(
    tmp_path: Path, situation: Situation, actions: dict[str, FakeAction]
) -> None:
    incident, journal = incident_on(tmp_path, situation, approve="restart_pods,raise_pool_size")
    assert incident.resolve.restart_pods().outcome.effect == "better"
    outcome = incident.resolve.raise_pool_size().outcome
    assert outcome.refusal is not None
    assert outcome.refusal.by == "is it this issue"
    assert actions["raise_pool_size"].applied == 0
    assert {action.name: action.status for action in journal.records[-1].actions}["raise_pool_size"] == "refused"


def test_it_is_made_while_something_else_than_its_value_breaches_the_symptom(
    tmp_path: Path, situation: Situation, actions: dict[str, FakeAction]
) -> None:
    issue = playbook("high_error_rate")
    killed = replace(
        issue,
        symptom=lambda context, finding: replace(issue.symptom(context, finding), beyond="a pod was killed for lack of memory"),
    )
    incident, _ = incident_on(tmp_path, situation, approve="restart_pods,raise_pool_size", issue=killed)
    incident.resolve.restart_pods()
    assert incident.resolve.raise_pool_size().outcome.status == "executed"


def test_without_approval_nothing_is_changed(tmp_path: Path, situation: Situation, actions: dict[str, FakeAction]) -> None:
    incident, journal = incident_on(tmp_path, situation)
    for name in NAMES:
        assert getattr(incident.resolve, name)().outcome.status == "proposed"
    assert not any(action.applied for action in actions.values())
    assert {action.status for action in journal.records[-1].actions} == {"proposed"}
    assert journal.records[-1].actions[0].name == "restart_pods"  # what the confirmed cause calls for stands first


def test_running_a_cell_again_never_repeats_a_change(
    tmp_path: Path, situation: Situation, actions: dict[str, FakeAction]
) -> None:
    incident, journal = incident_on(tmp_path, situation, approve="restart_pods")
    incident.resolve.restart_pods()
    again = incident.resolve.restart_pods()
    assert actions["restart_pods"].applied == 1
    assert again.plan is None
    assert again.approve is None
    assert "Executed already" in again.outcome.text
    assert next(action.status for action in journal.records[-1].actions if action.name == "restart_pods") == "executed"


def test_a_person_is_asked_anew_for_a_second_execution_and_told_of_the_first(
    tmp_path: Path, situation: Situation, actions: dict[str, FakeAction]
) -> None:
    incident, journal = incident_on(tmp_path, situation, mode="interactive")
    first = incident.resolve.restart_pods()
    assert first.outcome.status == "proposed"
    assert first.approve is not None
    assert first.approve(None).status == "executed"
    assert actions["restart_pods"].applied == 1
    second = incident.resolve.restart_pods()
    assert actions["restart_pods"].applied == 1
    assert second.plan is not None
    assert "executed in this incident already" in second.plan.warnings[0]
    assert journal.records[-1].recovered_at is None  # only verify() says so


def test_an_approval_by_button_is_kept_in_the_record(
    tmp_path: Path, situation: Situation, actions: dict[str, FakeAction]
) -> None:
    del actions
    incident, journal = incident_on(tmp_path, situation, mode="interactive")
    proposal = incident.resolve.restart_pods()
    assert [action.status for action in journal.records[-1].actions] == ["proposed"]
    assert proposal.approve is not None
    proposal.approve(None)
    assert [action.status for action in journal.records[-1].actions] == ["executed"]
    assert any(entry.kind == "action" for entry in journal.records[-1].timeline)
    assert "Recovered after restart pods" in incident.verify().summary


@pytest.mark.parametrize("risk", ["low", "high"])
def test_a_way_back_is_kept_in_the_record_once_it_was_approved(
    tmp_path: Path, situation: Situation, actions: dict[str, FakeAction], risk: Any
) -> None:
    actions["restart_pods"].way_back = risk
    incident, journal = incident_on(tmp_path, situation, mode="interactive")
    proposal = incident.resolve.restart_pods()
    assert proposal.approve is not None
    proposal.approve(None)
    assert proposal.undo is not None
    proposal.undo()
    if proposal.back is not None:
        assert risk == "high"
        assert [action.status for action in journal.records[-1].actions] == ["executed"]
        assert proposal.back.approve is not None
        proposal.back.approve("deployment/shop")
    assert [action.status for action in journal.records[-1].actions] == ["executed", "undone"]
    assert proposal.undo is None


@pytest.mark.parametrize("fixed", [{"live": False}, {"replayed": True}])
def test_a_past_or_replayed_window_changes_nothing(
    tmp_path: Path, situation: Situation, actions: dict[str, FakeAction], fixed: dict[str, bool]
) -> None:
    incident, _ = incident_on(tmp_path, situation, approve="restart_pods", **fixed)
    proposal = incident.resolve.restart_pods()
    assert proposal.outcome.status == "refused"
    assert "past window" in proposal.outcome.text
    assert proposal.recommended_for == ("db_pool_exhausted",)
    assert actions["restart_pods"].planned == 0


def test_a_dry_run_says_what_it_would_have_done(tmp_path: Path, situation: Situation, actions: dict[str, FakeAction]) -> None:
    incident, journal = incident_on(tmp_path, situation, approve="restart_pods", dry_run=True)
    outcome = incident.resolve.restart_pods().outcome
    assert outcome.status == "proposed"
    assert "would have done" in outcome.text
    assert actions["restart_pods"].applied == 0
    assert journal.records[-1].dry_run is True


def test_a_refusal_says_what_would_change_it(tmp_path: Path, situation: Situation, actions: dict[str, FakeAction]) -> None:
    actions["restart_pods"].refusal = Refusal(by="target", reason="there is no such deployment", mend="name it in the file")
    incident, _ = incident_on(tmp_path, situation, approve="restart_pods")
    outcome = incident.resolve.restart_pods().outcome
    assert outcome.status == "refused"
    assert "no such deployment" in outcome.text


def test_a_cluster_that_cannot_be_logged_in_to_is_no_traceback(
    tmp_path: Path, situation: Situation, actions: dict[str, FakeAction], monkeypatch: pytest.MonkeyPatch
) -> None:
    del actions
    incident, _ = incident_on(tmp_path, situation)

    def fails() -> None:
        raise SourceUnreachable("kubernetes", "connection refused")

    resolution = incident._resolution
    monkeypatch.setattr(resolution, "_settings", SimpleNamespace(**{**vars(resolution._settings), "api_client": fails}))
    assert incident.resolve.restart_pods().outcome.status in ("proposed", "refused")


def test_the_menu_tells_the_kind_and_the_risk_of_each_action(
    tmp_path: Path, situation: Situation, actions: dict[str, FakeAction]
) -> None:
    del actions
    incident, _ = incident_on(tmp_path, situation)
    assert sorted(dir(incident.resolve)) == sorted(NAMES)
    assert "low risk" in (incident.resolve.restart_pods.__doc__ or "")
    assert "restart_pods" in repr(incident.resolve)
