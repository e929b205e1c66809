"""The sentences of a diagnosis: is it this issue, what is wrong, who is hurt, what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.models.cause import Cause, Diagnosis, Symptom, Verdict
from runbook_lib.models.figure import Marker
from runbook_lib.models.finding import Finding, FindingStatus
from runbook_lib.models.plan import Outcome
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant
from runbook_lib.playbooks.declaration import Playbook
from runbook_lib.service import Service

NONE_IS_NORMAL = ("error_rate", "unavailability")
"""Symptoms that should be gone altogether; memory and latency never are."""

_LEADS = 3


def match(playbook: Playbook, service: Service, symptom: Symptom) -> Finding:
    """Whether the measured symptom is that of this issue, and what to do when it is not."""
    if symptom.breached:
        began = f" since {format_instant(symptom.onset_at)}" if symptom.onset_at else ""
        summary = f"Yes: {symptom.title} is {written(symptom.value, symptom.unit)}{began}, {beyond(symptom)}."
        return _match(summary, FindingStatus.CRITICAL, ())
    if symptom.breached is None:
        summary = f"Not known: {symptom.text}"
        advice = "Go on: the other steps still show what can be seen. Nothing is confirmed without the symptom."
        return _match(summary, FindingStatus.UNKNOWN, (advice, *_elsewhere(playbook)))
    summary = f"No: {symptom.title} is {written(symptom.value, symptom.unit)}, {within(symptom)}."
    notes = (
        "Apply nothing below. If the alert has just ended, look at an earlier window with start and end.",
        *_elsewhere(playbook),
        *_dashboards(service),
    )
    return _match(summary, FindingStatus.NORMAL, notes)


def beyond(symptom: Symptom) -> str:
    """How a breached symptom stands to its limit: a value that dips below it for a moment has not recovered."""
    limit = written(symptom.threshold, symptom.unit)
    if symptom.beyond:
        return f"{symptom.beyond} (the limit is {limit})"
    if symptom.value is not None and symptom.value <= symptom.threshold:
        return f"which is below the limit of {limit}, but has not been for long enough"
    return f"above the limit of {limit}"


def within(symptom: Symptom) -> str:
    """How a symptom that is not breached stands to its limit: above it, too little was seen for it to count."""
    limit = written(symptom.threshold, symptom.unit)
    few = _of_too_few(symptom)
    return f"above the limit of {limit}, but of too few requests to judge by" if few else f"within {limit}"


def _of_too_few(symptom: Symptom) -> bool:
    return symptom.name == "error_rate" and symptom.breached is False and (symptom.value or 0.0) > symptom.threshold


def _match(summary: str, status: FindingStatus, notes: tuple[str, ...]) -> Finding:
    return Finding(name="is_it_this_issue", title="Is it this issue?", summary=summary, status=status, notes=notes)


def _elsewhere(playbook: Playbook) -> list[str]:
    return [f"For {seen}, open {issue}." for seen, issue in playbook.not_this_issue]


def _dashboards(service: Service) -> tuple[str, ...]:
    return tuple(f"{dashboard.name}: {dashboard.url}" for dashboard in service.dashboards[:2])


def diagnosis(
    playbook: Playbook, service: Service, symptom: Symptom, causes: Sequence[Cause], findings: Sequence[Finding], *, at: datetime
) -> Diagnosis:
    """The ranked causes with a summary for the first screen and the next steps."""
    missing = {
        status.name: f"{status.name} ({status.status.replace('_', ' ')}: {status.error})"
        for finding in findings
        for status in finding.sources
        if status.sick
    }
    offered = tuple(_offered(cause, playbook) for cause in causes)
    roots = [cause for cause in offered if cause.verdict is Verdict.CONFIRMED and cause.because_of is None]
    return Diagnosis(
        symptoms=(symptom,),
        causes=offered,
        summary=_summary(service, symptom, roots, findings),
        at=at,
        missing_sources=tuple(missing[name] for name in sorted(missing)),
        next_steps=tuple(_next_steps(playbook, service, symptom, roots, findings)),
    )


def _offered(cause: Cause, playbook: Playbook) -> Cause:
    return replace(cause, actions=tuple(action for action in cause.actions if action in playbook.actions))


def _summary(service: Service, symptom: Symptom, roots: Sequence[Cause], findings: Sequence[Finding]) -> str:
    if symptom.breached is None:
        text = f"{symptom.title.capitalize()} of {service.name} could not be measured, so that no cause can be confirmed."
        text = " ".join([text, *_critical(findings)[:1]])
    elif not symptom.breached:
        text = _within(service, symptom, findings)
    else:
        began = f" since {format_instant(symptom.onset_at)}" if symptom.onset_at else ""
        besides = f" ({symptom.beyond})" if symptom.beyond else ""
        text = f"{symptom.title.capitalize()} of {service.name} is {written(symptom.value, symptom.unit)}{besides}{began}. "
        text += " ".join(f"Cause: {cause.title} - {cause.why}." for cause in roots) if roots else "No cause is confirmed."
    return " ".join([text, *_lacking(findings)])


def with_late(summary: str, late: Symptom | None) -> str:
    """The summary of a symptom that could not be measured at the opening, once it was."""
    if late is None:
        return summary
    limit = beyond(late) if late.breached else within(late)
    again = " Look at everything again: incident.refresh()." if late.breached else ""
    return f"{summary} Measured later, it is {written(late.value, late.unit)}, {limit}.{again}"


def _lacking(findings: Sequence[Finding]) -> list[str]:
    """The sources that gave nothing, and those that only left some question open: who reads at night takes them for dead, too."""
    states: dict[str, set[bool]] = {}
    for source in (source for finding in findings for source in finding.sources if source.status != "not_configured"):
        states.setdefault(source.name, set()).add(not source.sick)
    silent = sorted(name for name, answered in states.items() if answered == {False})
    partly = sorted(name for name, answered in states.items() if answered == {True, False})
    return [
        *([f"Not available: {', '.join(silent)}."] if silent else []),
        *([f"Answered only in part: {', '.join(partly)}."] if partly else []),
    ]


def _within(service: Service, symptom: Symptom, findings: Sequence[Finding]) -> str:
    """Without the symptom, a service is called well only when nothing else is critical."""
    value, limit = written(symptom.value, symptom.unit), within(symptom)
    if critical := _critical(findings):
        return f"{symptom.title.capitalize()} of {service.name} is {value}, {limit}, yet it is not well: {critical[0]}"
    return f"{service.name} is well: {symptom.title} is {value}, {limit}."


def _critical(findings: Sequence[Finding]) -> list[str]:
    return [finding.summary for finding in findings if finding.status is FindingStatus.CRITICAL]


def _next_steps(
    playbook: Playbook, service: Service, symptom: Symptom, roots: Sequence[Cause], findings: Sequence[Finding]
) -> list[str]:
    if _of_too_few(symptom):
        return [f"Nothing to do yet: {symptom.text}"]
    if symptom.breached is False:
        return ["Nothing to do here: the symptom is within its threshold."]
    steps = [
        f"{action.replace('_', ' ').capitalize()}: incident.resolve.{action}()" for cause in roots for action in cause.actions[:1]
    ]
    steps += [f"{cause.title}: {cause.by_hand}" for cause in roots if cause.by_hand and not cause.actions]
    if not roots:
        if symptom.breached is None:
            steps.append("The symptom was not measured, without which nothing is confirmed: ask again first, incident.refresh().")
        steps.append("No cause is confirmed: read the suspected and unknown ones, and query the sources directly.")
        steps += [f"Stands out: {finding.title} - {finding.summary}" for finding in _standing_out(playbook, findings)]
    if not roots and symptom.breached is None:
        steps += _elsewhere(playbook)
    return steps + _escalation(service, confirmed=bool(roots))


def _standing_out(playbook: Playbook, findings: Sequence[Finding]) -> list[Finding]:
    """The worst of what was found beside the symptom, in the order of the steps: where a person goes on to look."""
    steps = [step.name for step in playbook.checks if step.name not in (*playbook.symptom_checks, "key_metrics")]
    told = {finding.name: finding for finding in findings}
    there = [told[name] for name in steps if name in told]
    critical = [finding for finding in there if finding.status is FindingStatus.CRITICAL]
    return (critical + [finding for finding in there if finding.status is FindingStatus.WARNING])[:_LEADS]


def _escalation(service: Service, *, confirmed: bool) -> list[str]:
    later = [level for level in service.escalation.levels if level.level > 1]
    if not later:
        return []
    level = min(later, key=lambda one: one.level)
    names = ", ".join(contact.name for contact in level.contacts)
    who = names if level.title.lower() in names.lower() else f"{level.title} ({names})" if names else level.title
    when = f"after {level.after_minutes} minutes without recovery" if level.after_minutes else "if it is not resolved"
    return [f"Escalate to {who} {when if confirmed else 'now, since no cause is confirmed'}."]


def markers(
    symptom: Symptom, changes: Finding | None, alert: Mapping[str, Any], outcomes: Sequence[Outcome]
) -> tuple[Marker, ...]:
    """The instants that every figure over time shows."""
    found = []
    if symptom.breached and symptom.onset_at is not None:
        found.append(Marker(symptom.onset_at, "onset", "onset"))
    for signal in changes.signals if changes is not None else ():
        if signal.name in ("rollout_before_onset", "configuration_changed") and signal.since is not None:
            found.append(Marker(signal.since, (signal.subject or "change").removeprefix("deployment/"), "deploy"))
    if alert.get("startsAt"):
        found.append(Marker(pd.Timestamp(alert["startsAt"]).to_pydatetime(), "alert", "alert"))
    found += [Marker(outcome.at, outcome.action, "action") for outcome in outcomes if outcome.status in ("executed", "undone")]
    return tuple(found)


def severity(service: Service, symptom: Symptom | None, alert: Mapping[str, Any]) -> str | None:
    """SEV-1 to SEV-4: what the alert says, else from the service's tier and how far the symptom is beyond its threshold."""
    label = (alert.get("labels") or {}).get("severity", "")
    if str(label).upper().startswith("SEV-"):
        return str(label).upper()
    if symptom is None or not symptom.breached:
        return None
    half_down = symptom.name in NONE_IS_NORMAL and symptom.value is not None and symptom.value >= 0.5
    return f"SEV-{min(4, service.overview.tier + (0 if half_down else 1))}"


def impact(service: Service, symptom: Symptom | None) -> str:
    """Who is hurt: the measured part, the most that it was, and what the team says of it."""
    if symptom is None or not symptom.breached:
        return ""
    most = symptom.peak if symptom.peak is not None and symptom.peak > (symptom.value or 0.0) else None
    worst = f", {written(most, symptom.unit)} at the worst" if most is not None else ""
    share = f"{written(symptom.value, symptom.unit)}{{}}{worst}"
    measured = {
        "error_rate": share.format(f" of the requests to {service.name} fail"),
        "unavailability": share.format(f" of {service.name} is away"),
        "latency_p95": f"One in twenty requests to {service.name} takes {share.format(' or longer')}",
    }.get(symptom.name, symptom.text.rstrip("."))
    said = f" {service.overview.business_impact}" if service.overview.business_impact else ""
    return f"{measured}.{said}"
