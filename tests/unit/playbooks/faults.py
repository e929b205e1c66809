"""Faults as their traces in the sources: what Prometheus, the cluster, the logs and the database say while each is on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from runbook_lib.models.frame import Frame, frame
from runbook_lib.testing import (
    PODS,
    FakeCluster,
    FakeDatabase,
    FakeHttp,
    FakeLogs,
    FakeMetrics,
    Measured,
    Sick,
    ago,
    chain,
    changed,
    config_edit,
    curve,
    each_pod,
    line,
    log_lines,
    looks,
    pods,
    policy,
    revisions,
    sessions,
    together,
)

ONSET = ago(minutes=12)
LONG_AGO = ago(minutes=60 * 24 * 7)
POOL_TIMEOUT = "POST /orders: PoolTimeout: couldn't get a connection after 0.50 sec"
READ_TIMEOUT = "POST /orders: ReadTimeout: POST http://payments:8080/charges: no answer within 2 s"
MIB = 2.0**20
_NO_CONNECTION = frame([], columns=["application", "user", "database", "state", "client", "count", "oldest_seconds"])

Told = dict[str, Any]


def errors(since: datetime = ONSET, ratio: float = 0.4, until: datetime | None = None) -> dict[str, Measured]:
    """The symptom."""
    return {
        "error_ratio": line(0.001, ratio, at=since, until=until),
        "errors_by_status": line(0.0, 50 * ratio, at=since, until=until, status="500"),
        "error_ratio_by_pod": each_pod(0.001, ratio, at=since, until=until),
        "error_ratio_by_version": line(0.001, ratio, at=since, until=until, version="1.0"),
    }


def full_pool(since: datetime = ONSET, size: float = 5.0, size_before: float = 5.0) -> dict[str, Measured]:
    """Every connection taken, and requests that wait in vain."""
    return {
        "pool_in_use": each_pod(1.0, size, at=since),
        "pool_size": each_pod(size_before, size, at=since),
        "pool_waiting": each_pod(0.0, 6.0, at=since + timedelta(seconds=15)),
        "pool_timeouts": each_pod(0.0, 3.0, at=since + timedelta(seconds=30)),
    }


def rollout(*edits: tuple[str, str, str, str], at: datetime, config: Frame | None = None, **told: Any) -> FakeCluster:
    """Revision 2, rolled out at `at`, which changed this."""
    return FakeCluster(history=revisions((1, LONG_AGO), (2, at)), diffs={(1, 2): changed(*edits)}, config=config, **told)


def leaked_connections(since: datetime = ONSET) -> Told:
    """Requests do not give their connections back, their transactions open."""
    return {
        "metrics": {**errors(since), **full_pool(since)},
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=since)),
        "database": FakeDatabase(sessions=sessions(15, state="idle in transaction", state_seconds=600.0)),
    }


def too_much_load() -> Told:
    """The pool is small for what is asked of it: every connection works, none is held for long."""
    return {
        "metrics": {**errors(ratio=0.15), **full_pool(), "request_rate": line(50.0, 400.0, at=ONSET)},
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET)),
        "database": FakeDatabase(sessions=sessions(15, state="active", state_seconds=0.1)),
    }


def changed_password() -> Told:
    """The pool cannot open a connection any more, and says so to nobody: requests wait, and the database has no session."""
    return {
        "metrics": {**errors(ratio=0.9), **full_pool()},
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET)),
        "database": FakeDatabase(connections=_NO_CONNECTION),
    }


def refused_logins() -> Told:
    """The same where half of the connections are still there, and a pool that warns of each attempt."""
    refused = "error connecting in 'shop': connection failed: FATAL:  password authentication failed for user \"shop\""
    warned = log_lines(refused, since=ONSET, every_seconds=20.0, level="warning")
    return {
        "metrics": {**errors(ratio=0.4), **full_pool()},
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET), warned),
        "database": FakeDatabase(),
    }


def slow_trigger() -> Told:
    """Each insert takes a second and more, at work: every connection is taken by one."""
    at_work = {"query": "insert into orders", "state_seconds": 1.2}
    return {
        "metrics": {**errors(), **full_pool()},
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET)),
        "database": FakeDatabase(sessions=sessions(15, state="active", state_seconds=1.2), activity=looks(12, **at_work)),
    }


def burnt_cpu() -> Told:
    """Something beside the service takes the pods' processor time: requests wait for connections and for answers."""
    slow = slow_payments()
    return {
        "metrics": {**slow["metrics"], **full_pool(), "cpu_usage": each_pod(0.2, 0.99, at=ONSET - timedelta(seconds=20))},
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET), log_lines(READ_TIMEOUT, since=ONSET)),
    }


def cut_cpu() -> Told:
    """A rollout left the pods a tenth of the CPU that they need."""
    edit = ("containers.shop.resources.limits.cpu", "resources", "500m", "50m")
    return {**burnt_cpu(), "cluster": rollout(edit, at=ONSET - timedelta(seconds=40))}


def locked_table() -> Told:
    """Somebody holds a lock that every order needs, from a psql that is idle in transaction."""
    waiting = sessions(15, state="active", wait_event="Lock", state_seconds=700.0)
    return {
        "metrics": {**errors(ratio=1.0), **full_pool()},
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET)),
        "database": FakeDatabase(sessions=waiting, chains=chain(15, blocked_seconds=720.0)),
    }


def no_free_slots() -> Told:
    """Another application has taken all connections of the server; the service's own are gone."""
    full = "FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute"
    return {
        "metrics": {**errors(ratio=1.0), "pool_timeouts": each_pod(0.0, 3.0, at=ONSET)},
        "logs": FakeLogs(log_lines(f"connection failed: {full}", since=ONSET)),
        "database": FakeDatabase(limits={"used_connections": 97}, sessions=sessions(0)),
    }


def stopped_database() -> Told:
    """The database's pod is gone; of what the service logs, most is of its pool."""
    refused = Sick("unreachable", "connection refused", name="postgres")
    return {
        "metrics": {**errors(ratio=1.0), **full_pool()},
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET)),
        "database": refused,
        "cluster": FakeCluster(others={"app=postgres": pods([])}),
    }


def revoked() -> Told:
    """The service's role lost a privilege; the database is well."""
    denied = "POST /orders: InsufficientPrivilege: permission denied for table orders"
    return {"metrics": errors(ratio=1.0), "logs": FakeLogs(log_lines(denied, since=ONSET))}


def slow_payments(*, health: object = 200, since: datetime = ONSET) -> Told:
    """Payments does not answer in time: stopped, scaled away or slow."""
    return {
        "metrics": {
            **errors(since),
            "downstream_error_ratio": together(
                line(0.0, 0.9, at=since, downstream="payments"), line(0.0, downstream="inventory")
            ),
            "downstream_latency": together(line(0.02, 2.0, at=since, downstream="payments"), line(0.02, downstream="inventory")),
        },
        "logs": FakeLogs(log_lines(READ_TIMEOUT, since=since)),
        "http": FakeHttp({"payments": health}),
    }


def leaking_memory(*, limit: float = 256 * MIB) -> Told:
    """Each pod grows by 4 MiB a minute until it is killed, and begins anew; requests fail while it is away."""

    def used(at: datetime) -> float:
        minutes = (at - ago(55)).total_seconds() / 60
        return (40 + 4.6 * (max(minutes, 0.0) % 44)) * MIB

    killed = pods(last_state="OOMKilled (exit 137) at 2026-03-01T03:59:00Z", last_terminated_at=ago(10), restarts=1)
    return {
        "metrics": {
            **errors(since=ago(11), ratio=0.3),
            "memory_working_set": together(*(curve(used, pod=pod) for pod in PODS)),
            "memory_limit": each_pod(limit),
        },
        "logs": FakeLogs(log_lines("MemoryError", since=ago(11), every_seconds=20)),
        "cluster": FakeCluster(pods=killed),
    }


def throwing_version() -> Told:
    """A new image that fails on some orders."""
    return {
        "metrics": {
            **errors(),
            "error_ratio_by_version": together(line(0.0, version="1.0"), line(0.0, 0.6, at=ONSET, version="2.0")),
        },
        "logs": FakeLogs(log_lines("POST /orders: KeyError: 'currency'", since=ONSET)),
        "cluster": rollout(("containers.shop.image", "image", "shop:1.0", "shop:2.0"), at=ONSET - timedelta(seconds=40)),
    }


MISSING_COLUMN = 'POST /orders: UndefinedColumn: column "discount" of relation "orders" does not exist'


def renamed_column() -> Told:
    """Somebody altered a table under the service."""
    return {"metrics": errors(ratio=0.9), "logs": FakeLogs(log_lines(MISSING_COLUMN, since=ONSET))}


def added_constraint() -> Told:
    """Somebody added a constraint under the service, which its orders do not keep to."""
    violated = 'POST /orders: CheckViolation: new row for relation "orders" violates check constraint "orders_total"'
    return {"metrics": errors(ratio=1.0), "logs": FakeLogs(log_lines(violated, since=ONSET))}


def release_that_writes_too_much() -> Told:
    """A new image that writes what does not fit into its column."""
    edit = ("containers.shop.image", "image", "shop:1.0", "shop:2.0")
    too_long = "POST /orders: StringDataRightTruncation: value too long for type character varying(20)"
    return {
        "metrics": errors(ratio=0.5),
        "logs": FakeLogs(log_lines(too_long, since=ONSET)),
        "cluster": rollout(edit, at=ONSET - timedelta(seconds=30)),
    }


def release_ahead_of_its_migration() -> Told:
    """A new image that asks for a column which is not there yet."""
    image = ("containers.shop.image", "image", "shop:1.0", "shop:2.0")
    return {**renamed_column(), "cluster": rollout(image, at=ONSET - timedelta(seconds=40))}


def pool_shrunk_by_rollout() -> Told:
    """The pool's size was set in the Deployment."""
    edit = ("containers.shop.env.DATABASE_POOL_SIZE", "env", "5", "1")
    return {
        "metrics": {**errors(), **full_pool(size=1.0)},
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET)),
        "cluster": rollout(edit, at=ONSET - timedelta(seconds=30)),
    }


def pool_shrunk_by_config_map() -> Told:
    """The pool's size was changed in the config map, and the pods were restarted after it."""
    restart = ("annotations.kubectl.kubernetes.io/restartedAt", "annotation", "", "2026-03-01T03:47:30Z")
    return {
        "metrics": {**errors(), **full_pool(size=1.0)},
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET)),
        "cluster": rollout(
            restart,
            at=ONSET - timedelta(seconds=30),
            config=config_edit("DATABASE_POOL_SIZE", "5", "1", at=ONSET - timedelta(minutes=4)),
        ),
    }


def wrong_address() -> Told:
    """The address of payments was set to a name that does not exist; payments itself is well."""
    edit = ("containers.shop.env.PAYMENTS_URL", "env", "http://payments:8080", "http://payment:8080")
    unknown = "POST /orders: gaierror: POST http://payment:8080/charges: Name or service not known"
    return {
        "metrics": {
            **errors(),
            "downstream_error_ratio": together(
                line(0.0, 1.0, at=ONSET, downstream="payments"), line(0.0, downstream="inventory")
            ),
        },
        "logs": FakeLogs(log_lines(unknown, since=ONSET)),
        "cluster": rollout(edit, at=ONSET - timedelta(seconds=45)),
    }


def closed_to(app: str, *, at: datetime = ONSET - timedelta(seconds=5)) -> FakeCluster:
    """A policy, written at `at`, that lets nobody but its backup reach the pods of this app."""
    backup = [{"from": [{"podSelector": {"matchLabels": {"app": "backup"}}}]}]
    only = policy(f"{app}-backup", at=at, podSelector={"matchLabels": {"app": app}}, ingress=backup)
    others = {f"app={app}": pods([f"{app}-0"], labels={"app": app})}
    urls = {name: f"http://{name}:8080" for name in ("payments", "inventory")}
    settings = {"REDIS_URL": "redis://redis:8080", **{f"{name.upper()}_URL": url for name, url in urls.items()}}
    return FakeCluster(policies=only, others=others, settings=settings | {"DATABASE_URL": "postgresql://postgres/shop"})


def database_cut_off() -> Told:
    """A policy keeps the pods from the database, which itself is well: it looks like a pool that is full."""
    return {
        "metrics": {**errors(ratio=0.9), **full_pool()},
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET)),
        "database": FakeDatabase(sessions=sessions(15, state="idle", state_seconds=700.0)),
        "cluster": closed_to("postgres"),
    }


def payments_cut_off() -> Told:
    """A policy keeps the pods from payments, which itself is well: it looks as if that did not answer."""
    return {**slow_payments(), "cluster": closed_to("payments")}


def cache_cut_off() -> Told:
    """A policy keeps the pods from their cache, without which some requests fail."""
    timed_out = "GET /products: TimeoutError: Timeout connecting to server redis:8080"
    return {"metrics": errors(), "logs": FakeLogs(log_lines(timed_out, since=ONSET)), "cluster": closed_to("redis")}


def lowered_memory_limit() -> Told:
    """The limit was set below what the pods need, so that they are killed while they warm up."""
    edit = ("containers.shop.resources.limits.memory", "resources", "256Mi", "64Mi")

    def used(at: datetime) -> float:
        seconds = (at - (ONSET - timedelta(seconds=40))).total_seconds()
        return 100 * MIB if seconds < 0 else (30 + 0.5 * (seconds % 64)) * MIB

    killed = pods(last_state="OOMKilled (exit 137)", last_terminated_at=ONSET + timedelta(seconds=30), restarts=6, ready=False)
    return {
        "metrics": {
            **errors(),
            "memory_working_set": together(*(curve(used, pod=pod) for pod in PODS)),
            "memory_limit": each_pod(256 * MIB, 64 * MIB, at=ONSET - timedelta(seconds=40)),
        },
        "cluster": rollout(edit, at=ONSET - timedelta(seconds=40), pods=killed),
    }


FAULTS: Mapping[str, tuple[Any, str]] = {
    "leaked connections": (leaked_connections, "db_pool_exhausted"),
    "a pool too small for the load": (too_much_load, "db_pool_exhausted"),
    "a trigger that takes its time": (slow_trigger, "slow_statements"),
    "processor time that something else takes": (burnt_cpu, "cpu_exhaustion"),
    "a CPU limit that was lowered": (cut_cpu, "bad_deployment"),
    "a locked table": (locked_table, "db_pool_exhausted"),
    "no free slots in the server": (no_free_slots, "db_pool_exhausted"),
    "a database whose pod is gone": (stopped_database, "database_unavailable"),
    "a password that was changed": (changed_password, "database_refuses"),
    "logins that are refused": (refused_logins, "database_refuses"),
    "a revoked privilege": (revoked, "database_refuses"),
    "a renamed column": (renamed_column, "schema_mismatch"),
    "a constraint that was added": (added_constraint, "schema_mismatch"),
    "a release that writes too much": (release_that_writes_too_much, "bad_deployment"),
    "a release ahead of its migration": (release_ahead_of_its_migration, "bad_deployment"),
    "a downstream service that is stopped": (slow_payments, "downstream_timeout"),
    "a memory leak": (leaking_memory, "memory_leak"),
    "code that throws": (throwing_version, "bad_deployment"),
    "a pool shrunk by the Deployment": (pool_shrunk_by_rollout, "bad_deployment"),
    "a pool shrunk by the config map": (pool_shrunk_by_config_map, "bad_deployment"),
    "a wrong address": (wrong_address, "bad_deployment"),
    "a policy that keeps the database away": (database_cut_off, "network_partition"),
    "a policy that keeps a called service away": (payments_cut_off, "network_partition"),
    "a policy that keeps the cache away": (cache_cut_off, "network_partition"),
    "a lowered memory limit": (lowered_memory_limit, "bad_deployment"),
}


def sources(told: Told) -> Told:
    """What `examine` takes: the measures as a Prometheus."""
    return {**told, "metrics": FakeMetrics(told["metrics"])}
