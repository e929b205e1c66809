"""The database: ends sessions that hold it up, and brings its settings, roles and schema back."""

from __future__ import annotations

from pathlib import Path

import psycopg

from runbook_lab.home import Home
from runbook_lab.servers import postgres
from runbook_lab.waiting import wait_for

_HERE = Path(__file__).parent
_START_SECONDS = 30.0
_CONNECT_SECONDS = 5
# Whoever holds a lock for longer than this was not among the sessions that are ended, and the statement would wait for good.
_LIMITS = "-c lock_timeout=5s -c statement_timeout=15s -c default_transaction_read_only=off"
# A session keeps what its role or its database was set to when it began. The role `runbook` has a setting of the lab's own.
_CHANGED = "SELECT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole <> 'runbook'::regrole)"
_END_SERVICE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'orders'"
_PASSWORDS = {"orders_password": "orders", "runbook_password": "postgres"}


def restore(home: Home) -> list[str]:
    """Make the database what `lab up` made it, but for the shop's own data. Say how many sessions were ended, and which indexes
    were dropped or made again.

    Raises TimeoutError when it does not accept connections again in time.
    """
    ended = 0
    with wait_for("PostgreSQL", lambda: _connected(home, "postgres"), seconds=_START_SECONDS) as connection:
        ended += len(connection.execute((_HERE / "sessions.sql").read_text(encoding="utf-8")).fetchall())
        [(changed,)] = connection.execute(_CHANGED).fetchall()
        for statement in _statements(home, _HERE / "database.sql"):
            connection.execute(statement)
        if changed:
            ended += len(connection.execute(_END_SERVICE).fetchall())
    done = [f"ended {ended} database sessions"] if ended else []
    with _connected(home, postgres.DATABASE) as connection:
        before = _indexes(connection)
        for _, statement in connection.execute((_HERE / "indexes.sql").read_bytes()).fetchall():
            connection.execute(str(statement).encode())
        dropped = before - _indexes(connection)
        for statement in _statements(home, postgres.SCHEMA):
            if not statement.startswith("CREATE ROLE"):
                connection.execute(statement)
        made = _indexes(connection) - (before - dropped)
    done += [f"dropped index {name}" for name in sorted(dropped)]
    return done + [f"created index {name} again" for name in sorted(made)]


def _indexes(connection: psycopg.Connection[tuple[object, ...]]) -> set[str]:
    rows = connection.execute("SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public'").fetchall()
    return {str(name) for (name,) in rows}


def _connected(home: Home, database: str) -> psycopg.Connection[tuple[object, ...]]:
    """Connect as superuser, by the socket: that way stays open when no password is right and all connections are taken."""
    try:
        return psycopg.connect(
            host=str(home.socket_directory()),
            user="postgres",
            dbname=database,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            options=_LIMITS,
            application_name="lab-heal",
        )
    except psycopg.OperationalError as error:
        raise ConnectionError(str(error)) from error


def _statements(home: Home, path: Path) -> list[str]:
    values = {role: home.read(f"{file}.password") for role, file in _PASSWORDS.items()}
    return postgres.statements(path, values)
