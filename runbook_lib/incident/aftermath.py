"""The sentences after a change: did it help, what is left of it, what remains to be done, what keeps it from coming back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from runbook_lib.incident.people import to_call
from runbook_lib.incident.telling import NONE_IS_NORMAL, beyond, within
from runbook_lib.models.cause import Diagnosis, Symptom
from runbook_lib.models.finding import Finding, FindingStatus
from runbook_lib.models.frame import frame
from runbook_lib.models.plan import Outcome
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant
from runbook_lib.playbooks.declaration import Playbook
from runbook_lib.service import Service

_NOT_YET_NORMAL = "Within the limit is not yet normal: run this cell again until it is as it was before the onset."
_STAYS = ("rollback_deployment",)  # what takes its place is the next release, never the one that was rolled back
_REST_OF_OPENING, _REST_OF_LIMIT = 0.1, 0.2  # of a symptom, within its limit, that has yet to go


def after_recovery(service: Service, outcomes: Sequence[Outcome], *, rest: str = "") -> tuple[str, ...]:
    """What is left to do when the symptom has gone; `rest`: what is left of it, in words."""
    if rest:
        steps = [f"Better, and not over: {rest}. Measure again until it is as it was before the onset: incident.verify()."]
    else:
        steps = ["Recovered: watch it for a while; a mitigation alone does not mend the root cause."]
    steps += _stopgaps(outcomes)
    if channel := service.alert_channels.slack:
        steps.append(f"Tell {channel} {'how far it is better' if rest else 'that it is over'}, and what was done.")
    return (*steps, "Write the postmortem: this archive has the timeline, the evidence and the changes.")


def _stopgaps(outcomes: Sequence[Outcome]) -> list[str]:
    """What was done to get over it, and must not stay."""
    return [
        f"Take back what was only to get over it, once the cause is mended - {outcome.action.replace('_', ' ')}: {plan.undo}"
        for outcome in outcomes
        if outcome.status == "executed"
        and outcome.action not in _STAYS
        and (plan := outcome.plan) is not None
        and plan.reversible
        and not plan.repair
    ]


def verification(before: Symptom, now: Symptom, outcomes: Sequence[Outcome]) -> Finding:
    """The symptom now against its threshold and against what it was at the opening."""
    changed = [outcome for outcome in outcomes if outcome.changed]
    was, value = written(before.value, before.unit), written(now.value, now.unit)
    done = f" after {', '.join(outcome.action.replace('_', ' ') for outcome in changed)}" if changed else ""
    if now.breached is None:
        summary, status = f"Whether {now.title} recovered is not known: {now.text}", FindingStatus.UNKNOWN
    elif now.breached:
        summary = f"Not recovered: {now.title} is {value}{done}, {beyond(now)} (at the opening {was})."
        status = FindingStatus.CRITICAL
    elif before.breached:
        summary, status = f"Recovered{done}: {now.title} is {value}, {within(now)} (at the opening {was}).", FindingStatus.NORMAL
    else:
        opening = "as it was at the opening" if before.breached is False else "and could not be measured at the opening"
        summary, status = f"{now.title.capitalize()} is {value}, {within(now)}, {opening}.", FindingStatus.NORMAL
    rows = [("at the opening", before.value, before.unit), ("now", now.value, now.unit), ("limit", now.threshold, now.unit)]
    return Finding(
        name="verification",
        title="Verification",
        summary=summary,
        status=status,
        tables=((now.title.capitalize(), frame(rows, columns=["when", "value", "unit"])),),
        notes=(
            *(f"{outcome.action}: {outcome.effect_text}" for outcome in changed if outcome.effect_text),
            *([_NOT_YET_NORMAL] if rest_of(before, now) else []),
        ),
    )


def rest_of(before: Symptom, now: Symptom) -> str:
    """What is left of the symptom, in words; empty when it has gone.

    A limit says when an incident begins: 23% unavailable, within 50%, is no reason to go back to bed.
    """
    if now.name not in NONE_IS_NORMAL or not before.breached or now.breached is not False:
        return ""
    if now.value is None or before.value is None:
        return ""
    lasts = now.value > _REST_OF_OPENING * abs(before.value) and now.value > _REST_OF_LIMIT * abs(now.threshold)
    return f"{now.title} is still {written(now.value, now.unit)}" if lasts else ""


def prevention(playbook: Playbook, service: Service) -> Finding:
    """What keeps this from happening again."""
    notes = [*playbook.prevention]
    notes += [f"{title}: {link}" for title, link in service.documentation.items()]
    return Finding(
        name="prevention",
        title="Prevention",
        summary=f"What keeps a {playbook.title.lower()} from coming back to {service.name}.",
        status=FindingStatus.INFO,
        notes=tuple(notes),
    )


def closing(
    service: Service, found: Diagnosis, outcomes: Sequence[Outcome], directory: Path, *, recovered_at: datetime | None = None
) -> Finding:
    """What was found and done, where it is kept, and the next step."""
    whom = to_call(service)
    over = f"Recovered, seen at {format_instant(recovered_at)}. What was found at the opening: " if recovered_at else ""
    return Finding(
        name="closing",
        title="Closed",
        summary=over + found.summary,
        status=FindingStatus.INFO,
        tables=(("Whom to call", whom),) if len(whom) else (),
        notes=(*_done(found, outcomes), *found.next_steps, f"Archive: {directory}", *_channels(service, found.next_steps)),
    )


def _done(found: Diagnosis, outcomes: Sequence[Outcome]) -> list[str]:
    """What was changed, then what the confirmed causes call for; the rest of the runbook's actions by their names only."""
    called_for = {action for cause in found.roots for action in cause.actions}
    changed = [outcome for outcome in outcomes if outcome.status in ("executed", "failed", "undone")]
    others = [outcome for outcome in outcomes if outcome not in changed]
    open_ = [outcome for outcome in others if outcome.action in called_for]
    rest = list(dict.fromkeys(outcome.action for outcome in others if outcome.action not in called_for))
    uncalled = [f"No confirmed cause calls for the other actions, none of which was executed: {', '.join(rest)}."] if rest else []
    return [*(_ended(outcome) for outcome in (*changed, *open_)), *uncalled]


def _ended(outcome: Outcome) -> str:
    """Most texts begin with the status: `refused - Refused (policy): ...` says it twice."""
    said = outcome.text.lower().startswith(outcome.status)
    return f"{outcome.action} on {outcome.target}: {'' if said else f'{outcome.status} - '}{outcome.text}"


def _channels(service: Service, steps: Sequence[str]) -> list[str]:
    channel = service.alert_channels.slack
    return [f"Tell {channel} what was found."] if channel and not any(channel in step for step in steps) else []
