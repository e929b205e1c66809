"""The first screen of a report: what is wrong, since when, why, what was done, and who is hurt."""

from __future__ import annotations

from collections.abc import Iterator

from runbook_lib.models.finding import is_sick
from runbook_lib.models.record import ActionRecord, CauseRecord, IncidentRecord
from runbook_lib.models.units import written
from runbook_lib.models.window import format_duration, format_instant

__all__ = ["summary"]


def summary(record: IncidentRecord) -> list[tuple[str, list[str]]]:
    """Headings with their lines; what there is nothing to say of is left out."""
    entries = (
        ("What was wrong" if record.recovered_at else "What is wrong", list(_wrong(record))),
        ("Since", list(_since(record))),
        ("Cause", list(_causes(record))),
        ("Action", list(_actions(record))),
        ("Impact until then" if record.recovered_at else "Impact", [record.impact] if record.impact else []),
        (
            "Sources in trouble",
            [f"{one.name}: {one.status.replace('_', ' ')}, {one.error}" for one in record.sources if is_sick(one.status)],
        ),
        ("Next", list(record.next_steps)),
    )
    return [(name, lines) for name, lines in entries if lines]


def _wrong(record: IncidentRecord) -> Iterator[str]:
    for symptom in record.symptoms:
        name, limit = symptom.name.replace("_", " "), written(symptom.threshold, symptom.unit)
        if symptom.breached is None:
            yield f"Not known: {name} could not be measured"
        elif symptom.breached:
            besides = f": {symptom.beyond}" if symptom.beyond else ""
            yield f"{name.capitalize()} {written(symptom.value, symptom.unit)} (limit {limit}){besides}"
        else:
            yield f"Nothing: {name} is {written(symptom.value, symptom.unit)}, within {limit}"
    if not record.symptoms:
        yield "Not known: the symptom was not measured"


def _since(record: IncidentRecord) -> Iterator[str]:
    if record.onset_at is None:
        return
    until = f", recovered at {format_instant(record.recovered_at)}" if record.recovered_at else ""
    lasted = (record.recovered_at or record.finished_at or record.window_end) - record.onset_at
    yield f"{format_instant(record.onset_at)}{until} ({format_duration(lasted)})"


def _causes(record: IncidentRecord) -> Iterator[str]:
    if not any(symptom.breached for symptom in record.symptoms):
        return
    roots = [cause for cause in record.causes if cause.verdict == "confirmed" and cause.because_of is None]
    for cause in roots:
        yield f"{cause.title}: {cause.why}"
        yield from (f"which led to: {one.title}" for one in record.causes if one.because_of == cause.name)
    if not roots:
        yield "None is confirmed"
        yield from (_told(cause) for cause in record.causes if cause.verdict in ("suspected", "unknown"))


def _told(cause: CauseRecord) -> str:
    return f"{cause.verdict}: {cause.title} ({cause.why})"


def _actions(record: IncidentRecord) -> Iterator[str]:
    done = [action for action in record.actions if action.status in ("executed", "failed", "undone")]
    recommended = [action for action in record.actions if action.recommended_for and action not in done]
    for action in done:
        effect = f" The symptom is {action.effect} since." if action.effect != "unknown" else ""
        yield f"{action.status.capitalize()}: {action.text}{effect}"
    for action in recommended if not done else ():
        yield f"{_named(action)}. {action.text}"
    if not done and not recommended and any(symptom.breached for symptom in record.symptoms):
        yield "None was executed, and none is recommended"


def _named(action: ActionRecord) -> str:
    return f"{action.name.replace('_', ' ').capitalize()} on {action.target}"
