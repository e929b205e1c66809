"""The pool as the service sees it, and the sessions as the database sees them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runbook_lib.checks.database import database_connections, database_tables
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import frame
from runbook_lib.testing import (
    NOW,
    FakeCluster,
    FakeDatabase,
    FakeLogs,
    FakeMetrics,
    Sick,
    ago,
    chain,
    context,
    each_pod,
    error_symptom,
    fake_sources,
    line,
    log_lines,
    pods,
    service,
    sessions,
    together,
)
from runbook_lib.testing.sickness import Sickness

ONSET = ago(10)


def connections(metrics: Any = None, database: Any = None, *, onset: Any = ONSET, live: bool = True, **others: Any) -> Finding:
    sources = fake_sources(metrics=FakeMetrics(metrics), database=database, **others)
    return database_connections(context(sources=sources, symptom=error_symptom(onset), live=live))


def told(finding: Finding, name: str) -> Signal:
    signal = finding.signal(name)
    assert signal is not None
    return signal


def test_a_full_pool_is_dated_and_counted_in_connections() -> None:
    finding = connections({"pool_in_use": each_pod(1, 5, at=ONSET), "pool_waiting": each_pod(0, 3, at=ONSET)})
    assert finding.status is FindingStatus.CRITICAL
    assert finding.summary.startswith(
        "shop holds 15 of 15 pooled connections and at least one pool is full since 2026-03-01T03:50"
    )
    full = told(finding, "pool_saturated")
    assert (full.presence, full.value, full.unit) == (Presence.PRESENT, 1.0, "ratio")
    assert full.since == ONSET
    assert told(finding, "pool_starved").presence is Presence.PRESENT


def test_a_pool_that_is_full_on_one_pod_says_on_how_many() -> None:
    one = together(line(1, 5, at=ONSET, pod="shop-1"), line(1, pod="shop-2"), line(1, pod="shop-3"))
    assert "full on 1 of 3 pods" in told(connections({"pool_in_use": one}), "pool_saturated").text


def test_a_full_pool_is_full_beside_a_free_one_of_the_same_pod() -> None:
    sizes = [line(10, pod=pod, pool=pool) for pod in ("shop-1", "shop-2") for pool in ("main", "readonly")]
    used = [
        line(1, 10, at=ONSET, pod="shop-1", pool="main"),
        line(1, pod="shop-2", pool="main"),
        *(line(0, pod=pod, pool="readonly") for pod in ("shop-1", "shop-2")),
    ]
    finding = connections({"pool_in_use": together(*used), "pool_size": together(*sizes)})
    full = told(finding, "pool_saturated")
    assert (full.presence, full.since) == (Presence.PRESENT, ONSET)
    assert "full on 1 of 2 pods" in full.text
    assert finding.summary.startswith("shop holds 11 of 40 pooled connections")


def test_pods_that_are_long_gone_are_not_counted() -> None:
    gone = each_pod(1.0, pods=["old-1", "old-2"])
    gone = gone[gone["time"] < ago(40)]
    measured = {
        "pool_in_use": together(gone, each_pod(1, 5, at=ONSET)),
        "pool_size": together(each_pod(5), gone.assign(value=5.0)),
    }
    finding = connections(measured)
    assert "full on 3 of 3 pods" in told(finding, "pool_saturated").text
    assert finding.summary.startswith("shop holds 15 of 15")


@pytest.mark.parametrize(("listed", "presence"), [(["new-1", "new-2"], Presence.ABSENT), (["new-1", "shop-1"], Presence.PRESENT)])
def test_a_full_pool_went_with_its_pod_unless_that_is_there_and_only_not_measured_any_more(
    listed: list[str], presence: Presence
) -> None:
    full = each_pod(1, 5, at=ONSET)
    measured = {
        "pool_in_use": together(full[full["time"] < ago(2)], each_pod(1, pods=["new-1", "new-2"])),
        "pool_size": together(each_pod(5), each_pod(5, pods=["new-1", "new-2"])),
    }
    finding = connections(measured, cluster=FakeCluster(pods=pods(listed)))
    assert told(finding, "pool_saturated").presence is presence


def test_a_pool_that_was_full_and_is_no_longer_is_no_news_for_a_service_that_is_well() -> None:
    measured = {"pool_in_use": each_pod(1, 5, at=ago(3), until=ago(2)), "pool_timeouts": each_pod(0, 5, at=ago(3), until=ago(2))}
    finding = connections(measured, onset=None)
    assert told(finding, "pool_saturated").presence is Presence.ABSENT
    assert told(finding, "pool_starved").presence is Presence.ABSENT
    assert finding.status is FindingStatus.NORMAL


@pytest.mark.parametrize(
    ("before", "after", "presence"), [(5, 1, Presence.PRESENT), (5, 9, Presence.ABSENT), (5, 5, Presence.ABSENT)]
)
def test_a_pool_that_became_smaller_says_since_when(before: float, after: float, presence: Presence) -> None:
    size = each_pod(before, after, at=ago(11))
    shrank = told(connections({"pool_size": size}), "pool_shrank")
    assert shrank.presence is presence
    assert shrank.since == (ago(11) if presence is Presence.PRESENT else None)


def test_transactions_held_for_longer_than_any_request_lasts_are_leaked() -> None:
    held = FakeDatabase(sessions=sessions(12, state="idle in transaction", state_seconds=600.0))
    signal = told(connections(database=held), "connections_held_beyond_request")
    assert signal.presence is Presence.PRESENT
    assert signal.since == NOW - timedelta(seconds=600)
    assert "12 connections are idle in transaction, the oldest for 10m" in signal.text


def test_transactions_that_wait_for_a_slow_service_are_not_leaked() -> None:
    waiting = FakeDatabase(sessions=sessions(12, state="idle in transaction", state_seconds=1.9))
    finding = connections(database=waiting)
    assert told(finding, "connections_held_beyond_request").presence is Presence.ABSENT
    assert told(finding, "connections_wait_in_transaction").presence is Presence.PRESENT


def test_the_sessions_that_this_is_read_in_are_not_shown() -> None:
    columns = ["application", "user", "database", "state", "client", "count", "oldest_seconds"]
    rows = [(name, "shop", "shop", "idle in transaction", "10.0.0.1", 3, 0.1) for name in ("shop", "runbook")]
    shown = dict(connections(database=FakeDatabase(connections=frame(rows, columns=columns))).tables)
    assert shown["Connections by application and state"]["application"].tolist() == ["shop"]


def test_sessions_of_another_application_are_not_this_services() -> None:
    others = FakeDatabase(sessions=sessions(12, application="reports", state="idle in transaction", state_seconds=600.0))
    assert told(connections(database=others), "connections_held_beyond_request").presence is Presence.ABSENT


def test_what_our_role_may_not_see_is_unknown_and_not_absent() -> None:
    finding = connections(database=FakeDatabase(sessions=sessions(1, hidden=9)))
    for name in ("connections_held_beyond_request", "connections_wait_in_transaction", "sessions_blocked"):
        assert told(finding, name).presence is Presence.UNKNOWN
        assert "9 sessions are hidden from our role (grant it pg_monitor)" in told(finding, name).text


@pytest.mark.parametrize(("application", "presence"), [("shop", Presence.UNKNOWN), ("rdsadmin", Presence.ABSENT)])
def test_only_sessions_of_the_service_leave_something_unknown_when_they_are_hidden(application: str, presence: Presence) -> None:
    some = sessions(1, hidden=2)
    some.attrs.update({"database": "shop", "hidden_of": [[application, "shop", "shop", 2]]})
    assert told(connections(database=FakeDatabase(sessions=some)), "connections_held_beyond_request").presence is presence


def test_without_names_in_the_service_file_only_sessions_of_its_database_are_its_own() -> None:
    known = service()
    database = known.components.database
    assert database is not None
    nameless = database.model_copy(update={"application_name": None})
    known = known.model_copy(update={"components": known.components.model_copy(update={"database": nameless})})
    for where, presence in (("shop", Presence.PRESENT), ("stray", Presence.ABSENT)):
        held = sessions(12, database=where, application="any", state="idle in transaction", state_seconds=600.0)
        held.attrs["database"] = "shop"
        sources = fake_sources(database=FakeDatabase(sessions=held))
        finding = database_connections(context(known, sources=sources, symptom=error_symptom(ONSET)))
        assert told(finding, "connections_held_beyond_request").presence is presence


def test_what_is_seen_is_present_even_when_more_is_hidden() -> None:
    held = FakeDatabase(sessions=sessions(12, hidden=3, state="idle in transaction", state_seconds=600.0))
    assert told(connections(database=held), "connections_held_beyond_request").presence is Presence.PRESENT


def test_a_blocking_session_is_named_with_what_it_does_and_how_to_end_it() -> None:
    finding = connections(database=FakeDatabase(chains=chain(9, blocked_seconds=45.0)))
    assert "9 sessions wait for a lock that pid 7 (psql, idle in transaction) holds" in finding.summary
    assert "pg_terminate_backend(7)" in finding.notes[0]
    assert told(finding, "sessions_blocked").since == NOW - timedelta(seconds=45)
    assert finding.status is FindingStatus.WARNING


def test_a_prepared_transaction_that_is_waited_for_is_no_session_of_pid_0() -> None:
    left = {"blocking_pid": 0, "root_pid": 0, "blocking_application": "prepared transaction", "blocking_kind": "prepared"}
    finding = connections(database=FakeDatabase(chains=chain(3, blocked_seconds=45.0, **left)))
    assert told(finding, "sessions_blocked").subject == "a prepared transaction"
    assert told(finding, "sessions_blocked_by_prepared").presence is Presence.PRESENT
    assert "ROLLBACK PREPARED" in finding.notes[0]
    assert "backend(0)" not in finding.notes[0]


def test_behind_an_autovacuum_the_queue_is_to_be_cancelled() -> None:
    cleaning = {"blocking_pid": 55, "root_pid": 55, "blocking_kind": "autovacuum", "blocking_query": "autovacuum: VACUUM orders"}
    finding = connections(database=FakeDatabase(chains=chain(1, blocked_seconds=45.0, **cleaning)))
    assert told(finding, "sessions_blocked").subject == "pid 55 (autovacuum: VACUUM orders)"
    assert "pg_cancel_backend(100) ends the queue" in finding.notes[0]


def with_chains(*parts: Any, database: str = "shop") -> FakeDatabase:
    """Chains of the whole server, asked for in this database."""
    chains = together(*parts)
    chains.attrs["database"] = database
    return FakeDatabase(chains=chains)


@pytest.mark.parametrize("strangers", [{"blocked_application": "reports"}, {"database": "shop_staging"}])
def test_whoever_holds_up_only_others_is_no_trouble_of_this_service(strangers: dict[str, str]) -> None:
    finding = connections(database=with_chains(chain(6, blocked_seconds=45.0, **strangers)))
    assert told(finding, "sessions_blocked").presence is Presence.ABSENT
    assert "Blocking chains" not in dict(finding.tables)
    assert finding.status is FindingStatus.NORMAL


def test_of_two_chains_the_one_that_the_service_waits_in_is_told_however_long_the_other_is() -> None:
    others = chain(6, blocked_application="reports", blocked_seconds=90.0, blocking_pid=8, root_pid=8)
    finding = connections(database=with_chains(others, chain(2, blocked_seconds=45.0)))
    assert "2 sessions wait for a lock that pid 7 (psql, idle in transaction) holds" in finding.summary
    assert set(dict(finding.tables)["Blocking chains"]["root_pid"]) == {7}


def test_a_service_that_waits_for_somebody_who_waits_is_told_who_is_at_the_root() -> None:
    between = {"blocked_pid": 50, "blocked_application": "reports", "blocked_user": "reports"}
    root = chain(1, blocked_seconds=50.0, root_pid=9, blocking_pid=9, blocking_application="migration", **between)
    own = chain(3, blocked_seconds=45.0, root_pid=9, blocking_pid=50, blocking_application="reports", blocking_state="active")
    finding = connections(database=with_chains(own, root))
    assert told(finding, "sessions_blocked").subject == "pid 9 (migration, idle in transaction)"
    assert "3 sessions wait" in finding.summary
    assert len(dict(finding.tables)["Blocking chains"]) == 4


def test_chains_that_were_recorded_before_they_said_whose_session_waits_are_read_as_then() -> None:
    old = chain(2, blocked_seconds=45.0).drop(columns=["database", "blocked_user"])
    assert told(connections(database=FakeDatabase(chains=old)), "sessions_blocked").presence is Presence.PRESENT


def test_sessions_of_another_database_are_not_this_services() -> None:
    held = sessions(12, database="shop_staging", state="idle in transaction", state_seconds=600.0)
    held.attrs["database"] = "shop"
    assert told(connections(database=FakeDatabase(sessions=held)), "connections_held_beyond_request").presence is Presence.ABSENT
    held.attrs["database"] = "postgres"
    read_elsewhere = told(connections(database=FakeDatabase(sessions=held)), "connections_held_beyond_request")
    assert read_elsewhere.presence is Presence.PRESENT, "known by its name, which is the service's"


def test_a_lock_that_is_waited_for_briefly_is_everyday_life() -> None:
    finding = connections(database=FakeDatabase(chains=chain(3, blocked_seconds=0.4)))
    assert told(finding, "sessions_blocked").presence is Presence.ABSENT


def test_a_server_that_has_no_free_connection_says_so_by_refusing_us() -> None:
    reason = "the server has no free connection: remaining connection slots are reserved"
    finding = connections(database=Sick("refused", reason, name="postgres"))
    assert told(finding, "server_connections_exhausted").presence is Presence.PRESENT
    assert told(finding, "database_unreachable").presence is Presence.UNKNOWN


@pytest.mark.parametrize(
    ("words", "presence"),
    [
        ("sorry, too many clients already", Presence.PRESENT),
        ('too many connections for database "shop"', Presence.PRESENT),
        ("no more connections allowed (max_client_conn)", Presence.PRESENT),
        ("query_wait_timeout", Presence.PRESENT),
        ('too many connections for role "mon"', Presence.UNKNOWN),
    ],
)
def test_a_full_server_or_pooler_is_told_from_the_limit_of_the_role_that_asks(words: str, presence: Presence) -> None:
    finding = connections(database=Sick("refused", f"the server has no free connection: {words}", name="postgres"))
    assert told(finding, "server_connections_exhausted").presence is presence
    assert told(finding, "role_connections_exhausted").presence is Presence.UNKNOWN
    assert ("Role mon, which this reads with" in " ".join(finding.notes)) is (presence is Presence.UNKNOWN)


NOBODYS = frame([("reports", "reports", "shop", "idle", "", 1, 5.0)], columns=list(FakeDatabase().connections().columns))
FULL = 'OperationalError: connection failed: FATAL:  too many connections for role "app"'


@pytest.mark.parametrize(
    ("full", "user", "logged", "presence"),
    [
        (["app"], None, "", Presence.UNKNOWN),
        (["app"], "app", "", Presence.PRESENT),
        (["app"], "app*", "", Presence.PRESENT),
        (["batch"], "app", "", Presence.ABSENT),
        (["app", "batch"], None, FULL, Presence.PRESENT),
        ([], None, FULL, Presence.ABSENT),
    ],
)
def test_a_role_without_any_connection_left_is_known_by_the_service_file_or_by_what_the_service_logs(
    full: list[str], user: str | None, logged: str, presence: Presence
) -> None:
    known = service()
    database = known.components.database
    assert database is not None
    components = known.components.model_copy(update={"database": database.model_copy(update={"user": user})})
    logs = FakeLogs(log_lines(logged, since=ONSET)) if logged else FakeLogs()
    held = FakeDatabase(limits={"full_roles": full}, connections=NOBODYS)
    sources = fake_sources(database=held, logs=logs)
    finding = database_connections(
        context(known.model_copy(update={"components": components}), sources=sources, symptom=error_symptom(ONSET))
    )
    signal = told(finding, "role_connections_exhausted")
    assert signal.presence is presence
    if presence is not Presence.ABSENT:
        assert "app" in signal.text


@pytest.mark.parametrize(
    ("sickness", "pod_ready", "presence"),
    [
        ("timeout", True, Presence.UNKNOWN),
        ("timeout", False, Presence.PRESENT),
        ("unreachable", True, Presence.PRESENT),
        ("refused", False, Presence.UNKNOWN),
    ],
)
def test_a_late_answer_is_no_dead_database_unless_its_pods_are_down(
    sickness: Sickness, pod_ready: bool, presence: Presence
) -> None:
    cluster = FakeCluster(others={"app=postgres": pods(["postgres-0"], ready=pod_ready)})
    finding = connections(database=Sick(sickness, "no answer within 10 s", name="postgres"), cluster=cluster)
    assert told(finding, "database_unreachable").presence is presence


@pytest.mark.parametrize(("used", "presence"), [(60, Presence.ABSENT), (96, Presence.PRESENT)])
def test_connections_of_the_server_are_held_against_what_clients_may_have(used: int, presence: Presence) -> None:
    signal = told(connections(database=FakeDatabase(limits={"used_connections": used})), "server_connections_exhausted")
    assert signal.presence is presence
    assert signal.text == f"the server has {used} of 97 connections in use"
    assert signal.unit == "connections"


def test_a_past_window_does_not_tell_of_sessions_that_are_there_now() -> None:
    held = FakeDatabase(sessions=sessions(12, state="idle in transaction", state_seconds=600.0))
    finding = connections(database=held, live=False)
    assert told(finding, "connections_held_beyond_request").presence is Presence.UNKNOWN
    assert "a past window is looked at" in finding.summary


def test_the_pods_of_the_database_say_whether_it_is_there() -> None:
    gone = FakeCluster(others={"app=postgres": pods([])})
    assert told(connections(cluster=gone), "database_pods_down").presence is Presence.PRESENT
    assert told(connections(), "database_pods_down").presence is Presence.ABSENT
    elsewhere = service(components={"application": {"deployment": "shop", "selector": "app=shop"}})
    finding = database_connections(context(elsewhere))
    assert told(finding, "database_pods_down").presence is Presence.UNKNOWN


@pytest.mark.parametrize("missing", ["pool_in_use", "pool_size"])
def test_without_pool_metrics_the_pool_is_unknown_and_the_database_still_told_of(missing: str) -> None:
    finding = connections({missing: None})
    assert told(finding, "pool_saturated").presence is Presence.UNKNOWN
    assert finding.summary.startswith("the server has 10 of 97 connections in use")


def test_the_command_is_what_a_person_would_type() -> None:
    assert connections().command.startswith("kubectl -n shop exec postgres-0 -- psql")


def test_the_largest_table_is_told_in_mebibytes() -> None:
    assert database_tables(context()).summary == "The largest table is public.orders with 8 MiB."


def test_a_database_without_tables_is_no_error() -> None:
    empty = fake_sources(database=FakeDatabase(tables=frame([], columns=["schema", "table", "total_bytes"])))
    assert database_tables(context(sources=empty)).status is FindingStatus.INFO


COLUMNS = ["application", "user", "database", "state", "client", "count", "oldest_seconds"]
FULL = {"pool_in_use": each_pod(1, 5, at=ONSET), "pool_waiting": each_pod(0, 3, at=ONSET)}


def counted(*rows: tuple[str, int], database: str = "shop") -> FakeDatabase:
    """A database with so many sessions of these applications."""
    built = frame([(name, "app", database, "idle", "10.0.0.1", count, 5.0) for name, count in rows], columns=COLUMNS)
    built.attrs["database"] = database
    return FakeDatabase(connections=built)


@pytest.mark.parametrize(
    ("metrics", "database", "presence"),
    [
        (FULL, counted(), Presence.PRESENT),
        (FULL, counted(("psql", 1), ("runbook", 30)), Presence.PRESENT),  # one cannot be fifteen, and we know our own
        (FULL, counted(("renamed", 15)), Presence.UNKNOWN),  # the file's application name may be wrong
        ({"pool_in_use": each_pod(0), "pool_waiting": each_pod(0, 3, at=ONSET)}, counted(("other", 15)), Presence.PRESENT),
        (FULL, counted(("shop", 15)), Presence.ABSENT),
        (FULL, counted(("shop", 1)), Presence.ABSENT),  # a pooler has fewer than the pools before it
        ({"pool_in_use": each_pod(1)}, counted(), Presence.ABSENT),
    ],
)
def test_a_pool_that_waits_for_what_the_database_does_not_have(metrics: Any, database: Any, presence: Presence) -> None:
    seen = connections(metrics, database)
    assert told(seen, "pool_without_sessions").presence is presence


def test_where_a_role_of_somebody_is_at_its_limit_it_is_not_known_whether_the_service_is_turned_down() -> None:
    limited = FakeDatabase(limits={"full_roles": ["shop"]}, connections=frame([], columns=COLUMNS))
    assert told(connections(FULL, limited), "pool_without_sessions").presence is Presence.UNKNOWN
