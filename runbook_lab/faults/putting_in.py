"""Puts a drawn fault into a running lab."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from runbook_lab.cluster.node import processes
from runbook_lab.cluster_client import ClusterClient
from runbook_lab.faults.declaration import (
    DeletePods,
    Fault,
    LeftRunning,
    Patch,
    PodConditions,
    RestartRollout,
    Scale,
    Step,
    StopProcesses,
)
from runbook_lab.home import Home
from runbook_lab.rollouts import wait_for_rollout
from runbook_lab.servers import postgres
from runbook_lab.shop.conditions import Conditions

_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_ROLLOUT_SECONDS = 60.0


def put_in(home: Home, faults: tuple[Fault, ...]) -> None:
    """Put faults in, together, and note them in the home. Raises ClusterError, and TimeoutError for a rollout that gets stuck."""
    cluster = ClusterClient(home.kubeconfig)
    steps = [step for fault in faults for step in fault.steps]
    for step in steps:
        if not isinstance(step, PodConditions):
            _change(home, cluster, step)
    conditions = [step for step in steps if isinstance(step, PodConditions)]
    if conditions and len(conditions) < len(steps):
        # Conditions belong to pods: those of the old revision would take theirs along.
        wait_for_rollout(cluster, "orders", seconds=_ROLLOUT_SECONDS)
    for step in conditions:
        _set_conditions(home, cluster, step)
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
    elif isinstance(step, DeletePods):
        for name in _pods(cluster, step.app):
            cluster.delete("Pod", name)
    elif isinstance(step, StopProcesses):
        for name in _pods(cluster, step.app):
            processes.send(_processes_of(home, name), signal.SIGSTOP)
    elif isinstance(step, LeftRunning):
        _leave_running(home, step)


def _leave_running(home: Home, step: LeftRunning) -> None:
    """Send the statement and hang up: a server at work looks at its client only when it has something to say."""
    connection = psycopg.connect(
        host=str(home.socket_directory()), user=step.role, dbname=postgres.DATABASE, application_name=step.application
    )
    connection.pgconn.send_query(step.sql.encode())
    connection.pgconn.finish()


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
