"""The incident that a notebook steps through: opens, gathers, diagnoses, resolves, closes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from runbook_lib.analysis.diagnosis import judge
from runbook_lib.incident import aftermath, connecting, recording, telling
from runbook_lib.incident.exploring import DatabaseExplorer, LogsExplorer, MetricsExplorer
from runbook_lib.incident.heap import HeapExplorer
from runbook_lib.incident.investigation import Investigation, Scope
from runbook_lib.incident.menu import Menu
from runbook_lib.incident.recording import Journal
from runbook_lib.incident.resolution import Resolution, ResolutionSettings
from runbook_lib.incident.timeline import Happened, timeline
from runbook_lib.models.cause import Diagnosis, Symptom
from runbook_lib.models.figure import LineFigure
from runbook_lib.models.finding import Finding
from runbook_lib.models.plan import Proposal
from runbook_lib.models.record import IncidentRecord
from runbook_lib.models.window import Window
from runbook_lib.playbooks.declaration import CheckStep, Playbook
from runbook_lib.service import Service

__all__ = ["Incident", "Opening"]


@dataclass(frozen=True, kw_only=True)
class Opening:
    """All that an incident is opened with. heap_dumps: where those are that can be read; None: where this one keeps its own."""

    identifier: str
    playbook: Playbook
    scope: Scope
    journal: Journal
    settings: ResolutionSettings
    heap_dumps: Path | None = None
    alert: Mapping[str, Any] = field(default_factory=dict)
    started_at: datetime


class Incident:
    """One investigation. Everything that it shows is also kept in its archive.

    `check.<TAB>` and `resolve.<TAB>` list the steps and the actions of this playbook. `metrics`, `logs` and `database` answer any
    question off the path, as frames that plot themselves and are archived as well; `heap` reads the heap dumps that were taken.
    """

    check: Menu[Finding]
    resolve: Menu[Proposal]

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._playbook = opening.playbook
        self._scope = opening.scope
        self._shown: set[str] = set()
        self._kept: dict[str, Finding] = {}
        self._diagnosis: Diagnosis | None = None
        self._recovered_at: datetime | None = None
        self._rest = ""  # of the symptom, when it was last measured
        self._late: Symptom | None = None  # first measured when the others were looked at already
        self._looked_twice = False
        self._resolution = Resolution(
            opening.playbook,
            lambda: self._scope,
            opening.settings,
            opening.journal,
            incident=opening.identifier,
            diagnosis=self.causes,
            measure=self._fresh_symptom,
            lag=lambda: self._investigation.tolerance(),
            on_outcome=self._write,
        )
        self._write()  # before anything is asked, so that a crash from here on leaves a record
        self._investigation = Investigation(opening.playbook, opening.scope, on_finding=self._keep).start()
        self.check = Menu(
            "check",
            {step.name: ((step.run.__doc__ or "").strip(), partial(self._check, step.name)) for step in self._playbook.checks},
        )
        self.resolve = Menu("action", self._resolution.entries())
        self._explore()

    @property
    def id(self) -> str:
        """The incident's name: sorts by time, never used twice."""
        return self._opening.identifier

    @property
    def service(self) -> Service:
        """What the team knows of the service."""
        return self._scope.service

    @property
    def window(self) -> Window:
        """The stretch of time that is looked at."""
        return self._scope.window

    def connection(self) -> Finding:
        """Which cluster, as whom, which sources answer, and what may be changed. Read it before going on."""
        settings = self._opening.settings
        finding = connecting.connection(
            self._playbook, self._scope, identifier=self.id, mode=settings.mode, dry_run=settings.dry_run
        )
        self._keep(finding)
        return finding

    def symptoms(self) -> Finding:
        """Is it this issue? The measured symptom against its threshold, and what to do when it is not."""
        self._look_twice()
        finding = telling.match(self._playbook, self.service, self._symptom())
        self._keep(finding)
        return finding

    def causes(self) -> Diagnosis:
        """All causes with their verdicts, ranked, with the evidence for, against, and missing."""
        if self._diagnosis is None:
            self._look_twice()
            findings, symptom = self._investigation.findings(), self._symptom()
            causes = judge(
                rules=self._playbook.causes,
                conjunctions=self._playbook.conjunctions,
                findings=findings,
                symptom=symptom,
                tolerance=self._investigation.tolerance(),
            )
            self._diagnosis = telling.diagnosis(self._playbook, self.service, symptom, causes, findings, at=datetime.now(UTC))
            self._write()
        return self._diagnosis

    def refresh(self) -> Diagnosis:
        """Look at everything again, over a window of the same length that ends now, and judge anew."""
        self._scope = self._scope.moved_to_now()
        self._shown.clear()
        self._diagnosis = None
        self._investigation = Investigation(self._playbook, self._scope, on_finding=self._keep).start()
        return self.causes()

    def verify(self) -> Finding:
        """Has the symptom gone? Its own metric now, against its threshold and against what it was."""
        before, now = self._symptom(), self._fresh_symptom()
        if now.value is not None and any(
            outcome.changed and outcome.status == "executed" for outcome in self._resolution.outcomes
        ):
            # The guard has waited for the effect: the level counts, and no longer how short the quiet since has been.
            now = replace(now, breached=now.value > now.threshold)
        if before.breached and now.breached is False:
            self._recovered_at = self._recovered_at or datetime.now(UTC)
            self._rest = aftermath.rest_of(before, now)
        if before.breached is None and now.breached is not None:
            self._late = now
        finding = aftermath.verification(before, now, self._resolution.outcomes)
        self._keep(finding)
        self._write()
        return finding

    def prevention(self) -> Finding:
        """What keeps this issue from happening again."""
        return aftermath.prevention(self._playbook, self.service)

    def close(self) -> Finding:
        """Write the record for good, and name the next step."""
        self._diagnosis = replace(self.causes(), next_steps=self._next_steps())
        directory, outcomes = self._opening.journal.directory, self._resolution.outcomes
        found = replace(self._diagnosis, summary=telling.with_late(self._diagnosis.summary, self._late))
        finding = aftermath.closing(self.service, found, outcomes, directory, recovered_at=self._recovered_at)
        self._write(status="completed")
        self._scope.sources.close()
        return finding

    def _next_steps(self) -> tuple[str, ...]:
        """After what was done: those of the diagnosis hold while the symptom has not gone."""
        if not self._recovered_at:
            return self.causes().next_steps
        return aftermath.after_recovery(self.service, self._resolution.outcomes, rest=self._rest)

    def _check(self, name: str) -> Finding:
        """The first look shows what was gathered at the opening; a repeated one asks again."""
        if name in self._shown and self._scope.moves:
            needed = {name, *self._playbook.symptom_checks}
            again = self._narrowed(tuple(step for step in self._playbook.checks if step.name in needed))
            finding = Investigation(again, self._scope.moved_to_now(), on_finding=self._keep).start().finding(name)
        else:
            if name in self._playbook.symptom_checks:
                self._look_twice()
            finding = self._investigation.finding(name)
        self._shown.add(name)
        return self._annotated(finding)

    def _look_twice(self) -> None:
        """Once, where the symptom timed out amid all the checks: without it nothing can be confirmed, and nobody may be awake."""
        if self._looked_twice or not self._scope.moves:
            return
        self._looked_twice = True
        if self._symptom().breached is None and self._investigation.amid_all_too_busy():
            self._scope = self._scope.moved_to_now()
            self._investigation = Investigation(self._playbook, self._scope, on_finding=self._keep).start()

    def _narrowed(self, checks: tuple[CheckStep, ...]) -> Playbook:
        return replace(self._playbook, checks=checks)

    def _symptom(self) -> Symptom:
        return self._investigation.symptom()

    def _fresh_symptom(self) -> Symptom:
        if not self._scope.moves:
            return self._symptom()
        only = self._narrowed(tuple(step for step in self._playbook.checks if step.name in self._playbook.symptom_checks))
        return Investigation(only, self._scope.moved_to_now(), on_finding=lambda _: None).start().symptom()

    def _annotated(self, finding: Finding) -> Finding:
        """The onset, rollouts, alert and actions drawn into a figure over time."""
        if not isinstance(finding.figure, LineFigure):
            return finding
        found = telling.markers(self._symptom(), self._kept.get("recent_changes"), self._opening.alert, self._resolution.outcomes)
        inside = [marker for marker in (*finding.figure.markers, *found) if marker.at in self._scope.window]
        distinct = tuple({(marker.at, marker.label): marker for marker in inside}.values())
        return replace(finding, figure=replace(finding.figure, markers=distinct))

    def _keep(self, finding: Finding) -> None:
        """Called from the checks' threads, too."""
        self._kept[finding.name] = finding
        self._opening.journal.finding(finding)

    def _explore(self) -> None:
        sources, keep = self._scope.sources, self._opening.journal.finding
        selector = self.service.components.application.selector

        def window() -> Window:
            return self._scope.window

        self.metrics = MetricsExplorer(window=window, keep=keep, source=sources.metrics)
        self.logs = LogsExplorer(window=window, keep=keep, source=sources.logs, selector=selector)
        self.database = DatabaseExplorer(window=window, keep=keep, source=sources.database)
        self.heap = HeapExplorer(directory=self._opening.heap_dumps or self._opening.journal.heap_directory, keep=self._keep)

    def _write(self, *, status: Literal["running", "completed"] = "running") -> None:
        opening, diagnosis = self._opening, self._diagnosis
        steps = [step.name for step in self._playbook.checks]
        order = ["connection", "is_it_this_issue", *steps, "heap_contents", "heap_growth", "verification"]
        findings = sorted(self._kept.copy().values(), key=lambda one: order.index(one.name))
        outcomes = self._resolution.outcomes
        symptom = self._late or (diagnosis.symptoms[0] if diagnosis else None)
        alert = dict(opening.alert)
        opening.journal.record(
            IncidentRecord(
                schema=1,
                id=opening.identifier,
                issue=self._playbook.name,
                service=self.service.name,
                environment=self.service.environment,
                severity=telling.severity(self.service, symptom, alert),
                status=status,
                summary=telling.with_late(diagnosis.summary, self._late) if diagnosis else "",
                started_at=opening.started_at,
                finished_at=datetime.now(UTC) if status == "completed" else None,
                onset_at=symptom.onset_at if symptom else None,
                recovered_at=self._recovered_at,
                window_start=opening.scope.window.start,
                window_end=opening.scope.window.end,
                dry_run=opening.settings.dry_run,
                alert=alert,
                impact=telling.impact(self.service, symptom),
                symptoms=(recording.symptom_record(symptom),) if symptom else (),
                sources=recording.source_records(findings),
                causes=tuple(recording.cause_record(cause) for cause in diagnosis.causes) if diagnosis else (),
                findings=tuple(recording.finding_record(finding) for finding in findings),
                actions=recording.action_records((one.outcome, one.recommended_for) for one in self._resolution.resolved),
                timeline=timeline(
                    Happened(
                        issue=self._playbook.name,
                        opened_at=None if opening.scope.replayed else opening.started_at,
                        alert=alert,
                        diagnosis=diagnosis,
                        findings=findings,
                        outcomes=outcomes,
                        recovered_at=self._recovered_at,
                    )
                ),
                next_steps=diagnosis.next_steps if diagnosis else (),
            )
        )
