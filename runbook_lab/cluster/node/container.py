"""The life of one container: pulled, configured, started, probed, restarted with growing delays, stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from runbook_lab.cluster.controllers.events import Recorder
from runbook_lab.cluster.image import Image
from runbook_lab.cluster.metadata import Object, utc_now
from runbook_lab.cluster.node.backoff import Backoff, Timing
from runbook_lab.cluster.node.environment import ConfigError, Environment, expand
from runbook_lab.cluster.node.instance import Instance, Launch, never_started
from runbook_lab.cluster.node.interface import ExecError
from runbook_lab.cluster.node.logs import LogFile
from runbook_lab.cluster.node.probes import Probe
from runbook_lab.cluster.node.processes import Register
from runbook_lab.cluster.node.status import ContainerState
from runbook_lab.cluster.quantity import parse_quantity
from runbook_lab.cluster.store import Store

_log = logging.getLogger(__name__)

_TERMINATION_LINES, _TERMINATION_BYTES = 80, 2048


@dataclass(frozen=True)
class Machine:
    """What the node gives to all its containers."""

    store: Store
    images: Mapping[str, Image]
    events: Recorder
    register: Register
    client: aiohttp.ClientSession
    timing: Timing
    environment: Callable[[Object], Mapping[str, str]]


class Container:
    """Runs one container of a pod, again and again as its restart policy says."""

    def __init__(
        self, spec: Object, *, pod: Object, ip: str, directory: Path, machine: Machine, changed: Callable[[], None]
    ) -> None:
        self.name: str = spec["name"]
        self.state = ContainerState(spec["name"], spec["image"])
        self.instance: Instance | None = None
        self.log: LogFile | None = None
        self.previous_log: LogFile | None = None
        self.spec = spec
        self._pod = pod
        self._ip = ip
        self._directory = directory
        self._machine = machine
        self._changed = changed
        self._stopping = False
        limits = (spec.get("resources") or {}).get("limits") or {}
        self.memory_limit_bytes = int(parse_quantity(limits["memory"])) if "memory" in limits else None

    async def run(self, *, restart: str) -> None:
        """Run until the container has ended for good; `restart` is Always, OnFailure or Never."""
        backoff = Backoff(self._machine.timing)
        while not self._stopping:
            await self._run_once()
            failed = not self.state.succeeded
            if self._stopping or restart == "Never" or (restart == "OnFailure" and not failed):
                return
            await self._back_off(backoff.next())

    @property
    def main_pid(self) -> int | None:
        """The pid of the running instance's first process."""
        return self.instance.pid if self.instance else None

    async def stop(self, *, grace_seconds: float) -> None:
        """Ask the container to end, and kill it when the grace is over; it is not started again."""
        self._stopping = True
        instance = self.instance
        if instance is not None:
            await self._end_within(instance, grace_seconds)

    def kill(self) -> None:
        """Kill the container at once."""
        if self.instance:
            self.instance.signal(signal.SIGKILL)

    def kill_for_memory(self) -> None:
        """Kill the container as the kernel does to one above its memory limit."""
        if self.instance:
            self.instance.out_of_memory = True
            self.kill()

    # --- one instance

    async def _run_once(self) -> None:
        launch = await self._prepared()
        self._machine.events.normal(self._pod, "Created", f"Created container: {self.name}", container=self.name)
        log = self._new_log()
        try:
            self.instance = await Instance.start(launch, log, self._machine.register)
        except ExecError as error:
            log.close()
            terminated = never_started(error, utc_now())
            self._warn("Failed", f"Error: {terminated['message']}")
            self.state.run(terminated["containerID"].partition("://")[2], utc_now())
            self._end(terminated)
            return
        self._machine.events.normal(self._pod, "Started", f"Started container {self.name}", container=self.name)
        self.state.run(self.instance.id, self.instance.started_at)
        async with self._probed(self.instance):
            terminated = await self.instance.end()
        if message := self._termination_message(terminated, log):
            terminated["message"] = message
        self.instance = None
        self._end(terminated)

    def _end(self, terminated: Object) -> None:
        self.state.end(terminated)
        self._changed()

    async def _prepared(self) -> Launch:
        """Wait until image and configuration are there, and give what to start."""
        image = await self._pulled()
        while True:
            try:
                return self._launch(image)
            except ConfigError as error:
                self.state.wait(error.reason, str(error))
                self._changed()
                self._warn("Failed", f"Error: {error}")
                await asyncio.sleep(self._machine.timing.config_retry)

    async def _pulled(self) -> Image:
        name = self.spec["image"]
        backoff = Backoff(self._machine.timing)
        while name not in self._machine.images:
            self._machine.events.normal(self._pod, "Pulling", f'Pulling image "{name}"', container=self.name)
            problem = f'rpc error: code = NotFound desc = failed to pull and unpack image "{name}": {name}: not found'
            self._warn("Failed", f'Failed to pull image "{name}": {problem}')
            await self._image_wait("ErrImagePull", problem, self._machine.timing.backoff_first)
            self._machine.events.normal(self._pod, "BackOff", f'Back-off pulling image "{name}"', container=self.name)
            await self._image_wait(
                "ImagePullBackOff", f'Back-off pulling image "{name}": ErrImagePull: {problem}', backoff.next()
            )
        message = f'Container image "{name}" already present on machine'
        self._machine.events.normal(self._pod, "Pulled", message, container=self.name)
        return self._machine.images[name]

    async def _image_wait(self, reason: str, message: str, seconds: float) -> None:
        self._warn("Failed", f"Error: {reason}")
        self.state.wait(reason, message)
        self._changed()
        await asyncio.sleep(seconds)

    def _launch(self, image: Image) -> Launch:
        variables = Environment(self._machine.store, self._pod, self.spec).resolve(image, self._machine.environment(self._pod))
        variables |= {"LAB_POD_IP": self._ip, "TMPDIR": str(self._directory)}
        entry = self.spec.get("command") or image.command
        arguments = self.spec.get("args") or ()
        # Only the manifest's words may refer to variables; an image's command is taken as it stands.
        command = tuple(expand(word, variables) if self.spec.get("command") else word for word in entry)
        workdir = Path(self.spec.get("workingDir") or image.workdir or self._directory)
        if not workdir.is_dir():
            raise ConfigError(f"working directory {workdir} does not exist on the lab's node")
        return Launch(command + tuple(expand(word, variables) for word in arguments), variables, workdir)

    def _new_log(self) -> LogFile:
        if self.previous_log:
            self.previous_log.delete()
        self.previous_log = self.log
        number = self.state.restart_count + 1 if self.state.container_id else 0
        self.log = LogFile(self._directory / self.name / f"{number}.log")
        return self.log

    def _termination_message(self, terminated: Object, log: LogFile) -> str | None:
        wanted = self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError" and terminated["exitCode"]
        return log.tail(_TERMINATION_LINES)[-_TERMINATION_BYTES:].decode(errors="replace") if wanted else None

    # --- restarts

    async def _back_off(self, seconds: float) -> None:
        if not seconds:
            return
        metadata = self._pod["metadata"]
        pod = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        self.state.wait("CrashLoopBackOff", f"back-off {seconds:g}s restarting failed container={self.name} pod={pod}")
        self._changed()
        self._warn("BackOff", f"Back-off restarting failed container {self.name} in pod {pod}")
        await asyncio.sleep(seconds)

    async def _end_within(self, instance: Instance, grace_seconds: float) -> None:
        if grace_seconds > 0:
            instance.ask_to_stop()
        try:
            await asyncio.wait_for(instance.ended.wait(), grace_seconds)
        except TimeoutError:
            instance.signal(signal.SIGKILL)
            await instance.ended.wait()

    # --- probes

    @asynccontextmanager
    async def _probed(self, instance: Instance) -> AsyncIterator[None]:
        """Probe the instance while it runs: first the startup probe, then readiness and liveness side by side."""
        self.state.started = "startupProbe" not in self.spec
        self.state.ready = self.state.started and "readinessProbe" not in self.spec
        self._changed()
        probing = asyncio.create_task(self._probe(instance))
        try:
            yield
        finally:
            probing.cancel()
            [problem] = await asyncio.gather(probing, return_exceptions=True)
            if isinstance(problem, Exception):
                _log.error("the probes of %s/%s stopped", self._pod["metadata"]["name"], self.name, exc_info=problem)

    async def _probe(self, instance: Instance) -> None:
        if spec := self.spec.get("startupProbe"):
            await self._wait_for_start(spec, instance)
            self.state.started = True
            self.state.ready = "readinessProbe" not in self.spec
            self._changed()
        async with asyncio.TaskGroup() as tasks:
            if spec := self.spec.get("readinessProbe"):
                tasks.create_task(self._watch("Readiness", spec, instance, self._set_ready))
            if spec := self.spec.get("livenessProbe"):
                killer = _Once(lambda: tasks.create_task(self._restart(spec, instance, "liveness")))
                tasks.create_task(self._watch("Liveness", spec, instance, lambda healthy: None if healthy else killer()))

    async def _wait_for_start(self, spec: Object, instance: Instance) -> None:
        decision: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def decide(healthy: bool) -> None:
            if not decision.done():
                decision.set_result(healthy)

        watching = asyncio.create_task(self._watch("Startup", spec, instance, decide))
        try:
            started = await decision
        finally:
            watching.cancel()
        if not started:
            await self._restart(spec, instance, "startup")

    async def _watch(self, kind: str, spec: Object, instance: Instance, decided: Callable[[bool], None]) -> None:
        def failed(why: str) -> None:
            self._warn("Unhealthy", f"{kind} probe failed: {why}")

        probe = Probe(spec, pod=self._pod, ip=self._ip, client=self._machine.client, execute=instance.run)
        await probe.watch(decided=decided, failed=failed)

    def _set_ready(self, ready: bool) -> None:
        if self.state.ready != ready:
            self.state.ready = ready
            self._changed()

    async def _restart(self, spec: Object, instance: Instance, probe: str) -> None:
        message = f"Container {self.name} failed {probe} probe, will be restarted"
        self._machine.events.normal(self._pod, "Killing", message, container=self.name)
        grace = spec.get("terminationGracePeriodSeconds", self._pod["spec"].get("terminationGracePeriodSeconds", 30))
        await self._end_within(instance, float(grace))

    def _warn(self, reason: str, message: str) -> None:
        self._machine.events.warning(self._pod, reason, message, container=self.name)


class _Once:
    """Calls something the first time only: a container is killed once, however often its probe fails meanwhile."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action: Callable[[], object] | None = action

    def __call__(self) -> None:
        if self._action:
            action, self._action = self._action, None
            action()
