"""A service, its sources, and a whole playbook run on them: no cluster, no database, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from runbook_lib.analysis.diagnosis import judge
from runbook_lib.checks.context import CheckContext
from runbook_lib.errors import SourceError
from runbook_lib.models.cause import Cause, Symptom, Verdict
from runbook_lib.models.finding import Finding, FindingStatus, SourceStatus
from runbook_lib.models.record import IncidentRecord
from runbook_lib.models.window import Window
from runbook_lib.playbooks import Playbook, playbook
from runbook_lib.service import Service
from runbook_lib.service.instrumentation import Expressions
from runbook_lib.sources.interface import Sources
from runbook_lib.testing.cluster import FakeCluster
from runbook_lib.testing.metrics import FakeMetrics
from runbook_lib.testing.series import HOUR, NOW
from runbook_lib.testing.systems import FakeCache, FakeDatabase, FakeHttp, FakeLogs

__all__ = ["Examination", "FakeJournal", "context", "error_symptom", "examine", "fake_sources", "service"]


def service(name: str = "shop", **sections: Any) -> Service:
    """A small service with a database, a cache, and two downstream services; `sections` replace whole sections of it.

    Raises ConfigurationError's cause, a pydantic ValidationError, for fields that the service file does not have.
    """
    breaker = {"name": "payments", "status_path": "/admin/circuit-breaker-status"}
    fields: dict[str, Any] = {
        "name": name,
        "environment": "test",
        "overview": {"purpose": "Sells things.", "owner": "Shop team", "tier": 1},
        "components": {
            "application": {
                "deployment": name,
                "selector": f"app={name}",
                "kubernetes_service": name,
                "config_map": f"{name}-config",
                "url": f"http://{name}.invalid",
            },
            "database": {
                "name": name,
                "application_name": name,
                "selector": "app=postgres",
                "pool": {"key": "DATABASE_POOL_SIZE"},
            },
            "cache": {"usage": "products"},
        },
        "dependencies": {
            "downstream": [
                {
                    "name": "payments",
                    "timeout_seconds": 2,
                    "health_url": "http://payments.invalid/health",
                    "circuit_breaker": breaker,
                    "setting_keys": ["PAYMENTS_URL"],
                },
                {"name": "inventory", "timeout_seconds": 2, "health_url": "http://inventory.invalid/health"},
            ]
        },
        "connections": {
            "prometheus": {"url": "http://prometheus.invalid:9090"},
            "kubernetes": {"namespace": "shop"},
            "postgres": {"dsn": "host=db.invalid dbname=shop"},
            "redis": {"url": "redis://cache.invalid:6379/0"},
        },
        "instrumentation": {"preset": "prometheus_client"},
    }
    return Service.model_validate(fields | sections)


def fake_sources(
    *,
    metrics: Any = None,
    cluster: Any = None,
    logs: Any = None,
    database: Any = None,
    cache: Any = None,
    http: Any = None,
) -> Sources:
    """The sources of a healthy service, but for those that are given: a fake, a `Sick` or a `Hanging`."""
    return Sources(
        metrics=metrics if metrics is not None else FakeMetrics(),
        cluster=cluster if cluster is not None else FakeCluster(),
        logs=logs if logs is not None else FakeLogs(),
        database=database if database is not None else FakeDatabase(),
        cache=cache if cache is not None else FakeCache(),
        http=http if http is not None else FakeHttp(),
    )


def error_symptom(onset: datetime | None = None, *, last_seen: datetime = NOW, value: float | None = 0.3) -> Symptom:
    """A high error ratio since `onset`; without one a service that is well. A `value` of None: it could not be measured."""
    return Symptom(
        name="error_rate",
        title="error rate",
        value=value if onset is not None or value is None else 0.0,
        unit="ratio",
        threshold=0.05,
        breached=None if value is None else onset is not None,
        onset_at=onset,
        last_seen_at=last_seen if onset is not None else None,
        text="as the test says",
    )


def context(
    known: Service | None = None,
    sources: Sources | None = None,
    *,
    symptom: Symptom | None = None,
    window: Window = HOUR,
    live: bool = True,
    deadline_seconds: float = 10.0,
) -> CheckContext:
    """What a single check is given. Without a symptom the service is well; `live` False looks at a past window."""
    measured = symptom or error_symptom()
    asked = sources or fake_sources()
    return CheckContext(
        service=known or service(),
        window=window,
        now=window.end,
        live=live,
        sources=asked,
        expressions=partial(_expressions, asked),
        symptom=lambda: measured,
        deadline_seconds=deadline_seconds,
    )


def _expressions(sources: Sources) -> Expressions:
    """Those of a FakeMetrics; a sick one raises what it raises for any question."""
    return cast(FakeMetrics, sources.metrics).expressions()


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What a playbook said: the symptom, each check's finding by name, and the causes, ranked."""

    symptom: Symptom
    findings: Mapping[str, Finding]
    causes: tuple[Cause, ...]

    @property
    def roots(self) -> list[str]:
        """Names of the confirmed causes that nothing explains."""
        return [cause.name for cause in self.causes if cause.verdict is Verdict.CONFIRMED and cause.because_of is None]

    @property
    def consequences(self) -> dict[str, str]:
        """Each cause that another one explains, with the one that does."""
        return {cause.name: cause.because_of for cause in self.causes if cause.because_of is not None}

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on each cause."""
        return {cause.name: cause.verdict for cause in self.causes}

    def cause(self, name: str) -> Cause:
        """The cause of this name. Raises KeyError when the playbook has none."""
        return {cause.name: cause for cause in self.causes}[name]


def examine(
    issue: str | Playbook,
    *,
    known: Service | None = None,
    window: Window = HOUR,
    live: bool = True,
    **sources: Any,
) -> Examination:
    """Run all checks of a playbook (or of the issue of this name) on fakes, and judge its causes.

    `sources` are those of `fake_sources`. A check that raises anything but a SourceError fails the test: in an incident it would
    only be told.
    """
    chosen = playbook(issue) if isinstance(issue, str) else issue
    asked = fake_sources(**sources)
    deciding = chosen.symptom_checks[0]
    steps = {step.name: step for step in chosen.checks}
    begun = context(known, asked, window=window, live=live)
    measured = _run(steps[deciding].run, begun, deciding)
    symptom = chosen.symptom(begun, measured)
    seen = context(known, asked, symptom=symptom, window=window, live=live)
    findings = {name: measured if name == deciding else _run(step.run, seen, name) for name, step in steps.items()}
    causes = judge(
        rules=chosen.causes,
        conjunctions=chosen.conjunctions,
        findings=findings.values(),
        symptom=symptom,
        tolerance=seen.tolerance,
    )
    return Examination(symptom=symptom, findings=findings, causes=causes)


def _run(check: Any, given: CheckContext, name: str) -> Finding:
    try:
        finding: Finding = check(given)
    except SourceError as error:
        state = SourceStatus(name=error.source, status=error.status, error=error.reason)
        return Finding(name=name, title=name, summary=str(error), status=FindingStatus.UNKNOWN, sources=(state,))
    return finding


class FakeJournal:
    """Where an incident writes, kept in lists: `records` and `findings`, the newest last. Nothing is redacted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.records: list[IncidentRecord] = []
        self.findings: list[Finding] = []

    @property
    def audit_path(self) -> Path:
        """Below the directory that it was given."""
        return self.directory / "audit.jsonl"

    @property
    def heap_directory(self) -> Path:
        """Below the directory that it was given."""
        return self.directory / "evidence" / "heap"

    def record(self, record: IncidentRecord) -> None:
        """Keep the record."""
        self.records.append(record)

    def finding(self, finding: Finding) -> None:
        """Keep the finding."""
        self.findings.append(finding)

    def redact(self, text: str) -> str:
        """The text as it is."""
        return text
