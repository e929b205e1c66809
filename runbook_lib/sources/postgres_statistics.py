"""What statements cost, by pg_stat_statements: counters since their reset, looked at twice, so that the present can be told."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook_lib.models.frame import Frame
from runbook_lib.sources.postgres_errors import NAME
from runbook_lib.sources.postgres_session import ReadOnlySessions
from runbook_lib.sources.statements import named, normalised, rendered
from runbook_lib.sources.tables import table

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["STATISTIC_COLUMNS", "statements"]

STATISTIC_COLUMNS = {
    "query_id": "text", "user": "text", "statement": "text", "calls": "number", "mean_seconds": "number", "load": "number",
    "calls_before": "number", "mean_before_seconds": "number", "rows_per_call": "number", "hit_ratio": "number", "since": "time",
}  # fmt: skip
_OLDEST = (1, 8)  # PostgreSQL 13: total_exec_time instead of total_time
_TOPLEVEL, _INFO, _STATS_SINCE = (1, 9), (1, 9), (1, 11)
_MOST = 5_000
_HIDDEN = "<insufficient privilege>"

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Extension:
    version: tuple[int, int]
    schema: str
    sees_all: bool
    role: str

    def sql(self, *, texts: bool) -> str:
        """The statement for this version. Texts are in a file of the server's, which it reads anew each time: often 100 MB."""
        words = {
            "{texts}": "true" if texts else "false",
            "{schema}": self.schema,
            "{since}": "s.stats_since" if self.version >= _STATS_SINCE else "NULL::timestamptz",
            "{toplevel}": "s.toplevel" if self.version >= _TOPLEVEL else "true",
        }
        text = named("statement_statistics")
        for word, meaning in words.items():
            text = text.replace(word, meaning)
        return text


def statements(sessions: ReadOnlySessions, *, every_seconds: float, limit: int) -> Frame:
    """See `Database.statements` in interface.py."""
    parameters = {"limit": _MOST}

    def work(session: Connection[Any]) -> tuple[_Extension | None, tuple[list[Row], list[Row]], float, Any]:
        extension = _extension(session)
        if extension is None or extension.version < _OLDEST:
            return extension, ([], []), 1.0, None
        reset = None
        if extension.version >= _INFO:
            row = session.execute(f"SELECT stats_reset FROM {extension.schema}.pg_stat_statements_info".encode()).fetchone()
            reset = row[0] if row else None
        numbers, all_of_it = (extension.sql(texts=texts).encode() for texts in (False, True))
        first, began = session.execute(numbers, parameters).fetchall(), time.monotonic()
        time.sleep(every_seconds)
        return extension, (first, session.execute(all_of_it, parameters).fetchall()), time.monotonic() - began, reset

    extension, (first, last), seconds, reset = sessions.transaction(work)
    before = {row[0]: row for row in first}
    shown = [row for row in last if row[3] != _HIDDEN and "pg_stat_statements" not in row[3]]  # not our own question
    rated = [_rated(row, before.get(row[0]), seconds) for row in shown]
    ranked = [(*row[:2], normalised(row[2]), *row[3:]) for row in sorted(rated, key=lambda row: -row[5])[:limit]]
    sql = extension.sql(texts=True) if extension else named("statement_extension")
    command = sessions.psql(rendered(sql, parameters if extension else {}))
    built = table(ranked, STATISTIC_COLUMNS, source=NAME, query="statement_statistics", command=command)
    hidden = sum(row[3] == _HIDDEN for row in last)
    built.attrs.update(
        {"missing": _missing(extension, last), "notes": _notes(extension, hidden), "reset_at": reset, "seconds": seconds}
    )
    return built


def _extension(session: Connection[Any]) -> _Extension | None:
    row = session.execute(named("statement_extension").encode()).fetchone()
    if row is None:
        return None
    major, _, minor = str(row[0]).partition(".")
    return _Extension((int(major), int(minor or 0)), *row[1:])


def _rated(row: Row, before: Row | None, seconds: float) -> Row:
    """A statement's counters as rates, and as means before; a reset or an eviction in between counts as nothing before."""
    key, query_id, user, query, calls, spent, rows, hit, read, since = row
    del key
    known = before if before is not None and before[4] <= calls else (*row[:4], 0, 0.0, 0, 0, 0, since)
    called, took = calls - known[4], max(0.0, float(spent) - float(known[5]))
    pages, found = hit - known[7] + read - known[8], hit - known[7]
    return (
        query_id,
        user,
        query,
        called / seconds,
        took / called if called else None,
        took / seconds,
        known[4],
        float(known[5]) / known[4] if known[4] else None,
        (rows - known[6]) / called if called else None,
        found / pages if pages > 0 else None,
        since,
    )


def _missing(extension: _Extension | None, rows: list[Row]) -> str:
    """Why there is nothing to see; empty when there is."""
    if extension is None:
        return "pg_stat_statements is not installed in this database (shared_preload_libraries, then CREATE EXTENSION)"
    if extension.version < _OLDEST:
        older = ".".join(str(part) for part in extension.version)
        return f"pg_stat_statements is of version {older}, older than 1.8: ALTER EXTENSION pg_stat_statements UPDATE"
    if not rows:
        return "pg_stat_statements is empty: it was reset a moment ago, or tracks nothing (pg_stat_statements.track)"
    if all(row[3] == _HIDDEN for row in rows):
        return f"the statements are hidden from {extension.role}; grant pg_read_all_stats to it"
    return ""


def _notes(extension: _Extension | None, hidden: int) -> list[str]:
    if extension is None or not hidden:
        return []
    return [f"{hidden} statements of other roles are hidden from {extension.role}; grant pg_read_all_stats to it"]
