"""What statements cost, from a real PostgreSQL. Its packages lack pg_stat_statements, so that a table of its form stands in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runbook_lib.sources import postgres_statistics
from runbook_lib.sources.statements import normalised
from tests.unit.sources.postgres_fixtures import Server, server

__all__ = ["server"]

COLUMNS = {
    "1.8": "",
    "1.10": ", toplevel bool default true",
    "1.12": ", toplevel bool default true, stats_since timestamptz default '2026-03-01T00:00:00Z'",
}


@contextmanager
def installed(server: Server, version: str, *, database: str) -> Iterator[None]:
    """A database whose catalog says that the extension of this version is there, and a table with its columns."""
    with server.connect() as admin:
        admin.execute(f"drop database if exists {database}")
        admin.execute(f"create database {database}")
    with server.connect(dbname=database) as admin:
        admin.execute(
            "create schema tools; create table tools.pg_stat_statements (userid oid default 10, dbid oid, queryid bigint,"
            " query text, calls bigint, total_exec_time float8, rows bigint, shared_blks_hit bigint,"
            f" shared_blks_read bigint{COLUMNS[version]});"
            " create function tools.pg_stat_statements(showtext bool) returns setof tools.pg_stat_statements"
            " language plpgsql as $$ declare found tools.pg_stat_statements; begin"
            " for found in table tools.pg_stat_statements loop"
            " if not showtext then found.query := null; end if; return next found; end loop; end $$;"
            " create table tools.pg_stat_statements_info as select timestamptz '2026-03-01T00:00:00Z' as stats_reset;"
            " insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)"
            f" values (99999, 'pg_stat_statements', 10, 'tools'::regnamespace, true, '{version}');"
            " grant usage on schema tools to public; grant select on all tables in schema tools to public"
        )
        yield


def add(server: Server, database: str, query: str, calls: int, milliseconds: float, **columns: object) -> None:
    given = {"rows": calls, "shared_blks_hit": 9 * calls, "shared_blks_read": calls, "queryid": hash(query), **columns}
    with server.connect(dbname=database) as admin:
        admin.execute(
            f"insert into tools.pg_stat_statements (dbid, query, calls, total_exec_time, {', '.join(given)})"
            f" select oid, %s, %s, %s, {', '.join(['%s'] * len(given))} from pg_database where datname = current_database()",
            [query, calls, milliseconds, *given.values()],
        )


@pytest.mark.parametrize("version", COLUMNS)
def test_the_present_is_told_from_what_was_before(server: Server, version: str) -> None:
    with installed(server, version, database="counted"):
        add(server, "counted", "select * from orders where customer = $1", 100, 1_000.0)
        thread = threading.Thread(target=grow, args=(server, "counted"), daemon=True)
        thread.start()
        seen = server.source(dbname="counted").statements(every_seconds=0.8)
        thread.join(5)
    (row,) = seen.to_dict("records")
    assert row["mean_before_seconds"] == pytest.approx(0.01)
    assert row["mean_seconds"] == pytest.approx(0.5)
    assert row["calls_before"] == 100
    assert row["load"] == pytest.approx(5.0 / seen.attrs["seconds"])
    assert row["hit_ratio"] == pytest.approx(0.8)
    assert seen.attrs["missing"] == ""
    assert (seen.attrs["reset_at"] is not None) == (version != "1.8")
    assert row["user"] == "postgres"


def grow(server: Server, database: str) -> None:
    time.sleep(0.3)
    with server.connect(dbname=database) as admin:
        admin.execute(
            "update tools.pg_stat_statements set calls = calls + 10, total_exec_time = total_exec_time + 5000,"
            " rows = rows + 10, shared_blks_hit = shared_blks_hit + 80, shared_blks_read = shared_blks_read + 20"
        )


def test_without_the_extension_that_is_said(server: Server) -> None:
    seen = server.source().statements(every_seconds=0.01)
    assert seen.empty
    assert "pg_stat_statements is not installed in this database" in seen.attrs["missing"]


def test_an_empty_one_is_said(server: Server) -> None:
    with installed(server, "1.12", database="counted"):
        assert "is empty" in server.source(dbname="counted").statements(every_seconds=0.01).attrs["missing"]


def test_an_old_one_is_said(server: Server) -> None:
    with installed(server, "1.8", database="counted"):
        with server.connect(dbname="counted") as admin:
            admin.execute("update pg_extension set extversion = '1.6' where extname = 'pg_stat_statements'")
        assert "of version 1.6, older than 1.8" in server.source(dbname="counted").statements(every_seconds=0.01).attrs["missing"]


def test_hidden_statements_are_counted_and_the_grant_is_named(server: Server) -> None:
    with installed(server, "1.12", database="counted"):
        add(server, "counted", "<insufficient privilege>", 5, 10.0, queryid=None)
        seen = server.source(dbname="counted", user="reader").statements(every_seconds=0.01)
        assert "hidden from reader; grant pg_read_all_stats" in seen.attrs["missing"]
        add(server, "counted", "select 1", 5, 10.0)
        seen = server.source(dbname="counted", user="reader").statements(every_seconds=0.01)
    assert seen.attrs["missing"] == ""
    assert "1 statements of other roles are hidden" in seen.attrs["notes"][0]
    assert list(seen["statement"]) == ["select ?"]


def test_a_reset_between_the_looks_counts_from_nothing(server: Server) -> None:
    with installed(server, "1.12", database="counted"):
        add(server, "counted", "select 1", 100, 1_000.0)
        thread = threading.Thread(target=reset, args=(server, "counted"), daemon=True)
        thread.start()
        seen = server.source(dbname="counted").statements(every_seconds=0.6)
        thread.join(5)
    (row,) = seen.to_dict("records")
    assert row["calls_before"] == 0
    assert row["mean_seconds"] == pytest.approx(0.02)


def reset(server: Server, database: str) -> None:
    time.sleep(0.2)
    with server.connect(dbname=database) as admin:
        admin.execute("update tools.pg_stat_statements set calls = 3, total_exec_time = 60")


def test_long_texts_are_fetched_once_and_cut_and_only_what_is_shown_is_normalised(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def watched(text: str) -> str:
        read.append(text)
        return normalised(text)

    monkeypatch.setattr(postgres_statistics, "normalised", watched)
    with installed(server, "1.12", database="counted"):
        for calls in range(1, 8):
            add(server, "counted", f"select {calls} as {'column_' * 2_000}", calls, 1_000.0)
        add(server, "counted", "select calls from pg_stat_statements", 9, 9_000.0)
        thread = threading.Thread(target=grow_all, args=(server, "counted"), daemon=True)
        thread.start()
        seen = server.source(dbname="counted").statements(every_seconds=0.8, limit=3)
        thread.join(5)
    assert [len(text) for text in read] == [4_000] * 3
    assert list(seen["calls_before"]) == [7, 6, 5]
    assert seen.iloc[0]["statement"].startswith("select ? as column_")
    assert "pg_stat_statements(true)" in seen.attrs["command"]


def grow_all(server: Server, database: str) -> None:
    time.sleep(0.3)
    with server.connect(dbname=database) as admin:
        admin.execute("update tools.pg_stat_statements set total_exec_time = total_exec_time + 100 * calls, calls = calls + 1")
