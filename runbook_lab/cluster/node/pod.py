"""The life of one pod on the node: an address, its containers, its status, and its orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from pathlib import Path

from runbook_lab.cluster.metadata import Object, utc_now
from runbook_lab.cluster.node.container import Container, Machine
from runbook_lab.cluster.node.network import PodNetwork
from runbook_lab.cluster.node.status import pod_status
from runbook_lab.cluster.store import NotFound

_log = logging.getLogger(__name__)

# Volumes would have to appear at absolute paths, which only a mount namespace of its own gives to a process.
_UNMOUNTABLE = 'MountVolume.SetUp failed for volume "{}" : the lab\'s node mounts no volumes'


class PodWorker:
    """Runs one pod from its binding to the node until it is removed."""

    def __init__(self, pod: Object, *, machine: Machine, network: PodNetwork, directory: Path) -> None:
        self.pod = pod
        self.ip = network.take_pod_ip()
        self._machine = machine
        self._network = network
        self._directory = directory
        self._started_at = utc_now()
        self._failed = False
        self._ending = False
        self._grace: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        directory.mkdir(parents=True, exist_ok=True)
        self.init_containers = self._containers("initContainers")
        self.containers = self._containers("containers")
        self.ephemeral_containers: list[Container] = []
        self._visits: set[asyncio.Task[None]] = set()

    @property
    def all_containers(self) -> tuple[Container, ...]:
        """All containers, those that came later included."""
        return (*self.containers, *self.init_containers, *self.ephemeral_containers)

    def follow(self, pod: Object) -> None:
        """Take the pod as it is now, and start the ephemeral containers that were added to it."""
        self.pod = pod
        known = {container.name for container in self.ephemeral_containers}
        for container in self._containers("ephemeralContainers"):
            if container.name not in known and not self._ending:
                self.ephemeral_containers.append(container)
                visit = asyncio.create_task(container.run(restart="Never"))
                self._visits.add(visit)
                visit.add_done_callback(self._visits.discard)

    def container(self, name: str) -> Container | None:
        """Give a container by its name."""
        return next((entry for entry in self.all_containers if entry.name == name), None)

    async def run(self) -> None:
        """Run the containers until the pod's end is asked for; then end them, clean up, and take the pod out of the store."""
        life = asyncio.create_task(self._live())
        life.add_done_callback(self._report_failure)
        try:
            grace_seconds = await self._grace
            await self._end(life, grace_seconds)
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            self._network.give_back(self.ip)
            shutil.rmtree(self._directory, ignore_errors=True)

    def end(self, *, grace_seconds: float) -> None:
        """Ask for the pod's end; what is asked a second time is heard only when it leaves less time."""
        if not self._grace.done():
            self._grace.set_result(grace_seconds)
        elif self._ending and grace_seconds == 0:
            for container in self.containers:
                container.kill()

    # --- inside

    def _report_failure(self, life: asyncio.Task[None]) -> None:
        if not life.cancelled() and (error := life.exception()):
            _log.error("pod %s: its containers are no longer looked after", self.pod["metadata"]["name"], exc_info=error)

    def _containers(self, field: str) -> list[Container]:
        return [
            Container(spec, pod=self.pod, ip=self.ip, directory=self._directory, machine=self._machine, changed=self._publish)
            for spec in self.pod["spec"].get(field) or ()
        ]

    async def _live(self) -> None:
        self._publish()
        if self._refuses_volumes():
            return
        policy = self.pod["spec"].get("restartPolicy", "Always")
        for container in self.init_containers:
            await container.run(restart="Never" if policy == "Never" else "OnFailure")
            if not container.state.succeeded:
                self._failed = True
                self._publish()
                return
        await asyncio.gather(*(container.run(restart=policy) for container in self.containers))

    def _refuses_volumes(self) -> bool:
        """Say why a pod with volumes never starts, rather than start it without them."""
        volumes = self.pod["spec"].get("volumes") or ()
        for volume in volumes:
            self._machine.events.warning(self.pod, "FailedMount", _UNMOUNTABLE.format(volume["name"]))
        return bool(volumes)

    async def _end(self, life: asyncio.Task[None], grace_seconds: float) -> None:
        self._ending = True
        running = [entry for entry in self.all_containers if entry.instance]
        for container in running:
            self._machine.events.normal(self.pod, "Killing", f"Stopping container {container.name}", container=container.name)
        await asyncio.gather(*(container.stop(grace_seconds=grace_seconds) for container in running))
        for task in (life, *self._visits):
            task.cancel()
        await asyncio.gather(life, *self._visits, return_exceptions=True)
        self._publish()

    def _publish(self) -> None:
        """Write the status, when the pod is still there and still this one."""
        metadata = self.pod["metadata"]
        store = self._machine.store
        with contextlib.suppress(NotFound):
            present = store.get("pods", metadata["name"], namespace=metadata["namespace"])
            if present["metadata"]["uid"] != metadata["uid"]:
                return
            present["status"] = pod_status(
                present,
                [entry.state for entry in self.containers],
                init_states=[entry.state for entry in self.init_containers],
                ephemeral_states=[entry.state for entry in self.ephemeral_containers],
                addresses={"pod": self.ip, "host": self._network.node_ip},
                started=self._started_at,
                failed=self._failed,
                now=utc_now(),
            )
            store.update("pods", present, subresource="status", manager="kubelet")
