"""Puts a drawn fault into a running lab."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import redis

from runbook_lab.cluster.node import processes
from runbook_lab.cluster_client import ClusterClient
from runbook_lab.faults.declaration import (
    Create,
    DeletePods,
    Executed,
    Fault,
    FillRedis,
    LeftRunning,
    Patch,
    PodConditions,
    RedisCommand,
    RestartRollout,
    Scale,
    SlowLinks,
    Step,
    StopProcesses,
)
from runbook_lab.home import Home
from runbook_lab.rollouts import wait_for_rollout
from runbook_lab.servers import postgres
from runbook_lab.shop.conditions import Conditions

_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_ROLLOUT_SECONDS = 60.0
_REDIS_SECONDS, _REDIS_BATCH, _REDIS_MOST_KEYS = 10.0, 100, 100_000
_FULL_ABOVE = 0.9  # of what is used: the maximum that is left


def put_in(home: Home, faults: tuple[Fault, ...]) -> None:
    """Put faults in, together, and note them in the home. Raises ClusterError, and TimeoutError for a rollout that gets stuck."""
    cluster = ClusterClient(home.kubeconfig)
    steps = [step for fault in faults for step in fault.steps]
    for step in steps:
        if not isinstance(step, PodConditions | SlowLinks):
            _change(home, cluster, step)
    of_pods = [step for step in steps if isinstance(step, PodConditions | SlowLinks)]
    if of_pods and len(of_pods) < len(steps):
        # What belongs to pods: those of the old revision would take theirs along.
        wait_for_rollout(cluster, "orders", seconds=_ROLLOUT_SECONDS)
    for step in of_pods:
        if isinstance(step, PodConditions):
            _set_conditions(home, cluster, step)
        else:
            _slow_down(home, cluster, step)
    home.note_faults([_noted(fault) for fault in faults])


def _change(home: Home, cluster: ClusterClient, step: Step) -> None:
    if isinstance(step, Patch):
        cluster.patch(step.kind, step.name, dict(step.patch), manager="kubectl-patch")
    elif isinstance(step, RestartRollout):
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        template = {"metadata": {"annotations": {_RESTARTED_AT: now}}}
        cluster.patch("Deployment", step.deployment, {"spec": {"template": template}}, manager="kubectl-rollout")
    elif isinstance(step, Scale):
        cluster.patch(step.kind, step.name, {"spec": {"replicas": step.replicas}}, manager="kubectl")
    elif isinstance(step, Create):
        cluster.create(dict(step.manifest))
    elif isinstance(step, DeletePods):
        for name in _pods(cluster, step.app):
            cluster.delete("Pod", name)
    elif isinstance(step, StopProcesses):
        for name in _pods(cluster, step.app):
            processes.send(_processes_of(home, name), signal.SIGSTOP)
    elif isinstance(step, LeftRunning):
        _leave_running(home, step)
    elif isinstance(step, Executed):
        _execute(home, step)
    elif isinstance(step, RedisCommand):
        with _redis(home) as client:
            client.execute_command(*step.words)
    elif isinstance(step, FillRedis):
        _fill_redis(home, step)


def _redis(home: Home) -> redis.Redis:
    return redis.Redis.from_url(home.read("redis.url"), socket_timeout=_REDIS_SECONDS)


def _fill_redis(home: Home, step: FillRedis) -> None:
    """Raises redis.RedisError for what is not the end of the memory, TimeoutError for a Redis that is never full."""
    value = b"x" * step.value_bytes
    with _redis(home) as client:
        for begin in range(0, _REDIS_MOST_KEYS, _REDIS_BATCH):
            batch = client.pipeline(transaction=False)
            for number in range(begin, begin + _REDIS_BATCH):
                batch.set(f"{step.tenant}:{number}", value, ex=step.seconds)
            refused = [error for error in batch.execute(raise_on_error=False) if isinstance(error, redis.RedisError)]
            if refused and not isinstance(refused[0], redis.exceptions.OutOfMemoryError):
                raise refused[0]
            if refused:
                client.config_set("maxmemory", int(client.info("memory")["used_memory"] * _FULL_ABOVE))
                return
    raise TimeoutError(f"Redis took {_REDIS_MOST_KEYS} keys of {step.value_bytes} bytes and is not full")


def _leave_running(home: Home, step: LeftRunning) -> None:
    """Send the statement and hang up: a server at work looks at its client only when it has something to say."""
    connection = _psql(home, step.role, step.application)
    connection.pgconn.send_query(step.sql.encode())
    connection.pgconn.finish()


def _execute(home: Home, step: Executed) -> None:
    """Each by itself: CONCURRENTLY is refused within a transaction."""
    with _psql(home, step.role, step.application) as connection:
        connection.autocommit = True
        for statement in step.statements:
            connection.execute(statement.encode())


def _psql(home: Home, role: str, application: str) -> psycopg.Connection[Any]:
    """Connect by the socket, as psql in the database's own pod does."""
    where = str(home.socket_directory())
    return psycopg.connect(host=where, user=role, dbname=postgres.DATABASE, application_name=application)


def _processes_of(home: Home, pod: str) -> list[processes.Process]:
    """The processes of a pod, told by the directory that they are given, and their children: PostgreSQL's overwrite what they
    were given."""
    mark = f"LAB_DATA_DIR={home.pod_directory(pod)}".encode()
    everything = processes.snapshot()
    return processes.members((pid for pid in everything if mark in _environment(pid)), everything)


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return []


def _set_conditions(home: Home, cluster: ClusterClient, step: PodConditions) -> None:
    """Set conditions, beside what another fault has set already."""
    for place, name in enumerate(_pods(cluster, step.app)):
        values: Mapping[str, float] = step.values[place % len(step.values)]
        directory = home.pod_directory(name)
        replace(Conditions.read(directory), **values).write(directory)


def _slow_down(home: Home, cluster: ClusterClient, step: SlowLinks) -> None:
    for name in _pods(cluster, step.app)[: step.pods]:
        step.link.write(home.pod_directory(name))


def _pods(cluster: ClusterClient, app: str) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in cluster.list("Pod", app=app) if _stays(pod))


def _stays(pod: Mapping[str, Any]) -> bool:
    return pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]


def _noted(fault: Fault) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "name": fault.name,
        "kind": fault.kind,
        "seed": fault.seed,
        "intensity": fault.intensity,
        "text": fault.text,
        "at": at,
    }
