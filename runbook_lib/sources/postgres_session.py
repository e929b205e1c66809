"""Short read-only transactions on PostgreSQL, each on a connection of its own that is cut when it hangs."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from runbook_lib.deadline import Deadline, within
from runbook_lib.errors import ConfigurationError, SourceTimeout, SourceUnreachable
from runbook_lib.importing import importing
from runbook_lib.service.models import PostgresConnection
from runbook_lib.sources.postgres_errors import NAME, failed
from runbook_lib.sources.postgres_text import read_any_text

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["OWN_NAME", "ReadOnlySessions", "through_pooler"]

OWN_NAME = "runbook"
# Connections: a server that is full must not be filled by who looks at it. Those that look at counters twice hold theirs for
# seconds; fewer would make the others wait until their checks have no time left.
_AT_ONCE = 4
_LOCK_SECONDS = 1.0

# As a SELECT it takes the transaction's snapshot, after which nobody can turn it into one that writes.
_SETTINGS = """
SELECT
    set_config('statement_timeout', %(statement)s, true),
    set_config('lock_timeout', %(lock)s, true),
    set_config('idle_in_transaction_session_timeout', %(idle)s, true),
    set_config('default_transaction_read_only', 'on', true),
    set_config('TimeZone', 'UTC', true)
"""

_Result = TypeVar("_Result")


class ReadOnlySessions:
    """Runs work in read-only transactions, four at once at most, each within connect + statement timeout + 1 s."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self.seconds = connection.connect_timeout_seconds + connection.statement_timeout_seconds + 1

    def transaction(self, work: Callable[[Connection[Any]], _Result], *, theirs: bool = False) -> _Result:
        """Run `work` in a transaction and roll it back. `theirs`: mistakes in the statement are the caller's: UsageErrors."""
        deadline = Deadline(self.seconds)
        opened: list[Connection[Any]] = []

        def run() -> _Result:
            if not self._slots.acquire(timeout=deadline.left()):
                raise SourceTimeout(NAME, f"the {_AT_ONCE} connections that may be open at once were busy for {self.seconds:g} s")
            try:
                return self._run(work, opened)
            finally:
                self._slots.release()

        try:
            return within(deadline, run, abandon=lambda: _sever(opened))
        except Exception as error:
            raise failed(error, seconds=self.seconds, theirs=theirs) from error

    def psql(self, sql: str) -> str:
        """The command that asks the same by hand; never with a password."""
        with importing("psycopg"):
            from psycopg.conninfo import make_conninfo

        shown = ("host", "port", "dbname", "user", "sslmode")
        where = {key: value for key, value in self.parameters().items() if key in shown and value is not None}
        return f"{shlex.join(['psql', make_conninfo('', **where), '-c'])} {_double_quoted(sql)}"

    def _run(self, work: Callable[[Connection[Any]], _Result], opened: list[Connection[Any]]) -> _Result:
        with importing("psycopg"):
            import psycopg

        # No prepared statements and nothing in `options`: PgBouncer would refuse the one and lose the other. All settings are
        # local to the transaction, so that it hands on a clean session.
        session = psycopg.connect("", **self.parameters(), autocommit=False, prepare_threshold=None)
        opened.append(session)
        try:
            read_any_text(session)
            session.read_only = True
            session.execute(_SETTINGS, self._settings())
            return work(session)
        finally:
            # A rollback before the end: PgBouncer throws away a server connection whose client leaves in mid-transaction.
            with contextlib.suppress(psycopg.Error):
                session.rollback()
            session.close()

    def _settings(self) -> dict[str, str]:
        """Timeouts in milliseconds, as the server takes them."""
        statement = math.ceil(self._connection.statement_timeout_seconds * 1000)
        lock = min(statement, math.ceil(_LOCK_SECONDS * 1000))
        return {"statement": str(statement), "lock": str(lock), "idle": str(4 * statement)}

    def parameters(self) -> dict[str, Any]:
        """What libpq connects with. Raises SourceUnreachable when a reference names nothing, without showing what it holds."""
        with importing("psycopg"):
            from psycopg import ProgrammingError
            from psycopg.conninfo import conninfo_to_dict

        try:
            given = dict(conninfo_to_dict(self._connection.dsn.resolve()))
            password = self._connection.password.resolve() if self._connection.password is not None else given.get("password")
        except ConfigurationError as error:
            raise SourceUnreachable(NAME, str(error)) from error
        except ProgrammingError:
            reason = f"{self._connection.dsn} does not hold a DSN such as postgresql://host:5432/name"
            raise SourceUnreachable(NAME, reason) from None
        given |= {"application_name": OWN_NAME, "connect_timeout": math.ceil(self._connection.connect_timeout_seconds)}
        if password is not None:
            given["password"] = password
        return {**given, **self._tls()}

    def _tls(self) -> dict[str, str]:
        """libpq's settings for the service file's TLS section; without one the DSN's own stand."""
        tls = self._connection.tls
        if tls is None:
            return {}
        files = {"sslcert": tls.certificate_file, "sslkey": tls.key_file}
        given = {key: path for key, path in files.items() if path is not None}
        if not tls.verify:
            return {**given, "sslmode": "require"}
        return {**given, "sslmode": "verify-full", "sslrootcert": tls.ca_file or "system"}


def through_pooler(session: Connection[Any]) -> bool:
    """Whether a pooler stands before the server: it gives its clients a pid of its own making, not the server's."""
    row = session.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] != session.info.backend_pid


def _double_quoted(text: str) -> str:
    """For a POSIX shell. SQL is full of single quotes, which shlex.quote makes unreadable."""
    return '"' + re.sub(r'(["$`\\])', r"\\\1", text) + '"'


def _sever(opened: Sequence[Connection[Any]]) -> None:
    """Cut the connection that hangs, so that the thread which waits for it ends and gives its place back."""
    for session in opened:
        with contextlib.suppress(Exception), socket.socket(fileno=os.dup(session.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
