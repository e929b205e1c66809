"""All checks begin at once, each ends by its deadline, and none takes another one with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.errors import SourceRefused, SourceTrouble, UsageError
from runbook_lib.incident import Scope
from runbook_lib.incident.investigation import Investigation
from runbook_lib.models.finding import Finding, FindingStatus, SourceStatus
from runbook_lib.playbooks import Playbook, playbook
from runbook_lib.playbooks.declaration import CheckStep
from runbook_lib.testing import Hanging, fake_sources, service
from tests.unit.incident.opened import HURRIED, PATIENT, Situation, last_hour, opened

PLAYBOOK = playbook("high_error_rate")
SLACK_SECONDS = 10  # a machine that is busy with other work


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    source = Hanging("hanging")
    yield source
    source.release()


def begun(checks: Any = PLAYBOOK.checks, *, limits: Any = PATIENT, discover: Any = None, **sources: Any) -> Investigation:
    situation = Situation()
    asked = situation.sources(**sources)
    scope = Scope(
        service=service(limits=limits),
        sources=asked,
        window=situation.window,
        live=True,
        discover=discover or asked.metrics.expressions,  # type: ignore[attr-defined]
    )
    return Investigation(replace(PLAYBOOK, checks=tuple(checks)), scope, on_finding=lambda finding: None).start()


def step(name: str, run: Any) -> CheckStep:
    return CheckStep(name=name, title=name.title(), run=run, needs=("logs",))


def well(name: str) -> Finding:
    return Finding(name=name, title=name, summary="All is well.", status=FindingStatus.NORMAL)


def test_findings_come_in_the_playbooks_order_with_the_time_that_each_took() -> None:
    findings = begun().findings()
    assert [finding.name for finding in findings] == [step.name for step in PLAYBOOK.checks]
    assert all(finding.at is not None and finding.seconds is not None for finding in findings)


def test_all_checks_run_at_the_same_time() -> None:
    others = 4
    together = threading.Barrier(others)

    def check(context: Any) -> Finding:
        del context
        together.wait(timeout=30)  # broken unless all of them are here
        return well("any")

    steps = [PLAYBOOK.checks[0], *(step(f"check_{number}", check) for number in range(others))]
    assert [finding.status for finding in begun(steps).findings()[1:]] == [FindingStatus.NORMAL] * others


ASKED = pytest.mark.parametrize("source", ["logs", "cluster", "database", "http"])


@ASKED
def test_a_source_that_hangs_delays_only_what_asks_it(hanging: Hanging, source: str) -> None:
    investigation = begun(**{source: hanging})
    assert investigation.finding("error_ratio").status is FindingStatus.CRITICAL
    assert investigation.symptom().breached is True
    hanging.release()
    told = [status for finding in investigation.findings() for status in finding.sources if status.status == "timeout"]
    assert told


@ASKED
def test_what_asks_a_source_that_hangs_ends_by_its_deadline(hanging: Hanging, source: str) -> None:
    started = time.monotonic()
    findings = begun(limits=HURRIED, **{source: hanging}).findings()
    assert time.monotonic() - started < HURRIED["all_checks_deadline_seconds"] + SLACK_SECONDS
    assert [status for finding in findings for status in finding.sources if status.status == "timeout"]


def test_prometheus_that_hangs_leaves_the_logs_and_the_cluster(hanging: Hanging) -> None:
    investigation = begun(metrics=hanging)
    assert investigation.finding("pod_status").status is FindingStatus.NORMAL
    hanging.release()
    ratio = investigation.finding("error_ratio")
    assert ratio.status is FindingStatus.UNKNOWN
    assert "hanging" in ratio.summary


def unanswered(status: SourceTrouble, error: str) -> Finding:
    state = SourceStatus(name="prometheus", status=status, error=error)
    return Finding(name="error_ratio", title="", summary="Not known.", status=FindingStatus.UNKNOWN, sources=(state,))


def late() -> Finding:
    return unanswered("timeout", "no answer within 8 s")


TOO_BUSY = (
    late(),
    unanswered("refused", "HTTP 429: too many outstanding requests"),
    unanswered("invalid_answer", "HTTP 422: query processing would load too many samples into memory in query execution"),
)


@pytest.mark.parametrize("first", TOO_BUSY, ids=lambda finding: finding.sources[0].status)
def test_the_symptom_is_asked_for_again_where_prometheus_was_only_busy(first: Finding) -> None:
    tries = iter([first])

    def busy(context: Any) -> Finding:
        context.expressions()  # which metrics there are: that much it did tell
        answer = next(tries, None)
        assert context.sparing is (answer is None)
        return answer or PLAYBOOK.checks[0].run(context)

    investigation = begun([replace(PLAYBOOK.checks[0], run=busy)])
    finding = investigation.finding("error_ratio")
    assert finding.status is FindingStatus.CRITICAL
    assert "second try" in finding.notes[-1]
    assert investigation.symptom().breached is True


def test_the_symptom_is_not_asked_for_again_where_prometheus_tells_nothing() -> None:
    tries: list[str] = []

    def dead(context: Any) -> Finding:
        del context
        tries.append("asked")
        return late()

    def refused() -> Any:
        raise SourceRefused("prometheus", "401")

    investigation = begun([replace(PLAYBOOK.checks[0], run=dead)], discover=refused)
    assert investigation.finding("error_ratio").status is FindingStatus.UNKNOWN
    assert tries == ["asked"]


def test_a_check_that_never_ends_is_given_up_and_says_what_is_not_known(hanging: Hanging) -> None:
    endless = step("endless", lambda context: hanging.read())
    finding = begun([PLAYBOOK.checks[0], endless], limits=HURRIED).finding("endless")
    assert finding.status is FindingStatus.UNKNOWN
    assert "no answer within" in finding.summary
    assert [(status.name, status.status) for status in finding.sources] == [("logs", "timeout")]


def test_a_check_that_stumbles_is_told_and_takes_nothing_with_it() -> None:
    def stumbles(context: Any) -> Finding:
        raise KeyError("a column that was never there")

    finding = begun([PLAYBOOK.checks[0], step("odd", stumbles)]).finding("odd")
    assert finding.status is FindingStatus.UNKNOWN
    assert "KeyError" in finding.summary
    assert "stumbles" in finding.notes[0]


def test_a_check_that_meets_a_sick_source_names_it() -> None:
    def refused(context: Any) -> Finding:
        raise SourceRefused("kubernetes", "pods is forbidden")

    finding = begun([PLAYBOOK.checks[0], step("refused", refused)]).finding("refused")
    assert finding.status is FindingStatus.UNKNOWN
    assert [(status.name, status.status, status.error) for status in finding.sources] == [
        ("kubernetes", "refused", "pods is forbidden")
    ]


def test_an_unknown_check_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="error_ratio"):
        begun().finding("nonsense")


def test_each_finding_is_handed_on_as_soon_as_it_is_there(hanging: Hanging) -> None:
    kept: list[str] = []
    arrived = threading.Event()
    situation = Situation()
    asked = situation.sources(logs=hanging)

    def keep(finding: Finding) -> None:
        kept.append(finding.name)
        if finding.name == "error_ratio":
            arrived.set()

    scope = Scope(
        service=service(limits=PATIENT), sources=asked, window=situation.window, live=True, discover=asked.metrics.expressions
    )  # type: ignore[attr-defined]
    Investigation(PLAYBOOK, scope, on_finding=keep).start()
    assert arrived.wait(30)
    assert "error_logs" not in kept


def test_a_past_and_a_replayed_window_stay_where_they_are() -> None:
    window = last_hour()
    sources = fake_sources()
    scope = Scope(service=service(), sources=sources, window=window, live=True, discover=sources.metrics.expressions)  # type: ignore[attr-defined]
    assert scope.moved_to_now().window.end > window.end
    assert scope.moved_to_now().window.duration == window.duration
    assert replace(scope, live=False).moved_to_now().window == window
    assert replace(scope, replayed=True).moved_to_now().window == window


def test_discovery_that_fails_is_told_to_whatever_needs_it(tmp_path: Path) -> None:
    def fails() -> Any:
        raise SourceRefused("prometheus", "401")

    situation = Situation()
    incident, _ = opened(tmp_path, situation.sources(), window=situation.window, discover=fails)
    assert incident.symptoms().summary.startswith("Not known")
    assert "prometheus refused: 401" in incident.check.error_ratio().summary


def test_a_playbook_of_a_team_runs_like_ours() -> None:
    own: Playbook = replace(PLAYBOOK, name="own", checks=(PLAYBOOK.checks[0], step("mine", lambda context: well("mine"))))
    assert [finding.name for finding in begun(own.checks).findings()] == ["error_ratio", "mine"]
