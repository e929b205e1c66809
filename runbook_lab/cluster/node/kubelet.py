"""The kubelet: follows the pods that are bound to the node, and runs them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import aiohttp

from runbook_lab.cluster.controllers.events import Recorder
from runbook_lab.cluster.following import follow
from runbook_lab.cluster.image import Image
from runbook_lab.cluster.metadata import Object, is_terminating
from runbook_lab.cluster.node import logs as log_files
from runbook_lab.cluster.node.attaching import Attachment
from runbook_lab.cluster.node.backoff import Timing
from runbook_lab.cluster.node.child import Child
from runbook_lab.cluster.node.container import Container, Machine
from runbook_lab.cluster.node.cpu_limit import Account, CpuLimits
from runbook_lab.cluster.node.gate import Gate
from runbook_lab.cluster.node.instance import Instance
from runbook_lab.cluster.node.interface import ContainerNotFoundError, NodeError, PodUsage
from runbook_lab.cluster.node.logs import LogFile
from runbook_lab.cluster.node.network import NetworkExhaustedError, PodNetwork
from runbook_lab.cluster.node.node_object import NODE_NAME, beat, create_node
from runbook_lab.cluster.node.pod import PodWorker
from runbook_lab.cluster.node.processes import Register, Sample
from runbook_lab.cluster.node.sampler import Reading, Sampler
from runbook_lab.cluster.store import NotFound, Store

_log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 10.0
_RETRY_SECONDS = 1.0


class Kubelet:
    """Runs pods as processes, and answers for them: logs, commands in containers, usage (see `node.interface.Node`)."""

    def __init__(
        self,
        store: Store,
        *,
        images: Mapping[str, Image],
        network: PodNetwork,
        directory: Path,
        environment: Callable[[Object], Mapping[str, str]],
        gate: Gate,
        timing: Timing | None = None,
    ) -> None:
        self._store = store
        self._images = images
        self._network = network
        self._directory = directory
        self._environment = environment
        self._timing = timing or Timing()
        self.gate = gate
        gate.on_failure = self._warn_of_network
        self._events = Recorder(store, "kubelet", host=NODE_NAME)
        # What the kernel does to a container is told by the node problem detector, as an event of the node.
        self._kernel_events = Recorder(store, "kernel-monitor", host=NODE_NAME)
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.cpu_limits = CpuLimits()
        self.sampler = Sampler(
            self._all_containers,
            every=self._timing.sample_every,
            over_limit=self._kill_for_memory,
            seen=self.cpu_limits.learn,
        )

    async def run(self) -> None:
        """Run the node until cancelled; then end every pod's processes."""
        create_node(self._store, ip=self._network.node_ip)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as client:
            machine = Machine(
                self._store,
                self._images,
                self._events,
                Register(self._directory / "processes"),
                self.gate,
                client,
                self._timing,
                self._environment,
            )
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._follow(machine))
                    tasks.create_task(self.sampler.run())
                    tasks.create_task(self.cpu_limits.run())
                    tasks.create_task(self._beat())
            finally:
                await self._end_all()
                self.gate.close()

    # --- pods

    async def _follow(self, machine: Machine) -> None:
        async for change, pod in follow(self._store, "pods"):
            if pod["spec"].get("nodeName") != NODE_NAME:
                continue
            try:
                self._take_notice(change, pod, machine)
            except Exception as error:
                # One pod that makes no sense must not end the others.
                _log.exception("pod %s/%s: the node cannot run it", pod["metadata"]["namespace"], pod["metadata"]["name"])
                self._events.warning(pod, "FailedSync", f"error determining status: {error}")

    def _take_notice(self, change: str, pod: Object, machine: Machine) -> None:
        uid = pod["metadata"]["uid"]
        if change == "DELETED":
            if uid in self._workers:
                self._workers[uid].end(grace_seconds=0)
            return
        if uid not in self._workers:
            # What is told here may be the last words of a pod that is gone by now.
            present = self._present(pod["metadata"])
            if present is None or not self._start(present, machine):
                return
        self._workers[uid].follow(pod)
        if is_terminating(pod):
            self._workers[uid].end(grace_seconds=pod["metadata"].get("deletionGracePeriodSeconds", 0))

    def _start(self, pod: Object, machine: Machine) -> bool:
        """Give a pod its worker; without an address for it, say so and try again later."""
        metadata = pod["metadata"]
        directory = self._directory / "pods" / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"
        try:
            worker = PodWorker(pod, machine=machine, network=self._network, directory=directory)
        except NetworkExhaustedError as error:
            self._events.warning(pod, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._look_again, pod, machine)
            return False
        self._workers[metadata["uid"]] = worker
        self._tasks[metadata["uid"]] = asyncio.create_task(self._work(worker))
        return True

    def _look_again(self, pod: Object, machine: Machine) -> None:
        if present := self._present(pod["metadata"]):
            self._take_notice("MODIFIED", present, machine)

    def _present(self, metadata: Object) -> Object | None:
        """Give the pod of this name and uid as the store has it."""
        try:
            pod = self._store.get("pods", metadata["name"], namespace=metadata["namespace"])
        except NotFound:
            return None
        return pod if pod["metadata"]["uid"] == metadata["uid"] else None

    async def _work(self, worker: PodWorker) -> None:
        metadata = worker.pod["metadata"]
        try:
            await worker.run()
        except Exception:
            _log.exception("pod %s/%s: the node gave it up", metadata["namespace"], metadata["name"])
        finally:
            self._workers.pop(metadata["uid"], None)
            self._tasks.pop(metadata["uid"], None)
        if self._present(metadata):
            self._store.remove("pods", metadata["name"], namespace=metadata["namespace"])

    async def _end_all(self) -> None:
        tasks = list(self._tasks.values())
        for worker in list(self._workers.values()):
            worker.end(grace_seconds=self._timing.stop_grace)
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- the node itself

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            beat(self._store)

    def _warn_of_network(self, message: str) -> None:
        _log.warning("%s", message)
        self._events.warning(self._store.get("nodes", NODE_NAME), "NetworkNotEnforced", message)

    def _all_containers(self) -> Iterator[Container]:
        for worker in self._workers.values():
            yield from worker.all_containers

    def _kill_for_memory(self, container: Container, sample: Sample) -> None:
        killed = f"Killed process {container.main_pid} ({container.name}), anon-rss:{sample.memory_bytes // 1024}kB"
        message = f"Memory cgroup out of memory: {killed}"
        self._kernel_events.warning(self._store.get("nodes", NODE_NAME), "OOMKilling", message)
        container.kill_for_memory()

    # --- what the API asks

    def readings(self) -> Iterator[tuple[PodWorker, Container, Reading]]:
        """Give the last reading of every running container."""
        for worker in list(self._workers.values()):
            for container in worker.containers:
                if reading := self.sampler.reading(container):
                    yield worker, container, reading

    def throttling(self, container: Container) -> Account | None:
        """Give how often a running container was held back by its limit on processor time; None without one."""
        return self.cpu_limits.account(container.instance) if container.instance else None

    def usage(self, namespace: str | None = None) -> list[PodUsage]:
        """Give the last sample of each running pod (of one namespace, or of all)."""
        pods: dict[str, PodUsage] = {}
        for worker, container, reading in self.readings():
            metadata = worker.pod["metadata"]
            if namespace not in (None, metadata["namespace"]):
                continue
            before = pods[metadata["uid"]].containers if metadata["uid"] in pods else {}
            pods[metadata["uid"]] = PodUsage(
                pod=metadata["name"],
                namespace=metadata["namespace"],
                labels=metadata.get("labels") or {},
                containers={**before, container.name: reading.usage},
                at=reading.at,
                window_seconds=reading.window_seconds,
            )
        return list(pods.values())

    async def exec(
        self, namespace: str, pod: str, container: str, command: Sequence[str], *, stdin: bool = True, tty: bool = False
    ) -> Child:
        """Start a command in a running container (see the protocol)."""
        return await self._instance(namespace, pod, container).execute(command, stdin=stdin, tty=tty)

    async def attach(self, namespace: str, pod: str, container: str, *, stdin: bool = False) -> Attachment:
        """Join the streams of a running container (see the protocol)."""
        return self._instance(namespace, pod, container).attach(stdin=stdin)

    async def dial(self, namespace: str, pod: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a port of a pod (see the protocol)."""
        for worker in self._workers.values():
            if (worker.pod["metadata"]["namespace"], worker.pod["metadata"]["name"]) == (namespace, pod):
                return await asyncio.open_connection(worker.ip, port)
        raise ContainerNotFoundError(f'pod "{pod}" does not run on node {NODE_NAME}')

    def _instance(self, namespace: str, pod: str, container: str) -> Instance:
        instance = self._container(namespace, pod, container).instance
        if instance is None:
            raise NodeError(f'container "{container}" in pod "{pod}" is not running')
        return instance

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool = False,
        follow: bool = False,
        tail_lines: int | None = None,
        since: datetime | None = None,
        timestamps: bool = False,
        limit_bytes: int | None = None,
    ) -> AsyncIterator[bytes]:
        """Give a container's output (see the protocol)."""
        log = self._log_of(self._container(namespace, pod, container), pod, previous=previous)
        chunks = log_files.read(
            log, follow=follow, tail_lines=tail_lines, since=since, timestamps=timestamps, limit_bytes=limit_bytes
        )
        async for chunk in chunks:
            yield chunk

    def _log_of(self, container: Container, pod: str, *, previous: bool) -> LogFile:
        if previous:
            # Between two instances the one that has just ended is the previous one.
            log = container.previous_log if container.instance or "terminated" in container.state.state else container.log
            if log is None or not (container.state.restart_count or container.state.last_state):
                raise NodeError(f'previous terminated container "{container.name}" in pod "{pod}" not found')
            return log
        if container.log is None:
            reason = container.state.state.get("waiting", {}).get("reason", "ContainerCreating")
            raise NodeError(f'container "{container.name}" in pod "{pod}" is waiting to start: {reason}')
        return container.log

    def _container(self, namespace: str, pod: str, name: str) -> Container:
        for worker in self._workers.values():
            metadata = worker.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, pod):
                if container := worker.container(name):
                    return container
                raise ContainerNotFoundError(f"container {name} is not valid for pod {pod}")
        raise ContainerNotFoundError(f'pod "{pod}" does not run on node {NODE_NAME}')
