"""Which pod and container a dump is of, and what the cluster says of them that matters for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runbook_lib.actions.cluster import PODS, Operator, Resource
from runbook_lib.actions.container_resources import amount
from runbook_lib.actions.interface import ActionContext
from runbook_lib.actions.replacement import is_leaving, is_ready
from runbook_lib.actions.workload import application_container
from runbook_lib.errors import SourceError, SourceMissingObject
from runbook_lib.models.plan import Refusal

__all__ = ["Dumped", "chosen"]

Object = Mapping[str, Any]

_POD_METRICS = Resource("pods", "podmetrics", "metrics.k8s.io", "v1beta1")
_PERIOD_SECONDS, _FAILURES = 10, 3  # what Kubernetes takes where a probe does not say


@dataclass(frozen=True, slots=True)
class Dumped:
    """A running container, as its pod's manifest has it. alone: no other pod of the service is ready."""

    pod: Object
    spec: Object
    alone: bool

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.pod["metadata"]["name"])

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return str(self.pod["metadata"]["uid"])

    @property
    def container(self) -> str:
        """The container's name."""
        return str(self.spec["name"])

    @property
    def instance(self) -> str:
        """Which run of the container it is: a restarted one is another."""
        statuses = (self.pod.get("status") or {}).get("containerStatuses") or ()
        return next((str(one.get("containerID") or "") for one in statuses if one.get("name") == self.container), "")

    def limit_bytes(self, resource: str) -> float | None:
        """Its limit of `memory` or `ephemeral-storage`; None when it has none."""
        return amount(((self.spec.get("resources") or {}).get("limits") or {}).get(resource))

    def probe_seconds(self, probe: str) -> float | None:
        """For how long a `livenessProbe` or `readinessProbe` may fail before the cluster acts; None without one."""
        found = self.spec.get(probe)
        if not found:
            return None
        return float(found.get("periodSeconds") or _PERIOD_SECONDS) * float(found.get("failureThreshold") or _FAILURES)

    def volume_bytes(self, path: str) -> float | None:
        """The size limit of the emptyDir that a path of the container lies in; None when there is none."""
        mounts = [one for one in self.spec.get("volumeMounts") or () if _below(path, str(one["mountPath"]))]
        if not mounts:
            return None
        name = max(mounts, key=lambda one: len(str(one["mountPath"])))["name"]
        volumes = [one for one in self.pod["spec"].get("volumes") or () if one.get("name") == name]
        return amount((volumes[0].get("emptyDir") or {}).get("sizeLimit")) if volumes else None

    def scratch(self) -> list[str]:
        """Where it has an emptyDir of its own on the disk: the best place for a large file."""
        disks = {one["name"] for one in self.pod["spec"].get("volumes") or () if _on_disk(one.get("emptyDir"))}
        mounts = self.spec.get("volumeMounts") or ()
        return [str(one["mountPath"]) for one in mounts if one["name"] in disks and not one.get("readOnly")]


def _on_disk(volume: Object | None) -> bool:
    return volume is not None and volume.get("medium") != "Memory"


def chosen(context: ActionContext, cluster: Operator, pod: str | None) -> Dumped | Refusal:
    """The pod of this name; else the first that a confirmed cause names, the one that is fullest; else the one that uses most."""
    application = context.service.components.application
    running = [one for one in cluster.list(PODS, application.selector) if _runs(one)]
    named = {str(one["metadata"]["name"]): one for one in running}
    if pod is not None and pod not in named:
        try:
            found = cluster.get(PODS, pod)
        except SourceMissingObject:
            found = None
        if found is None or not _runs(found):
            mend = f"there are: {', '.join(sorted(named)) or 'none'}"
            return Refusal(by="target", reason=f"no pod/{pod} runs in namespace {context.namespace}", mend=mend)
        named[pod] = found
    name = pod or _blamed(context, named) or _fullest(cluster, named)
    if name is None:
        return Refusal(by="target", reason=f"no pod of {application.selector} runs", mend="wait until one does")
    wanted = application_container(context, named[name])
    spec = _container(named[name], wanted)
    if spec is None:
        mend = "correct components.application.container of the service file"
        return Refusal(by="target", reason=f"pod/{name} has no container {wanted}", mend=mend)
    others = [one for one in running if is_ready(one) and one["metadata"]["name"] != name]
    return Dumped(named[name], spec, alone=is_ready(named[name]) and not others)


def _runs(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running" and not is_leaving(pod)


def _blamed(context: ActionContext, running: Mapping[str, Object]) -> str | None:
    roots = context.diagnosis.roots if context.diagnosis else ()
    return next((pod for cause in roots for pod in cause.pods if pod in running), None)


def _fullest(cluster: Operator, running: Mapping[str, Object]) -> str | None:
    """The pod whose containers use most memory; where nobody measures it, the one that has run for longest."""
    try:
        used = {
            str(one["metadata"]["name"]): sum(amount((part.get("usage") or {}).get("memory")) or 0 for part in one["containers"])
            for one in cluster.list(_POD_METRICS)
        }
    except (SourceError, KeyError, TypeError):
        used = {}
    ranked = sorted(
        running, key=lambda name: (-used.get(name, 0.0), str((running[name].get("status") or {}).get("startTime") or ""))
    )
    return ranked[0] if ranked else None


def _container(pod: Object, name: str | None) -> Object | None:
    containers: list[Object] = list(pod["spec"].get("containers") or ())
    return next((one for one in containers if name in (None, one.get("name"))), None)


def _below(path: str, mount: str) -> bool:
    return path == mount or path.startswith(mount.rstrip("/") + "/")
