"""How the database's tables are read: by index or from one end to the other, and what that costs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.database_sessions import why_unknown
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame

_LARGE_ROWS = 10_000  # below that reading all of a table is what the planner should do
_MANY_ROWS = 100_000.0  # a second: what a processor reads in some hundredths of one
_DEAD_RATIO = 0.2  # PostgreSQL's own autovacuum_vacuum_scale_factor: above it a vacuum is due
_STALE_RATIO = 0.2  # of the rows changed: twice autovacuum_analyze_scale_factor, above which ANALYZE is due
_MORE = 3.0  # times as many rows read sequentially as on average before the onset
_LOW_HIT_RATIO = 0.9


def table_access(context: CheckContext) -> Finding:
    """Which large tables are read sequentially at present, how many dead rows they have, and what the shared buffers answer."""
    database = context.sources.database
    answers = ask({"access": Question(database, database.table_access)}, deadline_seconds=context.deadline_seconds)
    access = answers.get("access") if context.live else None
    if access is None:
        return _unknown(context, answers)
    scanned = _scanned(access)
    return Finding(
        name="table_access",
        title="How tables are read",
        summary=_summary(access, scanned),
        status=FindingStatus.WARNING if len(scanned) else FindingStatus.NORMAL,
        command=access.command,
        tables=(("Tables, as they are read now", access.head(20)),) if len(access) else (),
        notes=_notes(access, scanned),
        signals=(_signal(context, access, scanned),),
        sources=answers.sources,
    )


def _scanned(access: Frame) -> Frame:
    if access.empty:
        return access
    return Frame(access[(access["live_rows"] >= _LARGE_ROWS) & (access["sequential_rows"] >= _MANY_ROWS)])


def _summary(access: Frame, scanned: Frame) -> str:
    if len(scanned):
        return f"{_told(scanned)}: an index is missing, or not used."
    ratio = access.attrs.get("cache_hit_ratio")
    hits = f"; shared buffers answer {ratio:.1%} of the page reads" if ratio is not None else ""
    return f"No large table is read sequentially{hits}."


def _told(scanned: Frame) -> str:
    first = scanned.iloc[0]
    return (
        f"{first['schema']}.{first['table']} ({first['live_rows']:,.0f} rows) is read from one end to the other "
        f"{first['sequential_scans']:.1f} times a second, {first['sequential_rows']:,.0f} rows a second"
    )


def _notes(access: Frame, scanned: Frame) -> tuple[str, ...]:
    notes = []
    if len(scanned):
        notes.append("EXPLAIN (without ANALYZE) of the statement that reads it shows which condition has no index.")
    dead = access[(access["dead_rows"] > _DEAD_RATIO * access["live_rows"]) & (access["dead_rows"] > _LARGE_ROWS)]
    notes += [
        f"{row.schema}.{row.table} has {row.dead_rows:,.0f} dead rows beside {row.live_rows:,.0f} live ones: vacuum is due."
        for row in dead.itertuples()
    ]
    # That no ANALYZE is known says nothing by itself: after a crash, and on a standby, none is.
    stale = access[(access["live_rows"] >= _LARGE_ROWS) & (access["modified_rows"] > _STALE_RATIO * access["live_rows"])]
    notes += [
        f"{_named(row)}: the planner may choose badly. ANALYZE {row['schema']}.{row['table']}" for row in stale.to_dict("records")
    ]
    ratio = access.attrs.get("cache_hit_ratio")
    if ratio is not None and ratio < _LOW_HIT_RATIO:
        notes.append(f"Shared buffers answer only {ratio:.1%} of the page reads: what is read does not fit into them.")
    return tuple(notes)


def _named(row: Mapping[Hashable, Any]) -> str:
    table = f"{row['schema']}.{row['table']}"
    if pd.isna(row["last_analyze_at"]):
        return f"{table} ({row['live_rows']:,.0f} rows) was never analyzed"
    return f"{row['modified_rows']:,.0f} of {row['live_rows']:,.0f} rows of {table} have changed since it was analyzed"


def _signal(context: CheckContext, access: Frame, scanned: Frame) -> Signal:
    name = "tables_scanned"
    if not len(scanned):
        return Signal(name=name, presence=Presence.ABSENT, text="no large table is read sequentially")
    first = scanned.iloc[0]
    rows = float(first["sequential_rows"])
    since = _since(context, rows, float(first["sequential_rows_before"]), access.attrs.get("reset_at"))
    text = _told(scanned) + (f", more than {_MORE:g} times as many as before the symptom" if since else "")
    subject = f"{first['schema']}.{first['table']}"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, subject=subject, value=rows, unit="rows/s")


def _since(context: CheckContext, rate: float, total: float, reset_at: Any) -> datetime | None:
    """When a table began to be read so much, as far as counters tell it; None when it always was, or may have been.

    Read at this rate since the symptom's onset, the counter has so much left for the time before: much less a second than now. A
    counter that is too small even for that says that it began later.
    """
    onset = context.symptom().onset_at
    if onset is None or reset_at is None or rate <= 0:
        return None
    began = context.now - timedelta(seconds=total / rate)
    if began > onset:
        return began
    before_seconds = (onset - pd.Timestamp(reset_at).to_pydatetime()).total_seconds()
    left = total - rate * (context.now - onset).total_seconds()
    return onset if before_seconds > 0 and left / before_seconds * _MORE <= rate else None


def _unknown(context: CheckContext, answers: Answers) -> Finding:
    reason = why_unknown(context, answers, "access")
    text = f"how tables are read is not known: {reason}"
    return Finding(
        name="table_access",
        title="How tables are read",
        summary=f"How tables are read could not be looked at: {reason}.",
        status=FindingStatus.UNKNOWN,
        signals=(Signal(name="tables_scanned", presence=Presence.UNKNOWN, text=text),),
        sources=answers.sources,
    )
