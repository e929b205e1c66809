"""The incident that a notebook steps through: opens, gathers, diagnoses, resolves, closes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from runbook_lib.incident.resolution import Resolution, ResolutionSettings

from runbook_lib.analysis.diagnosis import judge
from runbook_lib.incident import connecting, telling
from runbook_lib.incident.exploring import DatabaseExplorer, LogsExplorer, MetricsExplorer
from runbook_lib.incident.investigation import Investigation, Scope
from runbook_lib.incident.menu import Menu
from runbook_lib.incident.recording import (
    Journal,
    action_record,
    cause_record,
    finding_record,
    source_records,
    symptom_record,
    timeline,
)
from runbook_lib.models.cause import Diagnosis, Symptom
from runbook_lib.models.figure import LineFigure, Marker
from runbook_lib.models.finding import Finding
from runbook_lib.models.plan import Proposal
from runbook_lib.models.record import IncidentRecord
from runbook_lib.models.window import Window
from runbook_lib.playbooks.declaration import Playbook
from runbook_lib.service import Service


@dataclass(frozen=True, kw_only=True)
class Opening:
    """All that an incident is opened with."""

    identifier: str
    playbook: Playbook
    scope: Scope
    journal: Journal
    settings: ResolutionSettings
    alert: Mapping[str, Any] = field(default_factory=dict)
    started_at: datetime


class Incident:
    """One investigation. Everything that it shows is also kept in its archive."""

    check: Menu[Finding]
    resolve: Menu[Proposal]

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._scope = opening.scope
        self._shown: set[str] = set()
        self._kept: dict[str, Finding] = {}
        self._diagnosis: Diagnosis | None = None
        self._investigation = Investigation(opening.playbook, opening.scope, on_finding=self._keep).start()
        self._resolution = Resolution(
            opening.playbook,
            opening.scope,
            opening.settings,
            opening.journal,
            diagnosis=self.causes,
            measure=self._measure_now,
            on_outcome=self._write,
        )
        self.check = Menu(
            "check", {step.name: (self._doc(step.run), partial(self._check, step.name)) for step in opening.playbook.checks}
        )
        self.resolve = Menu("action", self._resolution.entries())
        self._explore()
        self._write()

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
        finding = connecting.connection(self._opening.playbook, self._scope, self._opening.settings, self.id)
        self._keep(finding)
        return finding

    def symptoms(self) -> Finding:
        """Is it this issue? The measured symptom against its threshold, and what to do when it is not."""
        finding = telling.match(self._opening.playbook, self.service, self._symptom())
        self._keep(finding)
        return finding

    def causes(self) -> Diagnosis:
        """All causes with their verdicts, ranked, with the evidence for, against, and missing."""
        if self._diagnosis is None:
            findings = self._investigation.findings()
            symptom = self._symptom()
            tolerance = self._tolerance()
            playbook = self._opening.playbook
            causes = judge(
                rules=playbook.causes, conjunctions=playbook.conjunctions, findings=findings, symptom=symptom, tolerance=tolerance
            )
            self._diagnosis = telling.diagnosis(playbook, self.service, symptom, causes, findings, at=datetime.now(UTC))
            self._write()
        return self._diagnosis

    def refresh(self) -> Diagnosis:
        """Look at everything again, over a window of the same length that ends now, and judge anew."""
        self._scope = self._scope.moved_to_now()
        self._shown.clear()
        self._diagnosis = None
        self._investigation = Investigation(self._opening.playbook, self._scope, on_finding=self._keep).start()
        return self.causes()

    def verify(self) -> Finding:
        """Has the symptom gone? Its own metric now, against its threshold and against what it was."""
        before = self._symptom()
        now = self._fresh_symptom()
        finding = telling.verification(before, now, self._resolution.outcomes)
        self._keep(finding)
        self._write(recovered_at=datetime.now(UTC) if before.breached and now.breached is False else None)
        return finding

    def prevention(self) -> Finding:
        """What keeps this from happening again; the confirmed cause's part first."""
        return telling.prevention(self._opening.playbook, self.service)

    def close(self) -> Finding:
        """Write the record for good, and name the next step."""
        diagnosis = self.causes()
        finding = telling.closing(self.service, diagnosis, self._resolution.outcomes, self._opening.journal.directory)
        self._write(status="completed")
        self._scope.sources.close()
        return finding

    def _check(self, name: str) -> Finding:
        """The first look shows what was gathered at the opening; a repeated one asks again."""
        if name in self._shown and self._scope.live:
            again = replace(self._scope.moved_to_now())
            step = replace(
                self._opening.playbook,
                checks=tuple(one for one in self._opening.playbook.checks if self._is_needed(one.name, name)),
            )
            finding = Investigation(step, again, on_finding=self._keep).start().finding(name)
        else:
            finding = self._investigation.finding(name)
        self._shown.add(name)
        return self._annotated(finding)

    def _is_needed(self, step: str, name: str) -> bool:
        return step == name or step in self._opening.playbook.symptom_checks

    def _symptom(self) -> Symptom:
        return self._investigation.symptom()

    def _fresh_symptom(self) -> Symptom:
        if not self._scope.live:
            return self._symptom()
        playbook = self._opening.playbook
        only = replace(playbook, checks=tuple(step for step in playbook.checks if step.name in playbook.symptom_checks))
        return Investigation(only, self._scope.moved_to_now(), on_finding=lambda _: None).start().symptom()

    def _measure_now(self) -> float | None:
        """The symptom's present value, None when it cannot be measured."""
        return self._fresh_symptom().value

    def _tolerance(self) -> timedelta:
        """How much later than the symptom a cause may seem to begin: a rate window, and two steps of the figure."""
        return timedelta(seconds=self._investigation.rate_window_seconds() + 2 * self._scope.window.seconds / 240)

    def _annotated(self, finding: Finding) -> Finding:
        """The onset, rollouts, alert and actions drawn into a figure over time."""
        if not isinstance(finding.figure, LineFigure):
            return finding
        markers = telling.markers(
            self._symptom(), self._kept.get("recent_changes"), self._opening.alert, self._resolution.outcomes
        )
        inside = tuple(marker for marker in markers if marker.at in self._scope.window)
        return replace(finding, figure=replace(finding.figure, markers=_distinct((*finding.figure.markers, *inside))))

    def _keep(self, finding: Finding) -> None:
        self._kept[finding.name] = finding
        self._opening.journal.finding(finding)

    def _explore(self) -> None:
        sources, window = self._scope.sources, lambda: self._scope.window
        self.metrics = MetricsExplorer(window=window, keep=self._opening.journal.finding, source=sources.metrics)
        self.logs = LogsExplorer(
            window=window,
            keep=self._opening.journal.finding,
            source=sources.logs,
            selector=self.service.components.application.selector,
        )
        self.database = DatabaseExplorer(window=window, keep=self._opening.journal.finding, source=sources.database)

    @staticmethod
    def _doc(run: Callable[..., object]) -> str:
        return (run.__doc__ or "").strip()

    def _write(self, *, status: str = "running", recovered_at: datetime | None = None) -> None:
        opening, diagnosis = self._opening, self._diagnosis
        findings = list(self._kept.values())
        symptom = diagnosis.symptoms[0] if diagnosis else None
        record = IncidentRecord(
            schema=1,
            id=opening.identifier,
            issue=opening.playbook.name,
            service=self.service.name,
            environment=self.service.environment,
            severity=telling.severity(self.service, symptom, opening.alert),
            status=status,
            summary=diagnosis.summary if diagnosis else "",
            started_at=opening.started_at,
            finished_at=datetime.now(UTC) if status == "completed" else None,
            onset_at=symptom.onset_at if symptom else None,
            recovered_at=recovered_at or getattr(self, "_recovered_at", None),
            window_start=opening.scope.window.start,
            window_end=opening.scope.window.end,
            dry_run=opening.settings.dry_run,
            alert=dict(opening.alert),
            impact=telling.impact(self.service, symptom),
            symptoms=tuple(symptom_record(one) for one in diagnosis.symptoms) if diagnosis else (),
            sources=source_records(findings),
            causes=tuple(cause_record(cause) for cause in diagnosis.causes) if diagnosis else (),
            findings=tuple(finding_record(finding) for finding in findings),
            actions=tuple(action_record(outcome) for outcome in self._resolution.outcomes),
            timeline=timeline(
                alert=dict(opening.alert), diagnosis=diagnosis, findings=findings, outcomes=self._resolution.outcomes
            ),
            next_steps=diagnosis.next_steps if diagnosis else (),
        )
        opening.journal.record(record)


def _distinct(markers: tuple[Marker, ...]) -> tuple[Marker, ...]:
    return tuple({(marker.at, marker.label): marker for marker in markers}.values())
