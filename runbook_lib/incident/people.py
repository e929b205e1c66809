"""What a stranger who was woken for a service needs of its file: what it is for, and whom to call."""

from __future__ import annotations

from collections.abc import Iterator

from runbook_lib.errors import ConfigurationError
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.service import Service
from runbook_lib.service.reference import Reference

__all__ = ["about", "to_call"]

_WHOM = ["level", "who", "when", "how"]
_NO_BREAK = "\u00a0"  # what a table must not fold, such as the blanks of a drawing


def about(service: Service) -> Frame:
    """What the service is for, what it promises, who answers for it, and where to read on: `what`, `is`."""
    return frame([row for row in _about(service) if row[1]], columns=["what", "is"])


def _about(service: Service) -> Iterator[tuple[str, str]]:
    overview, components = service.overview, service.components
    yield "purpose", overview.purpose
    yield "functions", "; ".join(overview.functionality)
    yield "owner", f"{overview.owner} (tier {overview.tier})"
    yield "promises", ", ".join(_promises(service))
    yield "business impact", overview.business_impact
    yield "region", components.application.region
    yield "queues", ", ".join((*components.queue.queues, components.queue.retention) if components.queue else ())
    yield "called by", "; ".join(_line(one.name, one.purpose, one.impact_if_down) for one in service.dependencies.upstream)
    yield "calls", "; ".join(_line(one.name, one.purpose) for one in service.dependencies.downstream)
    yield "vendors", "; ".join(_line(one.name, one.provider, _address(one.status_url)) for one in service.dependencies.external)
    drawing = overview.diagram.replace(" ", _NO_BREAK).splitlines()
    yield from ((_NO_BREAK if place else "drawn", line) for place, line in enumerate(drawing))
    yield from ((one.name, one.url) for one in service.dashboards)
    yield "alert rules", overview.alert_configuration
    yield from service.documentation.items()
    yield "this file", _kept(service)


def _line(name: str, *more: str) -> str:
    told = ", ".join(text for text in more if text)
    return f"{name} ({told})" if told else name


def _address(reference: Reference | None) -> str:
    try:
        return reference.resolve() if reference is not None else ""
    except ConfigurationError:  # whoever asks this address says what is wrong with it
        return ""


def _promises(service: Service) -> Iterator[str]:
    slo = service.overview.slo
    if slo.availability_ratio is not None:
        yield f"{written(slo.availability_ratio, 'ratio')} served well"
    if slo.latency_p95_seconds is not None:
        yield f"95 % within {written(slo.latency_p95_seconds, 'seconds')}"


def _kept(service: Service) -> str:
    """Who keeps the service file, and how fresh it is: an old one may name people who have left."""
    kept = service.maintenance
    changes = [f"{one.date} {one.author}: {one.change}" for one in kept.change_log[-1:]]
    updated = f"last updated {kept.last_updated}" if kept.last_updated else ""
    reviewed = ", ".join(kept.reviewers)
    return "; ".join(text for text in (updated, f"reviewed {kept.review_schedule}", reviewed, *changes) if text)


def to_call(service: Service) -> Frame:
    """Whom to call, level by level, then the rotation, vendors and channels: `level`, `who`, `when`, `how`."""
    rows: list[tuple[str, str, str, str]] = []
    for level in service.escalation.levels:
        late = (f"after {level.after_minutes} minutes",) if level.after_minutes else ()
        who, when = _line(level.title, *level.expected), "; ".join((*level.when, *late))
        reached = [_line(one.name, one.phone, one.slack, one.email) for one in level.contacts]
        rows.append((str(level.level), who, when, "; ".join(reached)))
    if service.overview.on_call:
        rows.append(("rotation", "", "", service.overview.on_call))
    for one in service.escalation.external:
        rows.append(("vendor", one.name, one.when, _line(one.contact, one.account)))
    channels = service.alert_channels
    paged = _line(f"PagerDuty {channels.pagerduty}", *channels.pagerduty_severities) if channels.pagerduty else ""
    if told := "; ".join(text for text in (channels.slack, paged, channels.email) if text):
        rows.append(("alerts", "", "", told))
    return frame(rows, columns=_WHOM)
