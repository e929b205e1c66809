"""Text of another encoding, from real databases of LATIN1 and SQL_ASCII: shown as well as it can be, and failing nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from tests.unit.sources.postgres_fixtures import Server, server, wait_until

__all__ = ["server"]


@pytest.fixture(scope="module")
def databases(server: Server) -> Server:
    with server.connect() as admin:
        for name, encoding in (("modern", "UTF8"), ("latin", "LATIN1"), ("bytes", "SQL_ASCII")):
            admin.execute(f"create database {name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'")
    for name in ("modern", "latin", "bytes"):
        with server.connect(dbname=name, client_encoding="UTF8") as admin:
            admin.execute('create table "Gäste" (id int primary key, "größe" text)'.encode())
            admin.execute("""insert into "Gäste" select n, 'g' || n from generate_series(1, 20000) n""".encode())
            admin.execute("analyze")
    return server


@contextmanager
def at_work(server: Server, database: str, statement: bytes) -> Iterator[None]:
    """A session at a statement of these very bytes."""
    with ExitStack() as stack:
        session = stack.enter_context(server.connect(dbname=database, application_name="batch"))
        thread = threading.Thread(target=_run, args=(session, statement), daemon=True)
        thread.start()
        stack.callback(thread.join, 5)
        stack.callback(session.cancel)
        watcher = stack.enter_context(server.connect())
        busy = "select count(*) from pg_stat_activity where application_name = 'batch' and wait_event = 'PgSleep'"
        wait_until(lambda: watcher.execute(busy).fetchone()[0])
        yield


def _run(session: psycopg.Connection, statement: bytes) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        session.execute(statement)


@pytest.mark.parametrize("seen_from", ["modern", "bytes", "latin"])
def test_a_session_with_text_in_another_encoding_does_not_hide_the_others(databases: Server, seen_from: str) -> None:
    source = databases.source(dbname=seen_from)
    with at_work(databases, "latin", "select pg_sleep(20) as Müller".encode("latin-1")):
        sessions = source.sessions(minimum_seconds=0.0)
        activity = source.activity(samples=1)
        assert source.blocking_chains().empty
    told = "Müller" if seen_from == "latin" else "M�ller"
    for seen in (sessions, activity):
        assert list(seen[seen["application"] == "batch"]["query"]) == [f"select pg_sleep(?) as {told}"]


@pytest.mark.parametrize("database", ["modern", "bytes", "latin"])
def test_a_statement_is_explained_in_the_encoding_of_its_database(databases: Server, database: str) -> None:
    statement = """select id from "Gäste" where "größe" = 'süß' and (select pg_sleep(20)) is not null"""
    with at_work(databases, database, statement.encode("latin-1" if database == "latin" else "utf-8")):
        plans = databases.source(dbname=database).statement_plans(samples=1)
    (row,) = plans.to_dict("records")
    assert row["problem"] == ""
    assert row["tables"] == ["public.Gäste"]
    assert "'Relation Name': 'Gäste'" in str(row["plan"])
    (told,) = plans.attrs["tables"]
    assert list(told["columns"]) == ["id", "größe"]
    assert told["indexes"][0]["name"] == "Gäste_pkey"


@pytest.mark.parametrize("database", ["modern", "bytes", "latin"])
def test_what_somebody_asks_for_is_text_whatever_the_encoding(databases: Server, database: str) -> None:
    source = databases.source(dbname=database)
    seen = source.query("""select relname, relname::text as text, array[relname] as names, to_json(relname) as json
                           from pg_class where relname ~ '^G.+ste$'""")
    assert seen.iloc[0][["relname", "text", "json"]].tolist() == ["Gäste"] * 3
    assert seen.iloc[0]["names"] == ["Gäste"]
    assert source.query("show server_encoding").iloc[0, 0] in ("UTF8", "SQL_ASCII", "LATIN1")
    assert len(source.table_access(every_seconds=0.01)) == 1
