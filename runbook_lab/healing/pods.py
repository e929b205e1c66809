"""The pods: clears what ails them, and replaces those that cannot get well."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from runbook_lab.cluster_client import ClusterClient
from runbook_lab.home import Home
from runbook_lab.rollouts import rollout_is_complete
from runbook_lab.shop.conditions import FILE_NAME, Conditions
from runbook_lab.waiting import wait_for

_ANSWER_SECONDS = 2.0
_READY_SECONDS = 60.0
_SETTLE_SECONDS = 90.0
# A pod starts in 3 s; on a busy machine in 10.
_START_SECONDS = 20.0
_STUCK = ("CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerError")
_PORT = 8080
# A pod of orders needs about half of its limit; one that holds this much has leaked.
_LEAKED_BYTES = 100 * 1024**2
Pod = dict[str, Any]


def clear_conditions(home: Home, cluster: ClusterClient) -> tuple[set[str], list[str]]:
    """Let all be well in every pod. Give the apps that had trouble: what they have lost by then stays lost."""
    tainted, done = set(), []
    for pod in _present(cluster.list("Pod")):
        directory = home.pod_directory(pod["metadata"]["name"])
        if (directory / FILE_NAME).exists():
            Conditions.clear(directory)
            tainted.add(_app(pod))
            done.append(f"cleared the conditions of pod/{pod['metadata']['name']}")
    return tainted, done


def settle(cluster: ClusterClient, kind: str, name: str) -> list[str]:
    """Wait until a workload has all its pods. One that is stuck, such as in a crash loop that pauses for minutes, is deleted."""
    deleted: dict[str, str] = {}

    def is_complete() -> bool:
        for pod in _present(cluster.list("Pod", app=name)):
            if pod["metadata"]["uid"] not in deleted and _is_stuck(pod):
                cluster.delete("Pod", pod["metadata"]["name"])
                deleted[pod["metadata"]["uid"]] = f"replaced pod/{pod['metadata']['name']}"
        found = cluster.find(kind, name)
        return found is not None and rollout_is_complete(found)

    wait_for(f"all pods of {name}", is_complete, seconds=_SETTLE_SECONDS)
    return list(deleted.values())


def ailing(cluster: ClusterClient, apps: Iterable[str]) -> list[Pod]:
    """Give the pods of these apps, and those of orders that hold lost connections or leaked memory, or do not answer."""
    named = set(apps)
    pods = _present(cluster.list("Pod"))
    return [pod for pod in pods if _app(pod) in named or (_app(pod) == "orders" and _ails(pod))]


def replace(cluster: ClusterClient, pods: Iterable[Pod]) -> list[str]:
    """Delete pods one after the other, each when its app has as many ready ones again as it should have."""
    return [_replace(cluster, pod) for pod in pods]


def _replace(cluster: ClusterClient, pod: Pod) -> str:
    name, app = pod["metadata"]["name"], _app(pod)
    wanted = len(_present(cluster.list("Pod", app=app)))
    cluster.delete("Pod", name)
    wait_for(f"a pod of {app} in place of {name}", lambda: _is_replaced(cluster, pod, wanted), seconds=_READY_SECONDS)
    return f"replaced pod/{name}"


def ending(cluster: ClusterClient) -> list[str]:
    """Give the names of the pods that were told to end and have not yet."""
    return [pod["metadata"]["name"] for pod in cluster.list("Pod") if "deletionTimestamp" in pod["metadata"]]


def close_breakers(home: Home, cluster: ClusterClient) -> list[str]:
    """Close every circuit breaker of orders that is not closed."""
    done, token = [], home.read("admin.token")
    for pod in _present(cluster.list("Pod", app="orders")):
        breakers = json.loads(_get(pod, "/admin/circuit-breaker-status"))
        for name in [name for name, breaker in breakers.items() if breaker["state"] != "closed" or breaker["forced"]]:
            address = f"http://{pod['status']['podIP']}:{_PORT}/admin/circuit-breaker/close?name={name}"
            request = urllib.request.Request(address, method="POST", headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):
                done.append(f"closed the circuit breaker of {name} in pod/{pod['metadata']['name']}")
    return done


def _ails(pod: Pod) -> bool:
    try:
        families = text_string_to_metric_families(_get(pod, "/metrics"))
    except (OSError, urllib.error.URLError):
        return True
    found = {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}
    is_full = found.get("db_pool_connections_in_use", 0) >= found.get("db_pool_connections_max", 1)
    return is_full or found.get("process_resident_memory_bytes", 0) > _LEAKED_BYTES


def _get(pod: Pod, path: str) -> str:
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:{_PORT}{path}", timeout=_ANSWER_SECONDS) as response:
        text: str = response.read().decode()
        return text


def _present(pods: Iterable[Pod]) -> list[Pod]:
    """Those that stay, and are not what is left of a pod that has ended."""
    ended = ("Succeeded", "Failed")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") not in ended]


def _is_replaced(cluster: ClusterClient, old: Pod, wanted: int) -> bool:
    present = _present(cluster.list("Pod", app=_app(old)))
    others = [pod for pod in present if pod["metadata"]["uid"] != old["metadata"]["uid"]]
    return len(others) >= wanted and max(others, key=_created) in filter(_is_ready, others)


def _created(pod: Pod) -> str:
    return str(pod["metadata"]["creationTimestamp"])


def _is_ready(pod: Pod) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _is_stuck(pod: Pod) -> bool:
    """Tell whether a pod has failed to start, or has not been ready for longer than a start takes."""
    statuses = pod["status"].get("containerStatuses") or ()
    if any((status.get("state", {}).get("waiting") or {}).get("reason") in _STUCK for status in statuses):
        return True
    conditions = {condition["type"]: condition for condition in pod["status"].get("conditions") or ()}
    ready = conditions.get("Ready")
    if ready is None or ready["status"] == "True":
        return False
    since = datetime.fromisoformat(ready.get("lastTransitionTime") or _created(pod))
    return (datetime.now(UTC) - since).total_seconds() > _START_SECONDS


def _app(pod: Pod) -> str:
    return str((pod["metadata"].get("labels") or {}).get("app", ""))
