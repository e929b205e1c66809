"""Probes at work: what they say decides whether a container counts as started and ready, and whether it is restarted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from runbook_lab.cluster.metadata import Object
from runbook_lab.cluster.node.instance import Instance
from runbook_lab.cluster.node.probes import Probe
from runbook_lab.cluster.node.status import ContainerState

_log = logging.getLogger(__name__)


class Probing:
    """The probes of one container: first the startup probe, then readiness and liveness side by side.

    `aim` makes a probe of its manifest, `changed` is told of a new state, `unhealthy` of each failure in words, and `restart`
    ends an instance that a probe has given up.
    """

    def __init__(
        self,
        container: Object,
        state: ContainerState,
        *,
        aim: Callable[[Object, Instance], Probe],
        changed: Callable[[], None],
        unhealthy: Callable[[str], None],
        restart: Callable[[Object, Instance, str], Awaitable[None]],
    ) -> None:
        self._container = container
        self._state = state
        self._aim = aim
        self._changed = changed
        self._unhealthy = unhealthy
        self._restart = restart

    @asynccontextmanager
    async def of(self, instance: Instance) -> AsyncIterator[None]:
        """Probe an instance for as long as the context lasts."""
        self._state.started = "startupProbe" not in self._container
        self._state.ready = self._state.started and "readinessProbe" not in self._container
        self._changed()
        probing = asyncio.create_task(self._probe(instance))
        try:
            yield
        finally:
            probing.cancel()
            [problem] = await asyncio.gather(probing, return_exceptions=True)
            if isinstance(problem, Exception):
                _log.error("the probes of container %s stopped", self._state.name, exc_info=problem)

    async def _probe(self, instance: Instance) -> None:
        if spec := self._container.get("startupProbe"):
            if not await self._starts(spec, instance):
                await self._restart(spec, instance, "startup")
                return
            self._state.started = True
            self._state.ready = "readinessProbe" not in self._container
            self._changed()
        async with asyncio.TaskGroup() as tasks:
            if spec := self._container.get("readinessProbe"):
                tasks.create_task(self._watch("Readiness", spec, instance, self._set_ready))
            if spec := self._container.get("livenessProbe"):
                tasks.create_task(self._keep_alive(spec, instance))

    async def _starts(self, spec: Object, instance: Instance) -> bool:
        return await self._first_decision("Startup", spec, instance, lambda _: True)

    async def _keep_alive(self, spec: Object, instance: Instance) -> None:
        await self._first_decision("Liveness", spec, instance, lambda healthy: not healthy)
        await self._restart(spec, instance, "liveness")

    async def _first_decision(self, kind: str, spec: Object, instance: Instance, counts: Callable[[bool], bool]) -> bool:
        """Probe until a threshold is reached in a way that counts, and give that decision."""
        decision: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def decided(healthy: bool) -> None:
            if counts(healthy) and not decision.done():
                decision.set_result(healthy)

        watching = asyncio.create_task(self._watch(kind, spec, instance, decided))
        try:
            return await decision
        finally:
            watching.cancel()

    async def _watch(self, kind: str, spec: Object, instance: Instance, decided: Callable[[bool], None]) -> None:
        def failed(why: str) -> None:
            self._unhealthy(f"{kind} probe failed: {why}")

        await self._aim(spec, instance).watch(decided=decided, failed=failed)

    def _set_ready(self, ready: bool) -> None:
        if self._state.ready != ready:
            self._state.ready = ready
            self._changed()
