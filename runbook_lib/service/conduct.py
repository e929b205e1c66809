"""How a service is measured, what may be changed, and how long an investigation may take."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from runbook_lib.service.fields import Count, Duration, DurationOrAuto, Fields, Name, Ratio, Seconds

__all__ = ["Instrumentation", "Limits", "LogFormat", "Policy"]


class LogFormat(Fields):
    """How the service writes its logs. JSON lines and text are told apart by themselves."""

    level_fields: tuple[str, ...] = ("level", "severity", "levelname", "log.level")
    message_fields: tuple[str, ...] = ("message", "msg", "event", "log")
    time_fields: tuple[str, ...] = ("time", "timestamp", "ts", "@timestamp")
    error_levels: tuple[str, ...] = ("error", "critical", "fatal", "severe", "alert", "emerg")


class Instrumentation(Fields):
    """Which metrics the service exports, and how its logs are written."""

    preset: Name = "auto"
    """A name of runbook_lib.service.instrumentation, or `auto`: ask Prometheus which of them exist."""
    selector: dict[str, str] = Field(default_factory=dict)
    """Labels that select this service's series, such as {service: orders}; {} = found from the preset's usual labels."""
    metrics: dict[str, str] = Field(default_factory=dict)
    """Overrides single expressions of the preset; docs/nomenclature.md has their names and placeholders."""
    rate_window: DurationOrAuto = "auto"
    """The range of rate(); `auto` is five minutes, and never below four scrape intervals. Less than two have no rate: such
    a range is raised to four."""
    probe_routes: tuple[str, ...] | None = None
    """Routes that count as no requests, as regular expressions (RE2) for the whole route; None: the usual ones of probes and of
    Prometheus, and the health path. [] counts them all."""
    logs: LogFormat = LogFormat()


class Policy(Fields):
    """What may be changed, by whom, and how much of it at once."""

    enabled_actions: tuple[str, ...] = ()
    """Empty: every action of the playbook may be proposed and approved by a person."""
    forbidden_actions: tuple[str, ...] = ()
    """Never executed, whoever approves."""
    auto_approve: tuple[str, ...] = ()
    """Actions that an alert-triggered run may execute with nobody awake."""
    auto_approve_confidence: Ratio = 0.9
    """Confidence that the cause must have for that."""
    auto_approve_per_hour: Count = 1
    """How many such changes within an hour, over all incidents of the service."""
    replicas_maximum: Count | None = None
    """No action scales beyond this."""
    pods_at_once: Count = 1
    """How many pods an action may take down together."""
    pool_size_maximum: Count | None = None
    """No action raises the connection pool beyond this."""
    test_pod_image: Name = "busybox:stable"
    """What a test pod runs: an image with sh, and wget or curl, that the cluster may pull."""
    verify_within_seconds: Seconds = 300
    """How long verification waits for the symptom to recover."""

    @model_validator(mode="after")
    def _auto_approved_actions_are_allowed(self) -> Self:
        forbidden = set(self.auto_approve) & set(self.forbidden_actions)
        if forbidden:
            raise ValueError(f"must not auto_approve what it forbids; found {', '.join(sorted(forbidden))} in both")
        disabled = set(self.auto_approve) - set(self.enabled_actions)
        if self.enabled_actions and disabled:
            raise ValueError(f"must list in enabled_actions what it auto-approves; {', '.join(sorted(disabled))} is not there")
        return self


class Limits(Fields):
    """Deadlines and sizes of an investigation."""

    check_deadline_seconds: Seconds = 10
    """A check that takes longer is given up; what it would have shown is unknown."""
    all_checks_deadline_seconds: Seconds = 60
    """All checks together."""
    log_lines_per_pod: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Newest lines read from each container."""
    onset_lookback: Duration = "60m"
    """How far before the alert the onset is looked for."""

    @model_validator(mode="after")
    def _deadlines_are_ordered(self) -> Self:
        if self.check_deadline_seconds > self.all_checks_deadline_seconds:
            raise ValueError("must have check_deadline_seconds at or below all_checks_deadline_seconds")
        return self
