"""Plans of running statements from a real PostgreSQL: explained, never executed, their constants left out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psycopg
import pytest

from runbook_lib.analysis.index_advice import advise
from runbook_lib.models.index import TableDefinition
from runbook_lib.sources import postgres_plans
from tests.unit.sources.postgres_fixtures import Server, server, wait_until

__all__ = ["server"]

SLOW = "and (select pg_sleep(20)) is not null"


@pytest.fixture(scope="module")
def visits(server: Server) -> Server:
    with server.connect() as admin:
        admin.execute(
            "create table visits (id int primary key, guest varchar(20), note text, at timestamptz default now());"
            " insert into visits select n, 'g' || n % 500, 'x' from generate_series(1, 20000) n; analyze visits;"
            " create role guard login in role pg_monitor, pg_read_all_data"
        )
    return server


@contextmanager
def at_work(server: Server, sql: str, *values: Any, user: str = "postgres") -> Iterator[None]:
    with ExitStack() as stack:
        session = stack.enter_context(psycopg.connect(server.dsn(user=user), application_name="front-desk", autocommit=True))
        thread = threading.Thread(target=_run, args=(session, sql, values), daemon=True)
        thread.start()
        stack.callback(thread.join, 5)
        stack.callback(session.cancel)
        watcher = stack.enter_context(server.connect())
        busy = "select count(*) from pg_stat_activity where application_name = 'front-desk' and wait_event = 'PgSleep'"
        wait_until(lambda: watcher.execute(busy).fetchone()[0])
        yield


def _run(session: psycopg.Connection, sql: str, values: tuple[Any, ...]) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        session.execute(sql, values or None)


def test_a_statement_with_parameters_is_explained_as_it_is(visits: Server) -> None:
    with at_work(visits, f"select id from visits where guest = %s {SLOW}", "g7"):
        plans = visits.source(user="guard").statement_plans(samples=2, every_seconds=0.05)
    (row,) = plans.to_dict("records")
    assert (row["application"], row["user"], row["seen"], row["problem"]) == ("front-desk", "postgres", 2, "")
    assert "guest = $1" in row["statement"]
    assert any(node["Node Type"] == "Seq Scan" and "(visits.guest)::text = $1" in node["Filter"] for node in nodes(row["plan"]))
    (told,) = plans.attrs["tables"]
    table = TableDefinition.of(told)
    assert (str(table), table.rows, table.columns["guest"].type) == ("public.visits", 20000, "character varying(20)")
    assert table.columns["guest"].distinct == 500
    assert table.index("visits_pkey").columns == ("id",)
    assert not table.owned


def test_constants_stand_neither_in_the_text_nor_in_the_plan(visits: Server) -> None:
    with at_work(visits, f"select id from visits where guest = 'Ann Smith' {SLOW}"):
        plans = visits.source(user="guard").statement_plans(samples=1)
    assert "Ann" not in str(plans.to_dict())
    assert "guest = ?" in plans.iloc[0]["statement"]


def test_a_role_that_may_not_read_the_table_says_so_and_still_names_it(visits: Server) -> None:
    with at_work(visits, f"select id from visits where guest = 'g7' {SLOW}"):
        plans = visits.source(user="watcher").statement_plans(samples=1)
    row = plans.iloc[0]
    assert row["plan"] is None
    assert "permission denied for table visits" in row["problem"]
    assert row["tables"] == ["public.visits"]
    assert TableDefinition.of(plans.attrs["tables"][0]).columns["guest"].distinct is None


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("do $$ begin perform pg_sleep(20); end $$", "do has no plan"),
        ("select 1; select pg_sleep(20)", "multiple commands"),
        ("select pg_sleep(20), pg_cancel_backend(0)", "it calls pg_cancel_backend()"),
        ("select pg_sleep(20) /* " + "x" * 1100 + " */", "cut off"),
    ],
)
def test_what_cannot_be_explained_has_a_reason(visits: Server, sql: str, problem: str) -> None:
    with at_work(visits, sql):
        plans = visits.source(user="guard").statement_plans(samples=1)
    assert plans.iloc[0]["plan"] is None
    assert problem in plans.iloc[0]["problem"]


@pytest.fixture
def tenant(visits: Server) -> Iterator[Server]:
    """A service whose search_path leads to tables of its own, some of which have the names of others."""
    with visits.connect() as admin:
        admin.execute(
            "create schema tenant; create table tenant.visits (like public.visits);"
            " create table tenant.stays (id int, guest text) partition by range (id);"
            " create table tenant.stays_1 partition of tenant.stays for values from (0) to (1000);"
            " create table tenant.stays_2 partition of tenant.stays for values from (1000) to (2000);"
            " insert into tenant.stays select n, 'g' || n from generate_series(1, 1999) n;"
            " insert into tenant.visits select id, guest, note, at from public.visits; analyze tenant.visits, tenant.stays;"
            " create view tenant.guests as select distinct guest from tenant.visits;"
            " create role lodger login superuser; alter role lodger set search_path = tenant"
        )
        yield visits
        admin.execute("drop schema tenant cascade; drop role lodger")


def test_a_plan_of_another_table_of_the_same_name_is_none(tenant: Server) -> None:
    with at_work(tenant, "select id, pg_sleep(20) from visits where guest = %s", "g7", user="lodger"):
        plans = tenant.source(user="guard").statement_plans(samples=1)
    row = plans.iloc[0]
    assert row["plan"] is None
    assert row["problem"] == "a name in it means public.visits for our role, which the statement does not read"
    assert row["tables"] == ["tenant.visits"]
    (advice,) = advise(plans).indexes
    assert (advice.subject, advice.explained) == ("tenant.visits (guest)", False)


@pytest.mark.parametrize(
    ("sql", "values", "tables"),
    [
        ("select id from tenant.stays where id = %s", [7], {"tenant.stays_1", "tenant.stays_2"}),
        ("select guest from tenant.guests where guest = %s", ["g7"], {"tenant.visits"}),
        ("select v.id from visits v join tenant.stays s on s.id = v.id where v.guest = %s", ["g7"], {"public.visits"}),
        ("select c.oid from pg_class c join visits v on v.note = c.relname where v.guest = %s", ["g7"], {"public.visits"}),
    ],
)
def test_partitions_views_and_catalogs_are_of_the_statement_that_names_them(
    tenant: Server, sql: str, values: list[Any], tables: set[str]
) -> None:
    with at_work(tenant, f"{sql} {SLOW}", *values):
        plans = tenant.source(user="guard").statement_plans(samples=1)
    row = plans.iloc[0]
    assert row["problem"] == ""
    assert row["plan"] is not None
    assert tables <= set(row["tables"])


def test_a_write_is_explained_and_not_carried_out(visits: Server) -> None:
    with at_work(visits, f"delete from visits where note = 'x' {SLOW}"):
        plans = visits.source().statement_plans(samples=1)
    assert plans.iloc[0]["plan"]["Node Type"] == "ModifyTable"
    with visits.connect() as admin:
        assert admin.execute("select count(*) from visits").fetchone() == (20000,)


def test_on_an_old_server_nothing_stays_prepared_when_a_statement_cannot_be_explained(
    visits: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_plans, "_GENERIC_SINCE", 990_000)
    left: list[Any] = []
    explained = postgres_plans._explained

    def watched(session: Any, one: Any) -> Any:
        found = explained(session, one)
        left.extend(session.execute("select name from pg_prepared_statements").fetchall())
        return found

    monkeypatch.setattr(postgres_plans, "_explained", watched)
    with at_work(visits, f"select id from visits where guest = %s {SLOW}", "g7"):
        refused = visits.source(user="watcher").statement_plans(samples=1)
        seen = visits.source(user="guard").statement_plans(samples=1)
    assert "permission denied" in refused.iloc[0]["problem"]
    assert seen.iloc[0]["problem"] == ""
    assert left == []


def test_a_quiet_database_gives_an_empty_frame(visits: Server) -> None:
    plans = visits.source(user="guard").statement_plans(samples=1)
    assert plans.empty
    assert plans.attrs["tables"] == []


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan["Plans"]:
        yield from nodes(part)
