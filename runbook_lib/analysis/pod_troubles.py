"""Why a pod is not ready, in words: what the states of the Kubernetes API mean, and what to look at next."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.analysis.pod_events import MISSING, Event, Told, by_pod, killed_by_probe, not_set_up
from runbook_lib.models.frame import Frame

__all__ = ["KINDS", "Trouble", "serving", "standing", "troubles"]

# What each kind means and what one does about it. The first sentence is told; the second is the advice of the table.
KINDS: Mapping[str, tuple[str, str]] = {
    "oom": ("it was killed for lack of memory", "see its use before the kill: a limit that is too low, or a leak"),
    "crash": ("its container ends soon after it starts", "read the last lines of the previous container"),
    "liveness": (
        "the kubelet restarts it: its liveness or startup probe fails",
        "compare the probe's timeoutSeconds, failureThreshold and initialDelaySeconds with how long an answer takes; see what it"
        " waits for",
    ),
    "command": (
        "its container cannot be started",
        "compare command, arguments, mounts and securityContext (runAsNonRoot, runAsUser) with the image",
    ),
    "image": ("its image cannot be pulled", "check the tag, the registry, and the pull secret"),
    "reference": ("a config map, secret or key that it needs is not there", "create it again, or roll back what names it"),
    "volume": (
        "a volume that it needs cannot be attached or mounted",
        "see its claim and who provides it, and which node holds the volume (kubectl get volumeattachment)",
    ),
    "sandbox": (
        "its node cannot set up its network",
        "see the network plugin's pods on that node, and whether addresses are left",
    ),
    "unschedulable": ("no node has room for it", "free resources, lower its requests, or add a node"),
    "gated": (
        "a gate keeps it from being given a node",
        "see who lifts the gate (spec.schedulingGates): often a queue or a quota",
    ),
    "evicted": (
        "its node put it out, or went away",
        "see the node's pressure on memory and disk, and whether the node was shut down, drained or taken back",
    ),
    "probe": ("it runs and fails its readiness probe", "run its readiness probe by hand from inside; see what it waits for"),
    "gate": ("its containers are ready, and a readiness gate is not met", "see who sets the gate: often a load balancer"),
    "node": ("its node does not answer", "see the node"),
    "starting": ("it is still starting", "wait for a moment; then see its events, for volumes and init containers"),
    "ended": ("its containers have ended", "see their exit codes and the last lines"),
}

# Why a pod has failed although nothing is wrong with its containers: its node shut down, made room, or would not have it any more
# (the kubelet's words), or whoever took it from there (the reason of the condition `DisruptionTarget`).
_ENDED_BY_THE_NODE = (
    "OutOf",
    "Terminated",
    "NodeShutdown",
    "Shutdown",
    "Preempting",
    "NodeAffinity",
    "NodeLost",
    "PreemptionByScheduler",
    "DeletionByTaintManager",
    "DeletionByPodGC",
    "EvictionByEvictionAPI",
    "TerminationByKubelet",
)

# By how `pod_state` writes a state (runbook_lib.sources.pods); the first that is found counts.
_BY_STATE = (
    ("unknown: the node", "node"),
    ("evicted", "evicted"),
    *((f"failed: {reason}", "evicted") for reason in _ENDED_BY_THE_NODE),
    ("pending: SchedulingGated", "gated"),
    ("pending: ", "unschedulable"),
    ("OOMKilled", "oom"),
    ("CreateContainerConfigError", "command"),
    ("ImagePull", "image"),
    ("ErrImage", "image"),
    ("InvalidImageName", "image"),
    ("CreateContainerError", "command"),
    ("RunContainerError", "command"),
    ("StartError", "command"),
    ("ContainerCannotRun", "command"),
    ("CrashLoopBackOff", "crash"),
    ("terminated: ", "crash"),
    ("waiting: init container", "crash"),
    ("failed", "ended"),
    ("succeeded", "ended"),
    ("readiness gate", "gate"),
    ("running, not ready", "probe"),
)
_ENDED = ("Succeeded", "Failed")
_RESTARTED = ("crash", "probe")  # of these the events may know who restarts it
# Of these the message tells more than the last end.
_SAID = {"reference", "image", "unschedulable", "gated", "command", "evicted", "gate", "liveness", "volume", "sandbox"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why one pod is not ready: its kind (of KINDS), the state as kubectl shows it, the cluster's own words, and its last end.

    since: when it ceased to be ready, or since when it never was (UTC; None: not known).
    """

    pod: str
    kind: str
    state: str
    message: str
    last_state: str
    restarts: int
    since: datetime | None

    @property
    def text(self) -> str:
        """A sentence without its full stop: `shop-1: its image cannot be pulled (Back-off pulling image "shop:2")`."""
        said = self.message if self.kind in _SAID else self.last_state
        return f"{self.pod}: {KINDS[self.kind][0]}" + (f" ({said})" if said else "")


def standing(pods: Frame, *, recently: datetime | None = None) -> Frame:
    """The pods of `Cluster.pods` that are no job's and have not ended: those stay in the list, while others take their place.

    recently: what ended after this moment counts as long as another pod is not ready.
    """
    if pods.empty:
        return pods
    mine = pods[~pods["owner"].str.startswith("Job/", na=False)]
    ended = mine["phase"].isin(_ENDED)
    if recently is not None and not mine.loc[~ended, "ready"].astype(bool).all():
        ended &= ~(pd.to_datetime(mine["ready_changed_at"], utc=True) >= recently)
    return Frame(mine[~ended])


def serving(pods: Frame, *, recently: datetime | None = None, lost: Collection[str] = ()) -> Frame:
    """Those that stand and are not terminating, which is meant to be so - unless their node is lost, and with it whoever would
    end them. lost: pods whose node does not answer."""
    there = standing(pods, recently=recently)
    return there if there.empty else Frame(there[(there["state"] != "terminating") | there["pod"].isin(lost)])


def troubles(pods: Frame, *, recently: datetime, lost: Collection[str] = (), events: Frame | None = None) -> list[Trouble]:
    """Those of the `serving` pods that are not ready, each with its reason.

    recently: a container that ended after this moment is crashing, although it runs just now. lost: as for `serving`. events: of
    `Cluster.events`; without them less is known of pods that are still starting, and of who ends a container.
    """
    said = by_pod(events)
    return [_trouble(pod, recently, lost, said.get(pod["pod"], ())) for pod in pods.to_dict("records") if not pod["ready"]]


def _trouble(pod: Mapping[Any, Any], recently: datetime, lost: Collection[str], events: Sequence[Event]) -> Trouble:
    kind = "node" if pod["pod"] in lost else _kind(pod, recently)
    told = _told(kind, pod, recently, events)
    since = _moment(pod["ready_changed_at"]) or _moment(pod["started_at"])
    return Trouble(
        pod=str(pod["pod"]),
        kind=told.kind if told else kind,
        state=str(pod["state"]),
        message=told.message if told else " ".join(str(pod["message"] or "").split()),
        last_state=str(pod["last_state"] or ""),
        restarts=int(pod["restarts"]),
        since=min(since or told.since, told.since) if told else since,
    )


def _told(kind: str, pod: Mapping[Any, Any], recently: datetime, events: Sequence[Event]) -> Told | None:
    """What the pod's events know better than its state."""
    if kind == "starting":
        return not_set_up(events, started=_moment(pod["started_at"]))
    if kind in _RESTARTED and int(pod["restarts"]):
        ended = _moment(pod["last_terminated_at"])
        return killed_by_probe(events, last_state=str(pod["last_state"] or ""), ended=ended, recently=recently)
    return None


def _kind(pod: Mapping[Any, Any], recently: datetime) -> str:
    kind = next((kind for words, kind in _BY_STATE if words in pod["state"]), "starting")
    if kind == "command" and MISSING.search(str(pod["message"] or "")):
        return "reference"  # the same state stands for a user that the image may not run as
    ended = _moment(pod["last_terminated_at"])
    if kind == "probe" and ended is not None and ended >= recently and int(pod["restarts"]):
        kind = "crash"  # between two crashes it runs for a moment
    return "oom" if kind == "crash" and "OOMKilled" in str(pod["last_state"]) else kind


def _moment(value: Any) -> datetime | None:
    if value is None or value != value:  # NaT is not equal to itself
        return None
    moment: datetime = value.to_pydatetime() if hasattr(value, "to_pydatetime") else value
    return moment
