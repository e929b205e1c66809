"""PostgreSQL, read in short read-only transactions that leave nothing behind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import SourceError, SourceRefused, SourceTimeout
from runbook_lib.models.finding import SourceStatus
from runbook_lib.models.frame import Frame
from runbook_lib.service.models import PostgresConnection
from runbook_lib.sources.blocking import roots
from runbook_lib.sources.cells import frame_of
from runbook_lib.sources.postgres_errors import NAME
from runbook_lib.sources.postgres_plans import statement_plans
from runbook_lib.sources.postgres_session import OWN_NAME, ReadOnlySessions
from runbook_lib.sources.postgres_statistics import statements
from runbook_lib.sources.statements import acting_function, first_word, named, normalised, rendered
from runbook_lib.sources.tables import table

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["PostgresDatabase"]

_MAXIMUM_BYTES = 32 * 2**20
_BATCH_ROWS = 500
_CURSOR = ("select", "with", "values", "table")
_READING = (*_CURSOR, "show", "explain")

_CONNECTION_COLUMNS = {
    "application": "text", "user": "text", "database": "text", "state": "text", "client": "text", "count": "integer",
    "oldest_seconds": "number",
}  # fmt: skip
_SESSION_COLUMNS = {
    "pid": "integer", "application": "text", "user": "text", "database": "text", "client": "text", "kind": "text",
    "state": "text", "wait_event": "text", "backend_start": "time", "transaction_start": "time", "query_start": "time",
    "state_seconds": "number", "transaction_seconds": "number", "query": "text", "blocked_by": "any",
}  # fmt: skip
_BLOCKING_COLUMNS = {
    "blocked_pid": "integer", "database": "text", "blocked_application": "text", "blocked_user": "text",
    "blocked_seconds": "number", "blocked_query": "text", "blocking_pid": "integer", "blocking_application": "text",
    "blocking_state": "text", "blocking_seconds": "number", "blocking_query": "text", "blocking_user": "text",
    "blocking_kind": "text", "blocking_backend_start": "time", "relation": "text", "mode": "text", "root_pid": "integer",
    "waiters": "integer",
}  # fmt: skip
_TABLE_COLUMNS = {
    "schema": "text", "table": "text", "total_bytes": "number", "table_bytes": "number", "index_bytes": "number",
    "live_rows": "number", "dead_rows": "number", "last_autovacuum_at": "time",
}  # fmt: skip

_ACCESS_COLUMNS = {
    "schema": "text", "table": "text", "live_rows": "number", "dead_rows": "number", "sequential_scans": "number",
    "sequential_rows": "number", "index_scans": "number", "last_autovacuum_at": "time", "last_analyze_at": "time",
    "modified_rows": "number", "sequential_rows_before": "number",
}  # fmt: skip
_MOST_TABLES = 2_000

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    """The rows of a named statement that was run in `database`, and of how many sessions `role` may not see the details."""

    rows: list[Row]
    hidden: int
    role: str
    database: str
    hidden_of: list[list[Any]]

    @property
    def notes(self) -> list[str]:
        if not self.hidden:
            return []
        who = f"{self.hidden} sessions of other roles"
        return [f"the details of {who} are hidden from {self.role}; grant pg_monitor to {self.role} to see them"]


class PostgresDatabase:
    """One database; see `Database` in interface.py for what each method answers.

    Every call opens a connection and closes it, four at once at most, also through PgBouncer in transaction mode. Statements of
    other sessions are shown with `?` for their constants, which may be personal data. `attrs["hidden"]` counts the sessions
    whose details this role may not see, `attrs["hidden_of"]` says whose they are (application, user, database, how many),
    `attrs["notes"]` tells it in sentences; `attrs["database"]` is the one that was asked.
    """

    name = NAME

    def __init__(self, connection: PostgresConnection) -> None:
        self._sessions = ReadOnlySessions(connection)

    def probe(self) -> SourceStatus:
        """Open a transaction."""
        started = time.monotonic()
        try:
            self._sessions.transaction(lambda _: None)
        except SourceError as error:
            return SourceStatus(name=self.name, status=error.status, error=error.reason)
        return SourceStatus(name=self.name, status="ok", seconds=time.monotonic() - started)

    def close(self) -> None:
        """No connection outlives its call."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, *, limit: int = 10_000) -> Frame:
        """Any statement that reads; `parameters` stand in it as `%(name)s`.

        Long cells are cut; `attrs["truncated"]` is True when rows were left out. Raises SourceRefused for what changes
        something, UsageError for what PostgreSQL cannot parse or find.
        """
        kind, acting = first_word(sql), acting_function(sql)
        if kind not in _READING:
            reason = f"only statements that read are allowed here ({', '.join(_READING)}); found {kind or 'nothing'}"
            raise SourceRefused(NAME, f"{reason}; changes are made by actions")
        if acting:
            raise SourceRefused(
                NAME, f"{acting}() changes something even in a read-only transaction; changes are made by actions"
            )
        read = _through_cursor if kind in _CURSOR else _directly
        columns, rows, more = self._sessions.transaction(lambda session: read(session, sql, parameters, limit), theirs=True)
        built = frame_of(columns, rows, source=NAME, query=sql, command=self._sessions.psql(rendered(sql, parameters or {})))
        notes = [f"only the first {len(rows)} rows were read"] if more else []
        built.attrs.update({"truncated": more, "notes": notes})
        return built

    def limits(self) -> Mapping[str, Any]:
        """How many connections the server takes and has; also `role_limit` and `database_limit`, None when unlimited, and
        `full_roles`: those that have as many as they may (CONNECTION LIMIT)."""
        row = self._read("limits", {}).rows[0]
        keys = ("max_connections", "reserved_connections", "used_connections", "role_limit", "database_limit", "full_roles")
        facts: dict[str, Any] = dict(zip((*keys, "started_at", "version", "in_recovery"), row, strict=True))
        for key in ("role_limit", "database_limit"):
            facts[key] = None if facts[key] is None or facts[key] < 0 else facts[key]
        return facts

    def connections(self) -> Frame:
        """Client connections by who holds them and in what state; `hidden` where this role may not see it."""
        return self._table(self._read("connections", {}), _CONNECTION_COLUMNS, "connections", {})

    def sessions(self, *, minimum_seconds: float = 1.0, limit: int = 200, literals: bool = False) -> Frame:
        """Sessions at work or idle in transaction, oldest first; `kind` tells clients from autovacuum and replication, which
        come last. `literals=True` shows the statements as they are."""
        parameters = {"minimum_seconds": minimum_seconds, "limit": limit, "own_name": OWN_NAME, "with_blockers": False}
        built = self._table(self._read("sessions", parameters), _SESSION_COLUMNS, "sessions", parameters)
        if not literals:
            built["query"] = built["query"].map(normalised).astype("str")
        return built

    def activity(self, *, samples: int = 8, every_seconds: float = 0.25) -> Frame:
        """The sessions of clients, and whoever these wait for, looked at several times in one transaction; `sample` counts the
        looks. Prepared transactions that somebody waits for are one of pid 0."""
        parameters = {"minimum_seconds": 0.0, "limit": 500, "own_name": OWN_NAME, "with_blockers": True}

        def work(session: Connection[Any]) -> _Answer:
            rows: list[Row] = []
            for sample in range(samples):
                if sample:
                    time.sleep(every_seconds)
                    session.execute("SELECT pg_stat_clear_snapshot()")
                rows += [(sample, *row) for row in _with_prepared(session, parameters)]
            return _answer(session, rows)

        columns = {"sample": "integer", **_SESSION_COLUMNS}
        built = self._table(self._sessions.transaction(work), columns, "sessions", parameters)
        waited_for = {pid for blockers in built["blocked_by"] for pid in blockers}
        mine = Frame(built[(built["kind"] == "client") | built["pid"].isin(waited_for)])
        mine["query"] = mine["query"].map(normalised).where(mine["kind"] != "prepared", mine["query"]).astype("str")
        mine.attrs["samples"] = samples
        return mine

    def table_access(self, *, every_seconds: float = 2.0, limit: int = 50) -> Frame:
        """Rates of reading, from the difference of two looks at the counters; servers flush these once a second at most."""
        parameters = {"limit": _MOST_TABLES}
        rows, seconds = self._sessions.transaction(
            lambda session: _twice(session, named("table_access"), parameters, every_seconds)
        )
        command = self._sessions.psql(rendered(named("table_access"), parameters))
        first, last = ({row[:2]: row for row in look} for look in rows)
        rated = [_rated(row, first.get(key, row), seconds) for key, row in last.items()]
        ranked = sorted(rated, key=lambda row: -row[5])[:limit]
        built = table(ranked, _ACCESS_COLUMNS, source=NAME, query="table_access", command=command)
        pages = next(iter(last.values()), (0,) * 11)[9:]
        before = next(iter(first.values()), (0,) * 11)[9:]
        hits, reads = (pages[place] - before[place] for place in (0, 1))
        built.attrs["cache_hit_ratio"] = hits / (hits + reads) if hits + reads > 0 else None
        built.attrs["reset_at"] = next((row[12] for row in last.values()), None)
        return built

    def statements(self, *, every_seconds: float = 2.0, limit: int = 50) -> Frame:
        """What statements cost at present and cost before, from pg_stat_statements."""
        return statements(self._sessions, every_seconds=every_seconds, limit=limit)

    def statement_plans(self, *, samples: int = 3, every_seconds: float = 0.3, limit: int = 8) -> Frame:
        """What clients are at, and how PostgreSQL would carry it out; nothing is executed."""
        return statement_plans(self._sessions, samples=samples, every_seconds=every_seconds, limit=limit)

    def blocking_chains(self) -> Frame:
        """Who waits for whose lock, the longest wait first, with the session at the root of each chain."""
        parameters = {"limit": 1_000}
        answer = self._read("blocking", parameters)
        names = list(_BLOCKING_COLUMNS)
        blocked, blocking = names.index("blocked_pid"), names.index("blocking_pid")
        found = roots((row[blocked], row[blocking]) for row in answer.rows)
        rooted = [(*row, *found[row[blocked], row[blocking]]) for row in answer.rows]
        built = self._table(replace(answer, rows=rooted), _BLOCKING_COLUMNS, "blocking", parameters)
        for column in ("blocked_query", "blocking_query"):
            built[column] = built[column].map(normalised).astype("str")
        return built

    def table_sizes(self, *, limit: int = 50) -> Frame:
        """The largest tables. While one of them is locked exclusively, sizes as of the last ANALYZE, and a note that says so."""
        parameters = {"limit": limit}
        try:
            return self._table(self._read("table_sizes", parameters), _TABLE_COLUMNS, "table_sizes", parameters)
        except SourceTimeout as waited:
            name = "table_size_estimates"
            built = self._table(self._read(name, parameters), _TABLE_COLUMNS, name, parameters)
            note = f"sizes are those of the last VACUUM or ANALYZE, since measuring had to wait: {waited.reason}"
            built.attrs["notes"] = [note, *built.attrs["notes"]]
            return built

    def _read(self, name: str, parameters: Mapping[str, Any]) -> _Answer:
        """Run a named statement, and ask in the same transaction what this role may not see."""

        def work(session: Connection[Any]) -> _Answer:
            rows = session.execute(_text(named(name)), parameters).fetchall()
            return _answer(session, rows)

        return self._sessions.transaction(work)

    def _table(self, answer: _Answer, columns: Mapping[str, str], name: str, parameters: Mapping[str, Any]) -> Frame:
        command = self._sessions.psql(rendered(named(name), parameters))
        built = table(answer.rows, columns, source=NAME, query=name, command=command)
        built.attrs.update({"notes": answer.notes, "hidden": answer.hidden, "database": answer.database})
        built.attrs["hidden_of"] = answer.hidden_of
        return built


def _answer(session: Connection[Any], rows: list[Row]) -> _Answer:
    hidden: Row = session.execute(_text(named("hidden_sessions"))).fetchone() or (0, "", "", [])
    return _Answer(rows, *hidden)


def _with_prepared(session: Connection[Any], parameters: Mapping[str, Any]) -> list[Row]:
    """The sessions of one look; pg_blocking_pids names all prepared transactions by 0."""
    rows = session.execute(_text(named("sessions")), parameters).fetchall()
    waited_for = any(0 in row[-1] for row in rows)
    return rows + (session.execute(_text(named("prepared_transactions"))).fetchall() if waited_for else [])


def _twice(
    session: Connection[Any], sql: str, parameters: Mapping[str, Any], every_seconds: float
) -> tuple[tuple[list[Row], list[Row]], float]:
    """The rows of a statement on statistics, the same some seconds later, and how many seconds lay between."""
    first, began = session.execute(_text(sql), parameters).fetchall(), time.monotonic()
    time.sleep(every_seconds)
    session.execute("SELECT pg_stat_clear_snapshot()")
    return (first, session.execute(_text(sql), parameters).fetchall()), time.monotonic() - began


def _rated(row: Row, before: Row, seconds: float) -> Row:
    """A table's counters as rates; a reset of the statistics in between counts as nothing."""
    rates = [max(0.0, (row[place] - before[place]) / seconds) for place in (4, 5, 6)]
    return (*row[:4], *rates, *row[7:9], row[11], before[5])


def _text(sql: str) -> Any:
    """psycopg's types ask for literals, so that nobody puts values into statements; these come from files and engineers."""
    return sql


def _through_cursor(
    session: Connection[Any], sql: str, parameters: Mapping[str, Any] | None, limit: int
) -> tuple[list[str], list[Row], bool]:
    """Rows in batches through a server-side cursor, so that a large answer stays on the server."""
    rows: list[Row] = []
    size = 0
    with session.cursor(name="runbook") as cursor:
        cursor.execute(_text(sql.strip().rstrip(";")), parameters)
        columns = [column.name for column in cursor.description or ()]
        while len(rows) <= limit and size < _MAXIMUM_BYTES:
            batch = cursor.fetchmany(min(_BATCH_ROWS, limit + 1 - len(rows)))
            if not batch:
                return columns, rows, False
            rows.extend(batch)
            size += sum(len(cell) for row in batch for cell in row if isinstance(cell, (str, bytes)))
    return columns, rows[:limit], True


def _directly(
    session: Connection[Any], sql: str, parameters: Mapping[str, Any] | None, limit: int
) -> tuple[list[str], list[Row], bool]:
    """SHOW and EXPLAIN know no cursor. The binary format makes psycopg use the protocol that takes one statement only."""
    cursor = session.execute(_text(sql), parameters, binary=True)
    rows = cursor.fetchmany(limit + 1)
    return [column.name for column in cursor.description or ()], rows[:limit], len(rows) > limit
