"""PostgreSQL with the role that changes are made with: the sessions of others and the ways to end them, and indexes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from runbook_lib.models.frame import Frame
from runbook_lib.service.models import PostgresConnection
from runbook_lib.sources.postgres import PostgresDatabase
from runbook_lib.sources.postgres_index import create_index, drop_index
from runbook_lib.sources.postgres_plans import table_definition
from runbook_lib.sources.postgres_session import ReadOnlySessions, through_pooler

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["PostgresOperator"]

# As PostgreSQL's own pg_terminate_backend decides: a superuser's session is for superusers; any other for members of its role
# and of pg_signal_backend. Who may neither end a session nor see it (pg_monitor) is not told when it began.
_MAY_END = """
SELECT
    (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
    OR (
        NOT coalesce(r.rolsuper, true)
        AND (pg_has_role(current_user, r.oid, 'USAGE') OR pg_has_role(current_user, 'pg_signal_backend', 'USAGE'))
    )
FROM pg_catalog.pg_stat_activity AS a
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
WHERE a.pid = %(pid)s AND a.pid <> pg_backend_pid() AND coalesce(a.backend_start = %(backend_start)s, true)
"""
_STATEMENT = " AND a.query_start = %(query_start)s AND a.state = 'active'"
_SIGNAL = """
SELECT {function}(a.pid)
FROM pg_catalog.pg_stat_activity AS a
WHERE a.pid = %(pid)s AND a.pid <> pg_backend_pid() AND a.backend_start = %(backend_start)s AND a.backend_type = 'client backend'
"""
_END = _SIGNAL.format(function="pg_terminate_backend")
_CANCEL = _SIGNAL.format(function="pg_cancel_backend") + _STATEMENT


class PostgresOperator:
    """See `DatabaseOperator` in runbook_lib/actions/database_operator.py. Its transactions read, but for indexes: to end a
    session writes nothing."""

    def __init__(self, connection: PostgresConnection) -> None:
        acting = connection
        if connection.operator_dsn is not None:
            acting = connection.model_copy(update={"dsn": connection.operator_dsn, "password": connection.operator_password})
        self._database = PostgresDatabase(acting)
        self._sessions = ReadOnlySessions(acting)

    def activity(self) -> Frame:
        """Looks at all sessions."""
        return self._database.activity()

    def may_end(self, pid: int, backend_start: datetime) -> bool | None:
        """Whether this role may end the session; None when it is no longer there."""
        return self._asked(_MAY_END, pid, backend_start)

    def end(self, pid: int, backend_start: datetime) -> bool:
        """End the session of this pid that began then, and no other."""
        return bool(self._asked(_END, pid, backend_start))

    def may_cancel(self, pid: int, backend_start: datetime, query_start: datetime) -> bool | None:
        """Whether this role may cancel the statement; None when the session is no longer at it."""
        return self._asked(_MAY_END + _STATEMENT, pid, backend_start, query_start)

    def cancel(self, pid: int, backend_start: datetime, query_start: datetime) -> bool:
        """Cancel the statement that began then, and no other of the session."""
        return bool(self._asked(_CANCEL, pid, backend_start, query_start))

    def statement_plans(self) -> Frame:
        """The statements at work, and their plans."""
        return self._database.statement_plans()

    def table_definition(self, schema: str, table: str) -> Mapping[str, Any] | None:
        """A table with its columns and indexes."""
        return self._sessions.transaction(lambda session: table_definition(session, schema, table))

    def pooled(self) -> bool:
        """Whether a pooler stands before the server."""
        return self._sessions.transaction(through_pooler)

    def create_index(
        self, schema: str, table: str, columns: Sequence[str], name: str, *, comment: str, progress: Callable[[str], None]
    ) -> None:
        """Make an index while everybody goes on."""
        create_index(self._sessions, schema, table, columns, name, comment=comment, progress=progress)

    def drop_index(self, schema: str, name: str, oid: int) -> bool:
        """Drop the index of this oid while everybody goes on."""
        return drop_index(self._sessions, schema, name, oid)

    def _asked(self, sql: Any, pid: int, backend_start: datetime, query_start: datetime | None = None) -> bool | None:
        given = {"pid": pid, "backend_start": backend_start, "query_start": query_start}

        def work(session: Connection[Any]) -> bool | None:
            row = session.execute(sql, given).fetchone()
            return None if row is None else bool(row[0])

        return self._sessions.transaction(work)
