"""How the database's tables are read: by index or from one end to the other, and what that costs."""

from __future__ import annotations

from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.database_sessions import why_unknown
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame

_LARGE_ROWS = 10_000  # below that reading all of a table is what the planner should do
_MANY_ROWS = 100_000.0  # a second: what a processor reads in some hundredths of one
_DEAD_RATIO = 0.2  # PostgreSQL's own autovacuum_vacuum_scale_factor: above it a vacuum is due
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
        signals=(_signal(scanned),),
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
    ratio = access.attrs.get("cache_hit_ratio")
    if ratio is not None and ratio < _LOW_HIT_RATIO:
        notes.append(f"Shared buffers answer only {ratio:.1%} of the page reads: what is read does not fit into them.")
    return tuple(notes)


def _signal(scanned: Frame) -> Signal:
    name = "tables_scanned"
    if len(scanned):
        subject = f"{scanned.iloc[0]['schema']}.{scanned.iloc[0]['table']}"
        rows = float(scanned.iloc[0]["sequential_rows"])
        return Signal(name=name, presence=Presence.PRESENT, text=_told(scanned), subject=subject, value=rows, unit="rows/s")
    return Signal(name=name, presence=Presence.ABSENT, text="no large table is read sequentially")


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
