"""What a service is for, and the people around it: dashboards, alert channels, escalation, maintenance."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import model_validator

from runbook_lib.service.fields import Count, Fields, Name, Ratio, Seconds, Severity

__all__ = [
    "AlertChannels",
    "Change",
    "Contact",
    "Dashboard",
    "Escalation",
    "EscalationLevel",
    "ExternalEscalation",
    "Maintenance",
    "Overview",
    "Slo",
]


class Slo(Fields):
    """What the service promises."""

    availability_ratio: Ratio | None = None
    """Share of the time, or of the requests, that is served well: 0.999 for 99.9 %."""
    latency_p95_seconds: Seconds | None = None
    """95 % of the requests are answered within this time."""


class Overview(Fields):
    """What the service is for, and for whom."""

    purpose: Name
    """What it does, in one or two sentences."""
    functionality: tuple[str, ...] = ()
    """Its key functions."""
    owner: Name
    """The team that answers for it."""
    tier: Literal[1, 2, 3, 4]
    """1 critical, 2 high, 3 medium, 4 low."""
    slo: Slo = Slo()
    business_impact: str = ""
    """Who notices when it is down, and what that costs."""
    on_call: str = ""
    """Link to the rotation."""
    alert_configuration: str = ""
    """Link to the alert rules."""
    diagram: str = ""
    """The architecture in text."""


class Dashboard(Fields):
    """A dashboard worth opening."""

    name: Name
    url: Name


class AlertChannels(Fields):
    """Where alerts go."""

    slack: str | None = None
    """Channel, such as `#alerts-orders`."""
    pagerduty: str | None = None
    """PagerDuty service."""
    pagerduty_severities: tuple[Severity, ...] = ("SEV-1", "SEV-2")
    """The severities that page somebody."""
    email: str | None = None


class Contact(Fields):
    """Somebody to call."""

    name: Name
    phone: str = ""
    slack: str = ""
    email: str = ""


class EscalationLevel(Fields):
    """Who is called next, and when."""

    level: Count
    title: Name
    when: tuple[str, ...]
    """What calls for this level."""
    contacts: tuple[Contact, ...] = ()
    expected: tuple[str, ...] = ()
    """What is expected of them."""
    after_minutes: Count | None = None
    """Escalate to this level when the incident lasts longer than this."""


class ExternalEscalation(Fields):
    """A vendor's support."""

    name: Name
    contact: Name
    """Portal or phone."""
    account: str = ""
    """Account or support plan."""
    when: str = ""


class Escalation(Fields):
    """The way up, level by level."""

    levels: tuple[EscalationLevel, ...] = ()
    external: tuple[ExternalEscalation, ...] = ()

    @model_validator(mode="after")
    def _levels_ascend(self) -> Self:
        numbers = [level.level for level in self.levels]
        if numbers != sorted(set(numbers)):
            raise ValueError(f"must list its levels once each and in ascending order; found {', '.join(map(str, numbers))}")
        return self


class Change(Fields):
    """A line of the change log."""

    date: date
    author: Name
    change: Name


class Maintenance(Fields):
    """When this knowledge was last looked at, and by whom."""

    review_schedule: str = "monthly"
    last_updated: date | None = None
    next_review: date | None = None
    """`runbook lint` complains once this day has passed."""
    reviewers: tuple[str, ...] = ()
    change_log: tuple[Change, ...] = ()
