"""Creating an index on a real PostgreSQL: the one that a running statement lacks, and taking it back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runbook_lib.actions.guard import propose
from runbook_lib.actions.index import CREATE_INDEX
from runbook_lib.actions.interface import ActionContext, ChangeRefused
from runbook_lib.analysis.index_advice import advise
from runbook_lib.errors import SourceRefused
from runbook_lib.models.plan import Proposal, Refusal
from runbook_lib.service.models import PostgresConnection
from runbook_lib.sources.postgres_operator import PostgresOperator
from tests.unit.actions.situations import a_context, a_diagnosis
from tests.unit.sources.pooler import Pooler, pooler
from tests.unit.sources.postgres_fixtures import Server, server, wait_until

__all__ = ["server"]

STATEMENT = "select count(*) from visits where guest = %s and (select pg_sleep(20)) is not null"


@pytest.fixture
def visits(server: Server) -> Iterator[Server]:
    with server.connect() as admin:
        admin.execute(
            "create role hotel; create role keeper login in role hotel, pg_monitor; grant create on schema public to hotel;"
            " create table visits (id int primary key, guest text, paid boolean);"
            " insert into visits select n, 'g' || n % 500, true from generate_series(1, 20000) n; analyze visits;"
            " alter table visits owner to hotel; create role stranger login in role pg_monitor, pg_read_all_data"
        )
        yield server
        admin.execute("drop table visits; revoke create on schema public from hotel; drop role keeper, hotel, stranger")


@contextmanager
def at_work(server: Server, sql: str = STATEMENT, *values: str) -> Iterator[None]:
    with ExitStack() as stack:
        session = stack.enter_context(psycopg.connect(server.dsn(), application_name="front-desk", autocommit=True))
        thread = threading.Thread(target=_run, args=(session, sql, values or ("g7",)), daemon=True)
        thread.start()
        stack.callback(thread.join, 5)
        stack.callback(session.cancel)
        watcher = stack.enter_context(server.connect())
        busy = "select count(*) from pg_stat_activity where application_name = 'front-desk' and wait_event = 'PgSleep'"
        wait_until(lambda: watcher.execute(busy).fetchone()[0])
        yield


def _run(session: psycopg.Connection, sql: str, values: tuple[str, ...]) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        session.execute(sql, values)


def context(server: Server, folder: Path, *, user: str = "keeper", **fields: Any) -> ActionContext:
    connection = PostgresConnection(dsn=server.dsn(user="reader"), operator_dsn=server.dsn(user=user))
    given: dict[str, Any] = {
        "database": PostgresOperator(connection),
        "missing_indexes": lambda plans: advise(plans).indexes,
        "diagnosis": a_diagnosis(action="create_index"),
        **fields,
    }
    return a_context(folder, **given)


def proposed(server: Server, folder: Path, *, user: str = "keeper", **arguments: Any) -> Proposal:
    return propose(CREATE_INDEX, context(server, folder, user=user), **arguments)


def indexes(server: Server) -> dict[str, bool]:
    with server.connect() as admin:
        found = admin.execute(
            "select c.relname, x.indisvalid from pg_index x join pg_class c on c.oid = x.indexrelid"
            " where x.indrelid = 'visits'::regclass and not x.indisprimary"
        ).fetchall()
    return dict(found)


def test_the_index_that_a_running_statement_lacks_is_planned_made_and_taken_back(visits: Server, tmp_path: Path) -> None:
    with at_work(visits):
        proposal = proposed(visits, tmp_path)
    plan = proposal.plan
    assert plan is not None
    assert plan.title == "Create index idx_visits_guest on public.visits (guest)"
    assert plan.command == "psql -c 'CREATE INDEX CONCURRENTLY idx_visits_guest ON public.visits (guest)'"
    assert plan.undo == "psql -c 'DROP INDEX CONCURRENTLY public.idx_visits_guest'"
    assert plan.risk == "low"
    assert "it finds about 40 rows" in plan.warnings[0]
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert indexes(visits) == {"idx_visits_guest": True}
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert indexes(visits) == {}


def test_an_index_that_somebody_made_anew_is_not_dropped(visits: Server, tmp_path: Path) -> None:
    proposal = proposed(visits, tmp_path, table="visits", columns="guest")
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    with visits.connect() as admin:
        admin.execute("drop index idx_visits_guest; create index idx_visits_guest on visits (guest)")
    assert proposal.undo is not None
    outcome = proposal.undo()
    assert outcome.status == "refused"
    assert "is not the one that was made" in outcome.text
    assert indexes(visits) == {"idx_visits_guest": True}


def test_an_invalid_leftover_is_dropped_first(visits: Server, tmp_path: Path) -> None:
    with visits.connect() as admin:
        admin.execute("create index idx_visits_guest on visits (guest)")
        admin.execute("update pg_index set indisvalid = false where indexrelid = 'idx_visits_guest'::regclass")
    proposal = proposed(visits, tmp_path, table="public.visits", columns=["guest"])
    assert proposal.plan is not None
    assert "INVALID" in proposal.plan.warnings[0]
    assert proposal.plan.command.startswith("psql -c 'DROP INDEX CONCURRENTLY public.idx_visits_guest' -c 'CREATE INDEX")
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "executed"
    assert outcome.steps[0].startswith("drop the INVALID index idx_visits_guest: done; create index")
    assert indexes(visits) == {"idx_visits_guest": True}


def test_who_does_not_own_the_table_is_told_the_grant(visits: Server, tmp_path: Path) -> None:
    with at_work(visits):
        outcome = proposed(visits, tmp_path, user="stranger").outcome
    assert outcome.status == "refused"
    assert "only hotel, who owns public.visits" in outcome.text
    assert "GRANT hotel TO stranger" in outcome.text


def test_who_may_create_nothing_in_the_schema_is_told_the_grant(visits: Server, tmp_path: Path) -> None:
    with visits.connect() as admin:
        admin.execute("revoke create on schema public from hotel")
    outcome = proposed(visits, tmp_path, table="visits", columns="guest").outcome
    assert "GRANT CREATE ON SCHEMA public TO hotel" in outcome.text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "no statement that is at work now lacks an index"),
        ({"table": "visits"}, "needs both, table and columns"),
        ({"table": "visits", "columns": "gust"}, "has no column gust"),
        ({"table": "visit", "columns": "guest"}, "there is no table public.visit"),
        ({"table": "visits", "columns": "id"}, "index visits_pkey on (id) is there already"),
    ],
)
def test_what_cannot_be_planned_has_a_reason(visits: Server, tmp_path: Path, arguments: dict[str, str], reason: str) -> None:
    assert reason in proposed(visits, tmp_path, **arguments).outcome.text


def test_an_index_that_was_made_since_the_plan_is_not_made_twice(visits: Server, tmp_path: Path) -> None:
    proposal = proposed(visits, tmp_path, table="visits", columns="guest")
    with visits.connect() as admin:
        admin.execute("create index on visits (guest)")
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "refused"
    assert "index visits_guest_idx is there now" in outcome.text


@contextmanager
def an_old_transaction(server: Server) -> Iterator[psycopg.Connection]:
    """A snapshot from before, which the second phase of the build waits for."""
    with server.connect(autocommit=False, application_name="old") as old:
        old.execute("set transaction isolation level repeatable read")
        old.execute("select count(*) from visits").fetchone()
        yield old


def dropping(server: Server) -> bool:
    with server.connect() as admin:
        row = admin.execute(
            "select count(*) from pg_stat_activity where state = 'active' and query like 'DROP INDEX%'"
        ).fetchone()
    return bool(row and row[0])


def test_whoever_interrupts_it_leaves_nothing_behind_and_hears_how_far_it_was(visits: Server, tmp_path: Path) -> None:
    heard: list[str] = []

    def progress(text: str) -> None:
        heard.append(text)
        if "waits for the transaction" in text:
            raise KeyboardInterrupt

    with an_old_transaction(visits) as old:
        asked = context(visits, tmp_path, progress=progress)
        proposal = propose(CREATE_INDEX, asked, table="visits", columns="guest")
        assert proposal.approve is not None
        outcomes: list[Any] = []
        thread = threading.Thread(target=lambda: outcomes.append(proposal.approve(None)), daemon=True)
        thread.start()
        wait_until(lambda: dropping(visits), seconds=15)
        old.rollback()  # dropping waits for it, too
        thread.join(20)
    assert outcomes[0].status == "failed"
    assert "it was interrupted; the INVALID index that it left behind was dropped" in outcomes[0].text
    assert any("waits for the transaction" in text for text in heard)
    assert indexes(visits) == {}


def test_a_build_that_fails_is_told_with_what_it_left(visits: Server, tmp_path: Path) -> None:
    with visits.connect() as admin:
        admin.execute("insert into visits select -1, string_agg(md5(n::text), ''), true from generate_series(1, 800) n")
        admin.execute("alter table visits alter guest set storage external")
        admin.execute("update visits set guest = guest || 'x' where id = -1")
    proposal = proposed(visits, tmp_path, table="visits", columns="guest")
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "failed"
    assert "index row requires" in outcome.text
    assert "the INVALID index that it left behind was dropped" in outcome.text
    assert indexes(visits) == {}


def pooled(server: Server, pool: Pooler) -> PostgresOperator:
    return PostgresOperator(PostgresConnection(dsn=server.dsn(user="reader"), operator_dsn=pool.dsn(server, user="keeper")))


def test_through_a_pooler_no_index_is_planned_or_taken_back(visits: Server, tmp_path: Path) -> None:
    made = proposed(visits, tmp_path, table="visits", columns="guest")
    assert made.plan is not None
    assert made.approve is not None
    assert made.approve(None).status == "executed"
    with pooler(visits) as pool:
        asked = context(visits, tmp_path, database=pooled(visits, pool))
        outcome = propose(CREATE_INDEX, asked, table="visits", columns="paid").outcome
        back = CREATE_INDEX.undo(asked, made.plan)
        assert not isinstance(back, Refusal)
        (dropping,) = CREATE_INDEX.changes(asked, back)
        with pytest.raises(ChangeRefused) as refused:
            dropping.preview()
    assert outcome.status == "refused"
    assert "a pooler stands before the server" in outcome.text
    assert "Name the server itself in connections.postgres.operator_dsn" in outcome.text
    assert "a pooler" in refused.value.refusal.reason
    assert indexes(visits) == {"idx_visits_guest": True}


def test_through_a_pooler_nothing_is_set_that_others_would_inherit(visits: Server) -> None:
    with pooler(visits) as pool:
        operator = pooled(visits, pool)
        assert operator.pooled()
        with pytest.raises(SourceRefused, match="a pooler stands before the server"):
            operator.create_index("public", "visits", ["guest"], "idx", comment="", progress=lambda _: None)
    assert b"pg_backend_pid" in pool.sent
    assert b"SET " not in pool.sent
    assert indexes(visits) == {}
