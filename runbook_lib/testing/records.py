"""Rows as the sources give them, with what a test does not care about filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from runbook_lib.models.frame import Frame, frame
from runbook_lib.testing.series import NOW, PODS, ago

__all__ = ["access", "chain", "changed", "config_edit", "events", "log_lines", "looks", "pods", "policy", "revisions", "sessions"]

LOG_COLUMNS = ["time", "pod", "container", "level", "message", "previous", "fields"]
EVENT_COLUMNS = ["time", "first_seen", "type", "reason", "kind", "name", "message", "count"]
CONFIG_COLUMNS = ["config_map", "key", "old", "new", "updated_at"]
DIFF_COLUMNS = ["path", "old", "new", "kind"]
POLICY_COLUMNS = ["policy", "types", "ingress", "egress", "spec", "updated_at"]
_A_WEEK = ago(7 * 24 * 60)

_POD: dict[str, Any] = {
    "phase": "Running",
    "ready": True,
    "restarts": 0,
    "node": "node-1",
    "ip": "10.0.0.1",
    "started_at": _A_WEEK,
    "version": "1.0",
    "revision": 1,
    "template_hash": "5d8f",
    "state": "running",
    "message": "",
    "last_state": "",
    "last_terminated_at": None,
    "containers": ("shop",),
    "cpu_request_cores": 0.1,
    "cpu_limit_cores": 1.0,
    "memory_request_bytes": 128 * 2**20,
    "memory_limit_bytes": 256 * 2**20,
    "owner": "shop-5d8f",
    "labels": {"app": "shop"},
    "ports": ({"name": "http", "containerPort": 8080},),
    "ready_changed_at": _A_WEEK,
}
_SESSION: dict[str, Any] = {
    "pid": 100,
    "application": "shop",
    "user": "shop",
    "database": "shop",
    "kind": "client",
    "state": "active",
    "wait_event": None,
    "backend_start": _A_WEEK,
    "transaction_start": None,
    "query_start": None,
    "state_seconds": 0.1,
    "transaction_seconds": 0.1,
    "query": "select 1",
    "blocked_by": [],
}
_ACCESS: dict[str, Any] = {
    "schema": "public",
    "table": "orders",
    "live_rows": 100_000.0,
    "dead_rows": 100.0,
    "sequential_scans": 0.0,
    "sequential_rows": 0.0,
    "index_scans": 50.0,
    "last_autovacuum_at": None,
    "last_analyze_at": _A_WEEK,
    "modified_rows": 0.0,
    "sequential_rows_before": 0.0,
}
_CHAIN: dict[str, Any] = {
    "blocked_pid": 100,
    "database": "shop",
    "blocked_application": "shop",
    "blocked_user": "shop",
    "blocked_seconds": 60.0,
    "blocked_query": "insert into orders",
    "blocking_pid": 7,
    "blocking_application": "psql",
    "blocking_state": "idle in transaction",
    "blocking_kind": "client",
    "blocking_seconds": 60.0,
    "blocking_query": "lock table orders",
    "root_pid": 7,
    "waiters": 1,
}


def pods(names: Sequence[str] = PODS, *, only: str = "", **values: Any) -> Frame:
    """Pods that are ready and run; `values` replace columns, of the pod `only` when it is named."""
    rows = [{"pod": name, **_POD, **(values if only in ("", name) else {})} for name in names]
    return frame(rows, columns=["pod", *_POD], source="kubernetes")


def policy(name: str, *, at: datetime = _A_WEEK, types: Sequence[str] = ("Ingress",), **spec: Any) -> Frame:
    """A network policy, written at `at`; `spec` has podSelector (all pods unless given), ingress and egress."""
    full = {"podSelector": {}, **spec, "policyTypes": list(types)}
    row = (name, ", ".join(types), str(spec.get("ingress") or ""), str(spec.get("egress") or ""), full, at)
    return frame([row], columns=POLICY_COLUMNS, source="kubernetes")


def revisions(*rollouts: tuple[int, datetime] | tuple[int, datetime, datetime | None]) -> Frame:
    """A rollout history, oldest first: revision, when it was made, and when its first pod was ready (ten seconds later).

    The last one is the present one.
    """
    rows = []
    for position, (revision, created, *ready) in enumerate(rollouts):
        current = position == len(rollouts) - 1
        rows.append(
            {
                "revision": revision,
                "created_at": created,
                "replica_set": f"shop-{revision}",
                "images": f"shop:{revision}.0",
                "change_cause": "",
                "replicas": 3 if current else 0,
                "ready": 3 if current else 0,
                "current": current,
                "first_ready_at": ready[0] if ready else created + timedelta(seconds=10),
            }
        )
    return frame(rows, source="kubernetes")


def changed(*edits: tuple[str, str, str, str]) -> Frame:
    """The difference between two revisions: path, kind (`image`, `env`, `resources`, …), old and new value."""
    rows = [{"path": path, "old": old, "new": new, "kind": kind} for path, kind, old, new in edits]
    return frame(rows, columns=DIFF_COLUMNS, source="kubernetes")


def config_edit(key: str, old: str, new: str, *, at: datetime | None, config_map: str = "shop-config") -> Frame:
    """One key of a config map that was changed; `at` None: it is not known when."""
    return frame([(config_map, key, old, new, at)], columns=CONFIG_COLUMNS, source="kubernetes")


def events(*told: tuple[datetime, str, str, str]) -> Frame:
    """Warnings of the cluster: when, reason, name of the pod, message."""
    rows = [(at, at, "Warning", reason, "Pod", name, message, 1) for at, reason, name, message in told]
    return frame(rows, columns=EVENT_COLUMNS, source="kubernetes")


def log_lines(
    message: str,
    *,
    since: datetime,
    until: datetime = NOW,
    every_seconds: float = 5.0,
    level: str = "error",
    pods: Sequence[str] = PODS,
    fields: Mapping[str, Any] | None = None,
) -> Frame:
    """The same line again and again, from the pods in turn."""
    count = max(0, int((until - since).total_seconds() // every_seconds))
    rows = [
        (since + timedelta(seconds=index * every_seconds), pods[index % len(pods)], "shop", level, message, False, fields)
        for index in range(count)
    ]
    return frame(rows, columns=LOG_COLUMNS, source="logs")


def sessions(count: int = 1, *, hidden: int = 0, **values: Any) -> Frame:
    """Sessions of the database. `hidden` of them are not shown to our role."""
    rows = [{**_SESSION, "pid": 100 + number, **values} for number in range(count)]
    built = frame(rows, columns=list(_SESSION), source="postgres")
    built.attrs["hidden"] = hidden
    return built


def looks(count: int = 1, *, samples: int = 8, hidden: int = 0, others: Sequence[Mapping[str, Any]] = (), **values: Any) -> Frame:
    """Looks at the database: in each of them `count` sessions of the service, and the `others`, with what is said of them."""
    rows = [{"sample": sample, **_SESSION, "pid": 100 + number, **values} for sample in range(samples) for number in range(count)]
    rows += [{"sample": sample, **_SESSION, **other} for sample in range(samples) for other in others]
    built = frame(rows, columns=["sample", *_SESSION], source="postgres")
    built.attrs.update({"hidden": hidden, "samples": samples, "database": _SESSION["database"]})
    return built


def access(table: str = "orders", *, cache_hit_ratio: float | None = 0.99, **values: Any) -> Frame:
    """How one table is read: by its index, unless `values` say otherwise."""
    built = frame([{**_ACCESS, "table": table, **values}], source="postgres")
    built.attrs.update({"cache_hit_ratio": cache_hit_ratio, "reset_at": _A_WEEK})
    return built


def slow_commands(*commands: tuple[datetime, float, str, str], full: bool = False, notes: Sequence[str] = ()) -> Frame:
    """A slow log of Redis: when, seconds, command, what its keys begin with. `full`: older ones may have been dropped."""
    rows = [(at, seconds, command, keys, "") for at, seconds, command, keys in sorted(commands)]
    built = frame(rows, columns=["time", "seconds", "command", "keys", "client"], source="redis")
    built.attrs.update({"full": full, "notes": list(notes)})
    return built


def key_families(*families: Mapping[str, Any], complete: bool = True) -> Frame:
    """A sample of a cache's keys: what they begin with, how many, how large; all expire and are strings unless it is said."""
    everything = sum(family["bytes"] for family in families) or 1
    usual = {"without_expiry": 0, "largest_bytes": 0, "types": "string"}
    rows = [{**usual, "bytes_ratio": family["bytes"] / everything, **family} for family in families]
    columns = ["keys", "sampled", "bytes", "bytes_ratio", "without_expiry", "largest_bytes", "types"]
    built = frame(rows, columns=columns, source="redis")
    built.attrs.update({"sampled": sum(family["sampled"] for family in families), "complete": complete})
    return built


def chain(waiters: int = 0, **values: Any) -> Frame:
    """Sessions that wait for a lock of one other, one row for each that waits; none for no waiters."""
    rows = [{**_CHAIN, "blocked_pid": 100 + number, "waiters": waiters, **values} for number in range(waiters)]
    return frame(rows, columns=list(_CHAIN), source="postgres")
