"""The database roles that we ship, on a real server: one sees everything and changes nothing, the other ends sessions."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from runbook_lib.service.models import PostgresConnection
from runbook_lib.sources.postgres_operator import PostgresOperator
from tests.unit.sources.postgres_fixtures import Blocked, Server, server

__all__ = ["server"]

FILE = Path(__file__).parents[3] / "deploy" / "postgres-roles.sql"


@pytest.fixture(scope="module")
def prepared(server: Server) -> Server:
    with server.connect() as admin:
        admin.execute(FILE.read_text(encoding="utf-8"))
    return server


def test_who_looks_sees_the_sessions_of_others_and_changes_nothing(prepared: Server) -> None:
    with ExitStack() as stack:
        blocked = Blocked(prepared, stack)
        source = prepared.source(user="runbook")
        assert source.probe().status == "ok"
        seen = source.blocking_chains()
        assert list(seen["blocking_pid"]) == [blocked.holder.info.backend_pid]
        assert "accounts" in seen["blocked_query"].iloc[0]
        with psycopg.connect(prepared.dsn(user="runbook")) as session:
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                session.execute("create table mine (id int)")
            session.rollback()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("select * from accounts")


def test_who_acts_ends_a_session_that_whoever_looks_may_not(prepared: Server) -> None:
    with ExitStack() as stack:
        session = stack.enter_context(psycopg.connect(prepared.dsn(user="reader")))
        pid = session.info.backend_pid
        with prepared.connect() as admin:
            row = admin.execute("select backend_start from pg_stat_activity where pid = %s", [pid]).fetchone()
        assert row is not None
        ends = {
            user: PostgresOperator(
                PostgresConnection(dsn=prepared.dsn(user="runbook"), operator_dsn=prepared.dsn(user=user))
            ).may_end(pid, row[0])
            for user in ("runbook", "runbook_operator")
        }
        assert ends == {"runbook": False, "runbook_operator": True}
