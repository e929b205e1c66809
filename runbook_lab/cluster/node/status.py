"""A pod's status, as the kubelet reports it from the states of its containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from runbook_lab.cluster.metadata import Object, timestamp


@dataclass
class ContainerState:
    """Where one container stands: exactly one of waiting, running and terminated, and how its last instance ended."""

    name: str
    image: str
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: Object = field(default_factory=dict)
    restart_count: int = 0
    started: bool = False
    ready: bool = False
    container_id: str = ""

    def wait(self, reason: str, message: str | None = None) -> None:
        """Wait, for a reason; a terminated instance becomes the last one."""
        self._retire()
        self.state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}

    def run(self, container_id: str, at: datetime) -> None:
        """Run as a new instance."""
        self._retire()
        if self.container_id:
            self.restart_count += 1
        self.container_id = container_id
        self.state = {"running": {"startedAt": timestamp(at)}}

    def end(self, terminated: Object) -> None:
        """End, in a way that `terminated` (as in the API) tells."""
        self.state = {"terminated": terminated}
        self.started = self.ready = False

    def _retire(self) -> None:
        if "terminated" in self.state:
            self.last_state = self.state
        self.started = self.ready = False

    @property
    def succeeded(self) -> bool:
        """Whether it has ended well, and for good."""
        return bool(self.state.get("terminated", {}).get("exitCode") == 0)

    def as_status(self) -> Object:
        """Give the entry of `containerStatuses`."""
        status: Object = {
            "name": self.name,
            "image": self.image,
            "imageID": f"lab/{self.image}" if self.container_id else "",
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restart_count,
            "state": self.state,
            "lastState": self.last_state,
        }
        if self.container_id:
            status["containerID"] = f"process://{self.container_id}"
        return status


def phase(states: Sequence[ContainerState], *, initialized: bool, restart_policy: str) -> str:
    """Give the pod's phase, by the kubelet's rules."""
    running = sum("running" in entry.state for entry in states)
    waiting = sum("waiting" in entry.state and not entry.last_state for entry in states)
    stopped = [entry for entry in states if "terminated" in entry.state or ("waiting" in entry.state and entry.last_state)]
    if not initialized or waiting:
        return "Pending"
    if running or (stopped and restart_policy == "Always"):
        return "Running"
    if all(entry.succeeded for entry in states):
        return "Succeeded"
    return "Failed" if restart_policy == "Never" else "Running"


def pod_status(
    pod: Object,
    states: Sequence[ContainerState],
    *,
    init_states: Sequence[ContainerState],
    ephemeral_states: Sequence[ContainerState] = (),
    addresses: Mapping[str, str],
    started: datetime,
    failed: bool,
    now: datetime,
) -> Object:
    """Give a pod's whole status; `addresses` has the IPs of pod and host, `failed` tells of an init container that gave up."""
    initialized = all(entry.succeeded for entry in init_states)
    policy = pod["spec"].get("restartPolicy", "Always")
    present = "Failed" if failed else phase(states, initialized=initialized, restart_policy=policy)
    status: Object = {
        **pod["status"],
        "phase": present,
        "startTime": timestamp(started),
        "hostIP": addresses["host"],
        "hostIPs": [{"ip": addresses["host"]}],
        "podIP": addresses["pod"],
        "podIPs": [{"ip": addresses["pod"]}],
        "containerStatuses": [entry.as_status() for entry in states],
    }
    if init_states:
        status["initContainerStatuses"] = [entry.as_status() for entry in init_states]
    if ephemeral_states:
        status["ephemeralContainerStatuses"] = [entry.as_status() for entry in ephemeral_states]
    status["conditions"] = _conditions(pod, states, init_states, present, timestamp(now))
    return status


def _conditions(
    pod: Object, states: Sequence[ContainerState], init_states: Sequence[ContainerState], present: str, now: str
) -> list[Object]:
    unready = [entry.name for entry in states if not entry.ready]
    incomplete = [entry.name for entry in init_states if not entry.succeeded]
    if present == "Succeeded":
        not_ready = {"reason": "PodCompleted"}
    else:
        not_ready = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    not_initialized = {
        "reason": "ContainersNotInitialized",
        "message": f"containers with incomplete status: [{' '.join(incomplete)}]",
    }
    wanted = {
        "PodReadyToStartContainers": (True, {}),
        "Initialized": (not incomplete, not_initialized),
        "Ready": (not unready, not_ready),
        "ContainersReady": (not unready, not_ready),
    }
    before = {entry["type"]: entry for entry in pod["status"].get("conditions") or ()}
    conditions = []
    for kind, (holds, why) in wanted.items():
        status = "True" if holds else "False"
        same = before.get(kind, {}).get("status") == status
        entry = {
            "type": kind,
            "status": status,
            "lastProbeTime": None,
            "lastTransitionTime": before[kind]["lastTransitionTime"] if same else now,
        }
        conditions.append(entry if holds else entry | why)
    return conditions + [entry for kind, entry in before.items() if kind not in wanted]
