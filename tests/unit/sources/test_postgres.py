import re
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest

from runbook_lib.errors import (
    SourceAnswerInvalid,
    SourceRefused,
    SourceTimeout,
    SourceUnreachable,
    UsageError,
)
from runbook_lib.service.models import PostgresConnection
from runbook_lib.sources.postgres import PostgresDatabase
from tests.unit.sources.postgres_fixtures import Blocked, Server, prepared, server, wait_until

__all__ = ["prepared", "server"]


@contextmanager
def listening(*answers: bytes):
    """A server that accepts, and then says this, each once it was asked; or nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            kept = []
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                kept.append(connection)
                for answer in answers:
                    connection.recv(1024)
                    connection.sendall(answer)
                if answers:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def test_the_limits_are_those_of_the_server(server):
    limits = server.source().limits()
    assert limits["max_connections"] == 100
    assert limits["reserved_connections"] == 3
    assert 1 <= limits["used_connections"] < 10
    assert limits["started_at"].tzinfo is not None
    assert limits["in_recovery"] is False
    assert re.match(r"\d+", limits["version"])


def test_connections_are_counted_by_application_and_state(server):
    with server.connect(autocommit=False, application_name="shop") as one, server.connect(application_name="shop") as two:
        one.execute("select 1")
        two.execute("select 1")
        found = server.source().connections()
        shop = found[found["application"] == "shop"]
        assert sorted(shop["state"]) == ["idle", "idle in transaction"]
        assert shop["count"].sum() == 2
        assert found.attrs["notes"] == []
        assert found.command.startswith("psql ")
        one.rollback()


def test_a_role_without_rights_is_told_what_is_hidden_and_what_to_grant(server):
    with server.connect(application_name="shop"):
        blind, seeing = server.source(user="reader").connections(), server.source(user="watcher").connections()
    assert "hidden" in set(blind["state"])
    assert blind["application"].isin(["shop"]).any()
    assert "grant pg_monitor to reader" in blind.attrs["notes"][0]
    assert "hidden" not in set(seeing["state"])
    assert seeing.attrs["notes"] == []


def test_the_servers_own_sessions_are_neither_connections_nor_hidden_ones(server):
    source = server.source(user="reader")
    seen = source.connections()
    assert set(seen["database"]) <= {"postgres"}, "the launcher of logical replication is in none"
    with server.connect(application_name="shop"):
        blind = source.sessions()
        assert blind.attrs["hidden_of"] == [["shop", "postgres", "postgres", 1]]
        assert (blind.attrs["hidden"], blind.attrs["database"]) == (1, "postgres")
        assert source.limits()["used_connections"] == 2, "that one, and the one that asks"


def test_sessions_show_statements_without_their_constants_unless_asked(server):
    with ExitStack() as stack:
        Blocked(server, stack)
        found = server.source().sessions(minimum_seconds=0)
        waiting = found[found["application"] == "waiter"].iloc[0]
        holding = found[found["application"] == "holder"].iloc[0]
        assert waiting["query"] == "update accounts set owner = ? where id = ?"
        assert waiting["blocked_by"] == [holding["pid"]]
        assert waiting["wait_event"].startswith("Lock: ")
        assert holding["state"] == "idle in transaction"
        assert holding["transaction_seconds"] >= 0
        assert "runbook" not in set(found["application"])
        assert list(found["transaction_start"]) == sorted(found["transaction_start"])
        literal = server.source().sessions(minimum_seconds=0, literals=True)
        assert literal["query"].str.contains("Eve").any()


def test_sessions_younger_than_asked_for_are_left_out(server):
    with server.connect(autocommit=False, application_name="young") as young:
        young.execute("select 1")
        assert "young" not in set(server.source().sessions(minimum_seconds=60)["application"])
        young.rollback()


@pytest.mark.parametrize("user", [None, "reader"])
def test_a_blocking_chain_names_its_root_even_to_a_role_without_rights(server, user):
    with ExitStack() as stack:
        blocked = Blocked(server, stack)
        chain = server.source(user=user).blocking_chains().iloc[0]
        assert chain["blocked_pid"] == blocked.waiter.info.backend_pid
        assert chain["blocking_pid"] == chain["root_pid"] == blocked.holder.info.backend_pid
        assert chain["waiters"] == 1
        assert chain["blocking_application"] == "holder"
        assert chain["blocked_application"] == "waiter"
        assert (chain["database"], chain["blocked_user"]) == ("postgres", "postgres")
        assert "Ann" not in chain["blocking_query"]
        assert "Bob" not in chain["blocking_query"]


def test_a_session_waits_since_it_came_to_the_lock_and_not_since_its_statement_began(server):
    with ExitStack() as stack:
        blocked = Blocked(server, stack)
        blocked.holder.rollback()
        blocked.thread.join(5)
        blocked.holder.execute("update accounts set owner = 'Bob' where id = 1")
        late = "do $$ begin perform pg_sleep(1); update accounts set owner = 'Eve' where id = 1; end $$"
        threading.Thread(target=lambda: blocked.waiter.execute(late), daemon=True).start()
        wait_until(lambda: len(server.source().blocking_chains()))
        assert server.source().blocking_chains()["blocked_seconds"].iloc[0] < 1


@pytest.mark.parametrize(("asked", "relation"), [("postgres", "crowded"), ("elsewhere", "")])
def test_only_a_table_of_this_database_is_named_since_numbers_mean_others_elsewhere(server, asked, relation):
    with server.connect() as admin:
        admin.execute("drop database if exists elsewhere")
        admin.execute("create database elsewhere")
        admin.execute("create table if not exists crowded (id int)")
    with server.connect(autocommit=False) as holder, server.connect(autocommit=False) as waiter:
        holder.execute("lock table crowded")
        thread = threading.Thread(target=lambda: waiter.execute("lock table crowded"), daemon=True)
        thread.start()
        wait_until(lambda: len(server.source().blocking_chains()))
        chains = server.source(dbname=asked).blocking_chains()
        assert (chains["database"].tolist(), chains["relation"].tolist()) == (["postgres"], [relation])
        assert chains.attrs["database"] == asked
        holder.rollback()
        thread.join(5)
        waiter.rollback()


def test_without_blocking_there_is_an_empty_frame_of_the_same_columns(server):
    chains = server.source().blocking_chains()
    assert chains.empty
    assert {"blocked_pid", "root_pid", "waiters"} <= set(chains.columns)


def test_table_sizes_are_taken_by_oid_whatever_the_name(server):
    with server.connect() as admin:
        admin.execute('create table if not exists "Odd "".Näme" as select g as id from generate_series(1, 5000) g')
        admin.execute('create index on "Odd "".Näme" (id)')
        found = server.source().table_sizes(limit=5)
        odd = found[found["table"] == 'Odd ".Näme'].iloc[0]
        assert odd["total_bytes"] == odd["table_bytes"] + odd["index_bytes"] > 100_000
        assert len(found) <= 5


def test_while_a_table_is_locked_its_size_is_estimated_and_said_to_be(server):
    with server.connect() as admin:
        admin.execute("create table if not exists locked as select g as id from generate_series(1, 5000) g; analyze locked")
    with server.connect(autocommit=False) as migration:
        migration.execute("lock table locked in access exclusive mode")
        found = server.source().table_sizes()
        assert found[found["table"] == "locked"].iloc[0]["total_bytes"] > 100_000
        assert "those of the last VACUUM or ANALYZE" in found.attrs["notes"][0]
        migration.rollback()


def test_a_query_returns_a_frame_with_utc_times_and_says_when_rows_were_left_out(server):
    found = server.source().query(
        "select g, now() as at, 1.5::numeric as n from generate_series(1, 20) g where g > %(least)s;", {"least": 2}, limit=10
    )
    assert len(found) == 10
    assert found.attrs["truncated"] is True
    assert str(found["at"].dtype) == "datetime64[us, UTC]"
    assert found["n"].iloc[0] == 1.5
    assert "where g > 2" in found.command


def test_cells_are_cut_and_columns_of_one_name_numbered(server):
    found = server.source().query("select repeat('x', 5000) as a, 'y'::bytea as a")
    assert list(found.columns) == ["a", "a_2"]
    assert found["a"].iloc[0].endswith("… (5,000 characters)")
    assert found["a_2"].iloc[0] == "\\x79"


def test_what_is_no_select_but_reads_is_answered(server):
    assert server.source().query("show server_version").iloc[0, 0].startswith("1")
    assert "Result" in server.source().query("explain select 1").iloc[0, 0]
    assert server.source().query("select 'a%' as a where 'ab' like 'a%'")["a"].iloc[0] == "a%"


@pytest.mark.parametrize(
    "sql",
    [
        "create table made (id int)",
        "delete from accounts",
        "set transaction read write",
        "copy (select 1) to program 'true'",
        "select pg_terminate_backend(pg_backend_pid())",
        "select lo_create(0)",
        "select nextval('numbers')",
        "select * from numbered for update",
        "with gone as (delete from numbered returning id) select * from gone",
        "explain analyze delete from numbered",
    ],
)
def test_a_statement_that_changes_something_is_refused_and_changes_nothing(server, sql):
    with server.connect() as admin:
        admin.execute("create sequence if not exists numbers; create table if not exists numbered as select 1 as id")
        admin.execute("create table if not exists accounts (id int primary key, owner text)")
        with pytest.raises(SourceRefused, match="changes are made by actions"):
            server.source().query(sql)
        assert admin.execute("select count(*) from numbered").fetchone() == (1,)


@pytest.mark.parametrize("sql", ["select 1; create table made_after (id int)", "show all; create table made_after (id int)"])
def test_a_second_statement_is_never_run(server, sql):
    with pytest.raises(UsageError, match="multiple commands"):
        server.source().query(sql)
    with server.connect() as admin:
        assert admin.execute("select to_regclass('made_after')").fetchone() == (None,)


def test_even_explain_leaves_nothing_behind(server):
    server.source().query("explain analyze create table explained as select 1")
    with server.connect() as admin:
        assert admin.execute("select to_regclass('explained')").fetchone() == (None,)


def test_a_mistake_in_a_statement_is_the_engineers_and_says_what_is_wrong(server):
    with pytest.raises(UsageError, match='relation "nowhere" does not exist'):
        server.source().query("select * from nowhere")


def test_a_table_that_may_not_be_read_is_refused_by_name(server):
    with server.connect() as admin:
        admin.execute("create table if not exists private (id int)")
    with pytest.raises(SourceRefused, match="permission denied for table private"):
        server.source(user="reader").query("select * from private")


def test_a_statement_that_takes_too_long_is_cancelled(server):
    with pytest.raises(SourceTimeout, match="statement timeout"):
        server.source(statement_timeout_seconds=0.1).query("select pg_sleep(30)")


def test_a_full_server_is_refused_with_the_reason_named(server):
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(server.connect(user="watcher"))
            except psycopg.OperationalError:
                break
        with pytest.raises(SourceRefused, match=r"no free connection: (remaining connection slots|sorry, too many clients)"):
            server.source(user="reader").limits()
        assert server.source(user="reader").probe().status == "refused"


def test_a_role_at_its_own_limit_is_refused_with_the_reason_named(server):
    with server.connect(user="crowd"), pytest.raises(SourceRefused, match='too many connections for role "crowd"'):
        server.source(user="crowd").limits()


def test_a_role_at_its_own_limit_is_named_to_others(server):
    assert server.source().limits()["full_roles"] == []
    with server.connect(user="crowd"):
        assert server.source().limits()["full_roles"] == ["crowd"]


@pytest.mark.parametrize(("setting", "reason"), [({"user": "nobody"}, "role"), ({"dbname": "nothing"}, "database")])
def test_a_wrong_name_is_refused_in_the_servers_words(server, setting, reason):
    source = PostgresDatabase(PostgresConnection(dsn=psycopg.conninfo.make_conninfo(server.uri, **setting)))
    with pytest.raises(SourceRefused, match=f'{reason} ".*" does not exist'):
        source.limits()


def test_no_connection_stays_open(server):
    source = server.source()
    for _ in range(3):
        source.limits()
    with server.connect() as admin:
        query = "select count(*) from pg_stat_activity where application_name = 'runbook'"
        wait_until(lambda: admin.execute(query).fetchone() == (0,))


def test_a_closed_port_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    source = PostgresDatabase(PostgresConnection(dsn=f"postgresql://someone@127.0.0.1:{port}/shop"))
    assert source.probe().status == "unreachable"


def test_a_server_that_accepts_and_never_answers_is_unreachable():
    with listening() as port:
        source = PostgresDatabase(
            PostgresConnection(dsn=f"postgresql://someone@127.0.0.1:{port}/shop", connect_timeout_seconds=2)
        )
        began = time.monotonic()
        with pytest.raises(SourceUnreachable, match="not even with a refusal"):
            source.limits()
        assert time.monotonic() - began < 4


@pytest.mark.parametrize("code", ["08P01", "53300"])
def test_a_pooler_whose_queue_is_too_long_is_full_and_not_gone(code):
    fields = f"SFATAL\0C{code}\0Mquery_wait_timeout\0\0".encode()
    refusal = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
    welcome = b"R" + (8).to_bytes(4, "big") + (0).to_bytes(4, "big") + b"Z" + (5).to_bytes(4, "big") + b"I"
    with listening(welcome, refusal) as port:
        source = PostgresDatabase(PostgresConnection(dsn=f"postgresql://someone@127.0.0.1:{port}/shop?sslmode=disable"))
        with pytest.raises(SourceRefused, match="query_wait_timeout"):
            source.limits()


def forwarding(server: Server, until: bytes):
    """A proxy in front of the server that forwards until it sees `until`, and then keeps silent. Gives its port."""
    parameters = psycopg.conninfo.conninfo_to_dict(server.uri)
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, target):
        with suppress(OSError):
            while (content := source.recv(65536)) and until not in content:
                target.sendall(content)

    def run():
        while True:
            client, _ = listener.accept()
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(f"{parameters['host']}/.s.PGSQL.{parameters.get('port') or 5432}")
            for pair in ((client, upstream), (upstream, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


def test_a_server_that_falls_silent_in_mid_statement_times_out_and_leaves_room_for_the_next(server):
    port = forwarding(server, until=b"fall silent")
    dsn = psycopg.conninfo.make_conninfo(server.uri, host="127.0.0.1", port=port)
    source = PostgresDatabase(PostgresConnection(dsn=dsn, connect_timeout_seconds=0.2, statement_timeout_seconds=0.1))
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(SourceTimeout):
            source.query("select 'fall silent'")
        assert time.monotonic() - began < 3
    assert source.query("select 1 as one")["one"].iloc[0] == 1


def test_a_server_that_is_no_postgresql_gives_an_invalid_answer():
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>") as port:
        source = PostgresDatabase(PostgresConnection(dsn=f"postgresql://someone@127.0.0.1:{port}/shop"))
        with pytest.raises(SourceAnswerInvalid):
            source.limits()


def test_a_password_stands_neither_in_an_error_nor_in_a_command(server, monkeypatch, tmp_path):
    (tmp_path / "dsn").write_text(psycopg.conninfo.make_conninfo(server.uri, password="hunter2-in-dsn"))
    monkeypatch.setenv("ORDERS_PASSWORD", "hunter2-in-env")
    source = PostgresDatabase(PostgresConnection(dsn=f"file:{tmp_path}/dsn", password="env:ORDERS_PASSWORD"))
    assert "hunter2" not in str(source.connections().attrs)
    (tmp_path / "dsn").write_text("hunter2 is no dsn")
    with pytest.raises(SourceUnreachable) as wrong:
        source.limits()
    assert "hunter2" not in str(wrong.value)


def test_a_missing_reference_says_which(monkeypatch):
    monkeypatch.delenv("ORDERS_DSN", raising=False)
    with pytest.raises(SourceUnreachable, match="ORDERS_DSN"):
        PostgresDatabase(PostgresConnection(dsn="env:ORDERS_DSN")).limits()


# --- what is looked at several times


def test_activity_looks_again_and_again_at_clients_alone(server):
    with ExitStack() as stack:
        blocked = Blocked(server, stack)
        found = server.source(user="watcher").activity(samples=3, every_seconds=0.01)
        waiting = found[found["application"] == "waiter"]
        assert list(waiting["sample"]) == [0, 1, 2]
        assert found.attrs["samples"] == 3
        assert set(found["kind"]) == {"client"}
        assert set(waiting["query"]) == {"update accounts set owner = ? where id = ?"}
        assert {pid for pids in waiting["blocked_by"] for pid in pids} == {blocked.holder.info.backend_pid}
        assert waiting["state_seconds"].is_monotonic_increasing, "each look is a fresh one"


def test_activity_shows_an_idle_session_that_holds_what_others_wait_for(server):
    with server.connect(application_name="migrator") as holder, server.connect(application_name="waiter") as waiter:
        pid = holder.info.backend_pid
        holder.execute("select pg_advisory_lock(42)")
        thread = threading.Thread(target=lambda: waiter.execute("select pg_advisory_lock(42)"), daemon=True)
        thread.start()
        wait_until(lambda: len(server.source().blocking_chains()))
        found = server.source(user="watcher").activity(samples=1)
        blind = server.source(user="reader").activity(samples=1)
        holder.execute("select pg_advisory_unlock(42)")
        thread.join(5)
    idle = found[found["application"] == "migrator"].iloc[0]
    assert (idle["state"], idle["kind"], idle["pid"]) == ("idle", "client", pid)
    assert "migrator" not in set(blind["application"]), "who does not see that one waits does not see for whom"


def test_activity_names_the_prepared_transaction_that_is_waited_for_and_how_it_is_ended(prepared):
    with prepared.connect() as admin, prepared.connect(application_name="waiter") as waiter:
        admin.execute("create table orders (id int primary key, note text); insert into orders values (1, 'x'), (2, 'x')")
        for number in (1, 2):
            admin.execute("begin")
            admin.execute(f"update orders set note = 'y' where id = {number}")
            admin.execute(f"prepare transaction 'order-{number}'")
        thread = threading.Thread(target=lambda: waiter.execute("update orders set note = 'z' where id = 1"), daemon=True)
        thread.start()
        wait_until(lambda: len(prepared.source().blocking_chains()))
        found, chain = prepared.source().activity(samples=1), prepared.source().blocking_chains().iloc[0]
        admin.execute("rollback prepared 'order-1'")
        admin.execute("rollback prepared 'order-2'")
        thread.join(5)
    row = found[found["pid"] == 0].iloc[0]
    assert (row["kind"], row["query"]) == ("prepared", "ROLLBACK PREPARED 'order-1'"), "nobody waits for the other one"
    assert row["transaction_start"] is not None
    assert (chain["root_pid"], chain["blocking_kind"]) == (0, "prepared")


def test_activity_says_how_much_is_hidden_from_a_role_without_rights(server):
    with ExitStack() as stack:
        Blocked(server, stack)
        assert server.source(user="reader").activity(samples=1).attrs["hidden"] >= 2


def test_table_access_tells_sequential_reads_a_second(server):
    with server.connect() as admin:
        admin.execute("create table if not exists wide as select generate_series(1, 20000) as id")
        admin.execute("analyze wide")
        reading = threading.Event()

        def read():
            with server.connect() as reader:
                while not reading.is_set():
                    reader.execute("select count(*) from wide where id = 7")
                    reader.execute("select pg_stat_force_next_flush()")

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        try:
            found = server.source().table_access(every_seconds=0.5)
        finally:
            reading.set()
            thread.join(5)
    row = found[found["table"] == "wide"].iloc[0]
    assert row["sequential_scans"] > 0
    assert row["sequential_rows"] == pytest.approx(20_000 * row["sequential_scans"])
    assert row["live_rows"] == 20_000
    assert row["last_analyze_at"] is not None
    assert 0 <= found.attrs["cache_hit_ratio"] <= 1


def test_rows_are_known_when_their_count_was_lost(server):
    with server.connect() as admin:
        admin.execute("create database restarted")
    with server.connect(dbname="restarted") as admin:
        admin.execute("create table wide as select generate_series(1, 20000) as id; analyze wide")
    with server.connect(dbname="restarted") as admin:  # what the other session had counted it has told by its end
        others = "select count(*) from pg_stat_activity where datname = 'restarted' and pid <> pg_backend_pid()"
        wait_until(lambda: admin.execute(others).fetchone() == (0,))
        admin.execute("select pg_stat_reset()")
        assert admin.execute("select n_live_tup from pg_stat_user_tables where relname = 'wide'").fetchone() == (0,)
    (row,) = server.source(dbname="restarted").table_access(every_seconds=0.01).to_dict("records")
    assert row["live_rows"] == 20_000


def test_a_database_without_tables_is_read_by_none(server):
    with server.connect() as admin:
        admin.execute("create database empty")
    source = server.source(dbname="empty")
    found = source.table_access(every_seconds=0.01)
    assert found.empty
    assert "sequential_rows" in found.columns
