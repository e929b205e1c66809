"""Ending sessions of a real PostgreSQL: the one that was meant, by a role that may."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from runbook_lib.service.models import PostgresConnection
from runbook_lib.sources.postgres_operator import PostgresOperator
from tests.unit.sources.postgres_fixtures import Blocked, Server, server, wait_until

__all__ = ["server"]


def operator(server: Server, user: str) -> PostgresOperator:
    return PostgresOperator(PostgresConnection(dsn=server.dsn(user="reader"), operator_dsn=server.dsn(user=user)))


def begun(server: Server, pid: int) -> datetime:
    with server.connect() as admin:
        row = admin.execute("select backend_start from pg_stat_activity where pid = %s", [pid]).fetchone()
    assert row is not None
    found: datetime = row[0]
    return found


def other(server: Server, stack: ExitStack) -> psycopg.Connection:
    return stack.enter_context(psycopg.connect(server.dsn(user="reader"), application_name="import"))


def test_a_session_is_ended_once_and_what_waited_goes_on(server: Server) -> None:
    with ExitStack() as stack:
        session = other(server, stack)
        pid = session.info.backend_pid
        started = begun(server, pid)
        acting = operator(server, "ender")
        assert acting.may_end(pid, started) is True
        assert acting.end(pid, started) is True
        wait_until(lambda: acting.may_end(pid, started) is None)
        assert acting.end(pid, started) is False
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")


def test_a_statement_is_cancelled_once_and_its_session_goes_on(server: Server) -> None:
    with ExitStack() as stack:
        session = other(server, stack)
        pid, acting = session.info.backend_pid, operator(server, "ender")
        failed: list[BaseException] = []
        thread = threading.Thread(target=_sleep, args=(session, failed), daemon=True)
        thread.start()
        wait_until(lambda: at_work(server, pid) is not None)
        began, started = at_work(server, pid), begun(server, pid)
        assert began is not None
        assert acting.may_cancel(pid, started, began) is True
        assert acting.may_cancel(pid, started, began - timedelta(seconds=1)) is None
        assert acting.cancel(pid, started, began - timedelta(seconds=1)) is False
        assert acting.cancel(pid, started, began) is True
        thread.join(5)
        assert isinstance(failed[0], psycopg.errors.QueryCanceled)
        assert acting.may_cancel(pid, started, began) is None
        session.rollback()
        assert session.execute("select 1").fetchone() == (1,)


def _sleep(session: psycopg.Connection, failed: list[BaseException]) -> None:
    try:
        session.execute("select pg_sleep(30)")
    except psycopg.Error as error:
        failed.append(error)


def at_work(server: Server, pid: int) -> datetime | None:
    with server.connect() as admin:
        query = "select query_start from pg_stat_activity where pid = %s and state = 'active' and wait_event = 'PgSleep'"
        row = admin.execute(query, [pid]).fetchone()
    return row[0] if row else None


def test_a_pid_that_was_used_again_is_somebody_else(server: Server) -> None:
    with ExitStack() as stack:
        session = other(server, stack)
        pid, before = session.info.backend_pid, datetime.now(UTC) - timedelta(days=1)
        acting = operator(server, "ender")
        assert acting.may_end(pid, before) is None
        assert acting.end(pid, before) is False
        assert session.execute("select 1").fetchone() == (1,)


def test_a_superusers_session_is_only_for_superusers(server: Server) -> None:
    with ExitStack() as stack:
        blocked = Blocked(server, stack)
        pid = blocked.holder.info.backend_pid
        assert operator(server, "ender").may_end(pid, begun(server, pid)) is False


def test_a_role_without_the_right_may_not_end_others_and_may_end_its_own(server: Server) -> None:
    with ExitStack() as stack:
        session = other(server, stack)
        pid = session.info.backend_pid
        assert operator(server, "crowd").may_end(pid, begun(server, pid)) is False
        assert operator(server, "reader").may_end(pid, begun(server, pid)) is True


def test_without_an_operators_dsn_the_readers_is_used(server: Server) -> None:
    with ExitStack() as stack:
        session = other(server, stack)
        pid = session.info.backend_pid
        acting = PostgresOperator(PostgresConnection(dsn=server.dsn(user="reader")))
        assert acting.may_end(pid, begun(server, pid)) is True
        assert len(acting.activity()) >= 0
