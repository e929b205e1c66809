"""Indexes made and dropped CONCURRENTLY: each statement outside of a transaction, on a connection of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import SourceError, SourceRefused
from runbook_lib.importing import importing
from runbook_lib.sources.postgres_errors import NAME, failed
from runbook_lib.sources.postgres_session import ReadOnlySessions, through_pooler
from runbook_lib.sources.statements import named

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["create_index", "drop_index"]

_BUILD_SECONDS = 2 * 3600  # a large table takes its time, and holds up nobody meanwhile
_LOCK_SECONDS = 60  # it waits for transactions that began before it; a forgotten one would make it wait for good
_LOOK_SECONDS = 1.0
_CANCEL_SECONDS = 10.0


def create_index(
    sessions: ReadOnlySessions,
    schema: str,
    table: str,
    columns: Sequence[str],
    name: str,
    *,
    comment: str,
    progress: Callable[[str], None],
) -> None:
    """See `DatabaseOperator.create_index` in runbook_lib/actions/database_operator.py."""
    with importing("psycopg"):
        from psycopg import sql

    index, parts = sql.Identifier(name), sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    create = sql.SQL("CREATE INDEX CONCURRENTLY {} ON {} ({})").format(index, sql.Identifier(schema, table), parts)
    remark = sql.SQL("COMMENT ON INDEX {} IS {}").format(sql.Identifier(schema, name), sql.Literal(comment))
    with _changing(sessions) as session:
        _followed(sessions, session, create, progress)
        _run(session, remark)


def drop_index(sessions: ReadOnlySessions, schema: str, name: str, oid: int) -> bool:
    """See `DatabaseOperator.drop_index` in runbook_lib/actions/database_operator.py."""
    with importing("psycopg"):
        from psycopg import sql

    drop = sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(schema, name))
    same = "SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = %s AND c.relname = %s AND c.relnamespace = to_regnamespace(%s)"
    with _changing(sessions) as session:
        if _run(session, same, [oid, name, sql.Identifier(schema).as_string(session)]) is None:
            return False
        _run(session, drop)
    return True


@contextlib.contextmanager
def _changing(sessions: ReadOnlySessions) -> Iterator[Connection[Any]]:
    """A session without a transaction. Raises SourceRefused, before it sets anything, when a pooler stands before the server.

    CONCURRENTLY is refused in a transaction, so that no setting can be local to one. A pooler may carry out SET and RESET on
    different connections, and hand one with our timeouts to the application.
    """
    with importing("psycopg"):
        import psycopg

    settings = {"lock_timeout": _LOCK_SECONDS, "statement_timeout": _BUILD_SECONDS}
    try:
        opened = psycopg.connect("", **sessions.parameters(), autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise failed(error, seconds=sessions.seconds) from error
    with contextlib.closing(opened) as session:
        try:
            pooled = through_pooler(session)
        except psycopg.Error as error:
            raise failed(error, seconds=sessions.seconds) from error
        if pooled:
            raise SourceRefused(NAME, "a pooler stands before the server; an index is made and dropped on the server itself")
        for setting, seconds in settings.items():
            _run(session, f"SET {setting} = '{seconds}s'")
        yield session


def _run(session: Connection[Any], statement: Any, values: Sequence[Any] | None = None) -> Any:
    """The first row of the answer, if there is one."""
    with importing("psycopg"):
        import psycopg

    try:
        cursor = session.execute(statement, values)
        return cursor.fetchone() if cursor.description else None
    except psycopg.Error as error:
        raise failed(error, seconds=_BUILD_SECONDS) from error


def _followed(sessions: ReadOnlySessions, session: Connection[Any], statement: Any, progress: Callable[[str], None]) -> None:
    """Run a statement in a thread of its own and tell how far it is; whoever interrupts the waiting cancels it."""
    with importing("psycopg"):
        import psycopg

    errors: list[SourceError] = []

    def run() -> None:
        try:
            _run(session, statement)
        except SourceError as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="create-index")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
            if thread.is_alive() and (text := _how_far(sessions, session.info.backend_pid)):
                progress(text)
    except BaseException:
        with contextlib.suppress(psycopg.Error):
            session.cancel_safe(timeout=_CANCEL_SECONDS)
        thread.join(_CANCEL_SECONDS)
        raise
    if errors:
        raise errors[0]


def _how_far(sessions: ReadOnlySessions, pid: int) -> str:
    """The phase of a build and its share; empty when that cannot be seen."""
    try:
        row = sessions.transaction(lambda session: session.execute(named("index_progress").encode(), {"pid": pid}).fetchone())
    except SourceError:
        return ""
    if row is None:
        return ""
    phase, done, total, waits_for = row
    share = f", {done / total:.0%}" if total else ""
    return f"{phase}{share}" + (f" (waits for the transaction of pid {waits_for})" if waits_for else "")
