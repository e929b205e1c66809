"""The life of one container: pulled, configured, started, probed, restarted with growing delays, stopped."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from runbook_lab.cluster.controllers.events import Recorder
from runbook_lab.cluster.image import Image, familiar_name
from runbook_lab.cluster.metadata import Object, utc_now
from runbook_lab.cluster.node.backoff import Backoff, Timing
from runbook_lab.cluster.node.child import Launch
from runbook_lab.cluster.node.environment import ConfigError, Environment, expand
from runbook_lab.cluster.node.gate import Gate
from runbook_lab.cluster.node.hooks import run_hook
from runbook_lab.cluster.node.instance import Instance, never_started
from runbook_lab.cluster.node.interface import ExecError
from runbook_lab.cluster.node.logs import LogFile
from runbook_lab.cluster.node.probes import Probe
from runbook_lab.cluster.node.probing import Probing
from runbook_lab.cluster.node.processes import Register
from runbook_lab.cluster.node.status import ContainerState
from runbook_lab.cluster.quantity import parse_quantity
from runbook_lab.cluster.store import Store

# What a kubelet gives a process at least, when a preStop hook has used up the grace period.
_LAST_SECONDS = 2.0
_TERMINATION_LINES, _TERMINATION_BYTES = 80, 2048


@dataclass(frozen=True)
class Machine:
    """What the node gives to all its containers."""

    store: Store
    images: Mapping[str, Image]
    events: Recorder
    register: Register
    gate: Gate
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
        self._probing = Probing(
            spec,
            self.state,
            aim=self._aimed,
            changed=changed,
            unhealthy=lambda words: self._warn("Unhealthy", words),
            restart=self._restart,
        )
        limits = (spec.get("resources") or {}).get("limits") or {}
        self.cpu_limit_cores = float(parse_quantity(limits["cpu"])) if "cpu" in limits else None
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
            await self._end(instance, grace_seconds)

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
            self.instance = await Instance.start(launch, log, self._machine.register, self._machine.gate, streams=self.spec)
        except ExecError as error:
            log.close()
            terminated = never_started(error, utc_now())
            self._warn("Failed", f"Error: {terminated['message']}")
            self.state.run(terminated["containerID"].partition("://")[2], utc_now())
            self._record_end(terminated)
            return
        self._machine.events.normal(self._pod, "Started", f"Started container {self.name}", container=self.name)
        self.state.run(self.instance.id, self.instance.started_at)
        await self._see_through(self.instance, log)

    async def _see_through(self, instance: Instance, log: LogFile) -> None:
        """Probe an instance until it ends, and record how."""
        try:
            async with self._probing.of(instance), self._started(instance):
                terminated = await instance.end()
            if message := self._termination_message(terminated, log):
                terminated["message"] = message
            self.instance = None
            self._record_end(terminated)
        finally:
            # Only now: whoever waits for the end may take the container away, and its last state must be told before that.
            instance.ended.set()

    def _record_end(self, terminated: Object) -> None:
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
        while familiar_name(name) not in self._machine.images:
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
        return self._machine.images[familiar_name(name)]

    async def _image_wait(self, reason: str, message: str, seconds: float) -> None:
        self._warn("Failed", f"Error: {reason}")
        self.state.wait(reason, message)
        self._changed()
        await asyncio.sleep(seconds)

    def _launch(self, image: Image) -> Launch:
        variables = Environment(self._machine.store, self._pod, self.spec).resolve(image, self._machine.environment(self._pod))
        variables |= {"LAB_POD_IP": self._ip, "TMPDIR": str(self._directory)}
        entry = self.spec.get("command") or image.command
        arguments = self.spec.get("args") or (() if self.spec.get("command") else image.arguments)
        # Only the manifest's words may refer to variables; an image's command is taken as it stands.
        command = tuple(expand(word, variables) if self.spec.get("command") else word for word in entry)
        workdir = Path(self.spec.get("workingDir") or image.workdir or self._directory)
        if not workdir.is_dir():
            raise ConfigError(f"working directory {workdir} does not exist on the lab's node")
        command += tuple(expand(word, variables) for word in arguments)
        return Launch(command, variables, workdir, self._ip, image.stop_signal)

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

    async def _end(self, instance: Instance, grace_seconds: float) -> None:
        """Run the `preStop` hook and end the instance, both within the grace."""
        began = time.monotonic()
        await self._before_stop(instance, grace_seconds)
        left = grace_seconds - (time.monotonic() - began)
        # However long the hook took, the process itself is asked and gets a moment.
        await self._end_within(instance, max(left, min(grace_seconds, _LAST_SECONDS)))

    async def _end_within(self, instance: Instance, grace_seconds: float) -> None:
        if grace_seconds > 0:
            instance.ask_to_stop()
        try:
            async with asyncio.timeout(grace_seconds):
                await instance.ended.wait()
        except TimeoutError:
            instance.signal(signal.SIGKILL)
            await instance.ended.wait()

    # --- hooks

    @asynccontextmanager
    async def _started(self, instance: Instance) -> AsyncIterator[None]:
        """Run the `postStart` hook beside the instance; a failure ends the instance."""
        hook = (self.spec.get("lifecycle") or {}).get("postStart")
        running = asyncio.create_task(self._after_start(hook, instance)) if hook else None
        try:
            yield
        finally:
            if running:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def _after_start(self, hook: Object, instance: Instance) -> None:
        if failure := await self._hook(hook, instance):
            self._warn("FailedPostStartHook", f"PostStartHook failed: {failure}")
            await self._end(instance, float(self._pod["spec"].get("terminationGracePeriodSeconds", 30)))

    async def _before_stop(self, instance: Instance, grace_seconds: float) -> None:
        hook = (self.spec.get("lifecycle") or {}).get("preStop")
        if not hook or grace_seconds <= 0:
            return
        try:
            async with asyncio.timeout(grace_seconds):
                failure = await self._hook(hook, instance)
        except TimeoutError:
            failure = f"did not end within {grace_seconds:g} s"
        if failure:
            self._warn("FailedPreStopHook", f"PreStopHook failed: {failure}")

    async def _hook(self, hook: Object, instance: Instance) -> str | None:
        return await run_hook(hook, instance=instance, pod=self._pod, ip=self._ip, client=self._machine.client)

    # --- probes

    def _aimed(self, spec: Object, instance: Instance) -> Probe:
        return Probe(spec, pod=self._pod, ip=self._ip, client=self._machine.client, execute=instance.run)

    async def _restart(self, spec: Object, instance: Instance, probe: str) -> None:
        message = f"Container {self.name} failed {probe} probe, will be restarted"
        self._machine.events.normal(self._pod, "Killing", message, container=self.name)
        grace = spec.get("terminationGracePeriodSeconds", self._pod["spec"].get("terminationGracePeriodSeconds", 30))
        await self._end(instance, float(grace))

    def _warn(self, reason: str, message: str) -> None:
        self._machine.events.warning(self._pod, reason, message, container=self.name)
