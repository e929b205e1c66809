"""What happened, in order: the draft that a postmortem starts from, so that each line must be true and dated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from runbook_lib.models.cause import Diagnosis, Verdict
from runbook_lib.models.finding import Finding
from runbook_lib.models.frame import Frame
from runbook_lib.models.plan import Outcome
from runbook_lib.models.record import TimelineEntry
from runbook_lib.models.window import format_duration

__all__ = ["Happened", "timeline"]

_MOST_EVENTS = 30
_PRELUDE = timedelta(minutes=10)  # what the cluster warned of before may be the first sign
_PRELUDE_OF_PROBES = timedelta(minutes=1)  # they fail at every start of a pod, too
_MOST_CHANGES = 3
_LONGEST_VALUE = 60
_RESTARTED = "annotations[kubectl.kubernetes.io/restartedAt]"
_NO_EFFECT = "unknown"


@dataclass(frozen=True, kw_only=True)
class Happened:
    """All that a timeline is told from. opened_at is of the runbook, None when an earlier incident is only looked at again;
    recovered_at is when the symptom was seen to be over."""

    issue: str
    opened_at: datetime | None
    alert: Mapping[str, Any]
    diagnosis: Diagnosis | None
    findings: Sequence[Finding]
    outcomes: Sequence[Outcome]
    recovered_at: datetime | None = None


def timeline(happened: Happened) -> tuple[TimelineEntry, ...]:
    """Alert, opening, onset, rollouts, ends of containers, warnings of the cluster, causes, actions, recovery: oldest first."""
    since = _beginning(happened.diagnosis)
    entries = [
        *_alert(happened.alert),
        *_opening(happened),
        *_changes(happened.findings),
        *_ends(happened.findings, since=since),
        *_warnings(happened.findings, since=since),
        *_causes(happened.diagnosis),
        *(_action(outcome) for outcome in happened.outcomes if outcome.status in ("executed", "failed", "undone")),
        *_recovery(happened),
    ]
    unique = {(entry.at, entry.text): entry for entry in entries}
    return tuple(sorted(unique.values(), key=lambda entry: entry.at))


def _alert(alert: Mapping[str, Any]) -> Iterator[TimelineEntry]:
    if started := alert.get("startsAt") or alert.get("starts_at"):
        name = (alert.get("labels") or {}).get("alertname", "alert")
        yield TimelineEntry(at=datetime.fromisoformat(str(started)).astimezone(UTC), kind="alert", text=f"{name} fired")


def _opening(happened: Happened) -> Iterator[TimelineEntry]:
    if happened.opened_at is not None:
        yield TimelineEntry(at=happened.opened_at, kind="note", text=f"The runbook {happened.issue} was opened")


def _action(outcome: Outcome) -> TimelineEntry:
    """Dated where it began; how long it took, its waiting included, and what came of it stand in the text."""
    who = f", approved by {outcome.approved_by}" if outcome.approved_by else ""
    took = f" It took {format_duration(timedelta(seconds=outcome.seconds))}" if outcome.seconds else ""
    effect = f"{', and' if took else ' Then'} the symptom was {outcome.effect}" if outcome.effect != _NO_EFFECT else ""
    text = f"{outcome.action} on {outcome.target}{who}: {outcome.text}{took}{effect}{'.' if took or effect else ''}"
    return TimelineEntry(at=outcome.at, kind="action", text=text)


def _recovery(happened: Happened) -> Iterator[TimelineEntry]:
    if happened.recovered_at is not None and happened.diagnosis is not None:
        for symptom in happened.diagnosis.symptoms[:1]:
            text = f"{symptom.title.capitalize()} was seen within its limit again"
            yield TimelineEntry(at=happened.recovered_at, kind="note", text=text)


def _changes(findings: Sequence[Finding]) -> Iterator[TimelineEntry]:
    for table in _tables(findings, "What changed"):
        for _, rows in table.dropna(subset=["at"]).groupby(["where", "at"], sort=False):
            told = ", ".join(_change(row) for row in rows.head(_MOST_CHANGES).to_dict("records"))
            told += f" and {len(rows) - _MOST_CHANGES} more" if len(rows) > _MOST_CHANGES else ""
            yield TimelineEntry(at=_instant(rows["at"].iloc[0]), kind="deploy", text=f"{rows['where'].iloc[0]}: {told}")


def _change(row: Mapping[Any, Any]) -> str:
    """What was changed, and to what: a postmortem that says `image` only sends its reader to look it up."""
    what, before, after = (str(row.get(name) or "-") for name in ("what", "before", "after"))
    if what == _RESTARTED:
        return "a restart"
    brief = all(len(value) <= _LONGEST_VALUE and "\n" not in value for value in (before, after))
    return f"{what} ({before} → {after})" if brief else what


def _beginning(diagnosis: Diagnosis | None) -> datetime | None:
    """When it all began, with a margin: the probes that failed at every rollout of the last hour are no part of the incident."""
    if diagnosis is None:
        return None
    causes = [cause.since for cause in diagnosis.causes if cause.verdict is Verdict.CONFIRMED and cause.since is not None]
    onsets = [symptom.onset_at for symptom in diagnosis.symptoms if symptom.breached and symptom.onset_at is not None]
    return min((*causes, *onsets)) - _PRELUDE if onsets else None


def _ends(findings: Sequence[Finding], *, since: datetime | None) -> Iterator[TimelineEntry]:
    """How containers ended. The cluster keeps the last end of each pod only."""
    for table in _tables(findings, "Pods"):
        ended = table[table["last_end"].astype(bool)].dropna(subset=["ended_at"])
        ended = ended if since is None else ended[ended["ended_at"] >= since]
        for rows in _together(ended, ["last_end"], at="ended_at"):
            text = f"Container ended, {rows['last_end'].iloc[0]}: Pod/{_named(rows['pod'])}"
            yield TimelineEntry(at=_instant(rows["ended_at"].iloc[0]), kind="event", text=text)


def _warnings(findings: Sequence[Finding], *, since: datetime | None) -> Iterator[TimelineEntry]:
    """The cluster's warnings. One that goes on since before the incident is dated by its last time. All of them, however early,
    stay in the evidence."""
    for table in _tables(findings, "Events"):
        warnings = table[table["type"] == "Warning"]
        at = warnings["first_seen"].fillna(warnings["time"])
        if since is not None:
            warnings = warnings.assign(at=at.where(at >= since, warnings["time"]))
            starts = (warnings["reason"] == "Unhealthy") & (warnings["time"] < since + _PRELUDE - _PRELUDE_OF_PROBES)
            warnings = warnings[(warnings["time"] >= since) & ~starts]
        else:
            warnings = warnings.assign(at=at)
        for rows in _together(warnings, ["reason", "kind"], at="at")[:_MOST_EVENTS]:
            first = rows.iloc[0]
            text = f"{first['reason']} {first['kind']}/{_named(rows['name'])}: {str(first['message'])[:200]}"
            yield TimelineEntry(at=_instant(first["at"]), kind="event", text=text)


def _tables(findings: Sequence[Finding], caption: str) -> Iterator[Frame]:
    return (table for finding in findings for told, table in finding.tables if told == caption and len(table))


def _together(table: pd.DataFrame, same: list[str], *, at: str) -> list[pd.DataFrame]:
    """The rows that say the same within a minute, oldest first: three pods of one rollout are one line."""
    return [rows.sort_values(at) for _, rows in table.groupby([*same, table[at].dt.floor("min")], sort=False)]


def _named(names: pd.Series) -> str:
    others = names.nunique() - 1
    return f"{names.iloc[0]} and {others} more" if others else str(names.iloc[0])


def _instant(value: Any) -> datetime:
    return pd.Timestamp(value).to_pydatetime()


def _causes(diagnosis: Diagnosis | None) -> Iterator[TimelineEntry]:
    if diagnosis is None:
        return
    for symptom in diagnosis.symptoms:
        if symptom.breached and symptom.onset_at is not None:
            yield TimelineEntry(at=symptom.onset_at, kind="finding", text=f"{symptom.title.capitalize()} began to rise")
    titles = {cause.name: cause.title for cause in diagnosis.causes}
    for cause in diagnosis.causes:
        if (cause.verdict is Verdict.CONFIRMED or cause.because_of is not None) and cause.since is not None:
            relation = f" (because of: {titles.get(cause.because_of, cause.because_of)})" if cause.because_of else ""
            yield TimelineEntry(at=cause.since, kind="finding", text=f"{cause.title} began{relation}")
