"""Probes: is the container started, alive, ready for traffic?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from runbook_lab.cluster.controllers.endpoints import target_port
from runbook_lab.cluster.metadata import Object

# Runs a command in the container, and gives its exit code and output.
Execute = Callable[[list[str]], Awaitable[tuple[int, str]]]


@dataclass(frozen=True)
class Verdict:
    """What a probe found: healthy or not, and the words for the event."""

    healthy: bool
    output: str = ""


class Probe:
    """One probe of a manifest, aimed at a pod's address."""

    def __init__(self, spec: Object, *, pod: Object, ip: str, client: aiohttp.ClientSession, execute: Execute) -> None:
        self._spec = spec
        self._pod = pod
        self._ip = ip
        self._client = client
        self._execute = execute
        self.initial_delay = float(spec.get("initialDelaySeconds", 0))
        self.period = float(spec.get("periodSeconds", 10))
        self.failures = int(spec.get("failureThreshold", 3))
        self.successes = int(spec.get("successThreshold", 1))
        self._timeout = float(spec.get("timeoutSeconds", 1))

    async def watch(self, decided: Callable[[bool], None], failed: Callable[[str], None]) -> None:
        """Probe without end: `decided` is told whenever a threshold is reached, `failed` of each single failure."""
        await asyncio.sleep(self.initial_delay)
        run, last = 0, None
        while True:
            verdict = await self.once()
            run = run + 1 if verdict.healthy is last else 1
            last = verdict.healthy
            if not verdict.healthy:
                failed(verdict.output)
            if run >= (self.successes if verdict.healthy else self.failures):
                decided(verdict.healthy)
            await asyncio.sleep(self.period)

    async def once(self) -> Verdict:
        """Probe once."""
        for kind, check in (("httpGet", self._http_get), ("tcpSocket", self._tcp_socket), ("exec", self._exec)):
            if action := self._spec.get(kind):
                try:
                    # Not wait_for: before Python 3.12 it can swallow a cancellation, and the probe of an ended pod goes on.
                    async with asyncio.timeout(self._timeout):
                        return await check(action)
                except TimeoutError:
                    return Verdict(False, self._late(kind, action))
        return Verdict(False, "the lab's node knows the probes httpGet, tcpSocket and exec only")

    def _late(self, kind: str, action: Object) -> str:
        if kind == "httpGet":
            return f'Get "{self._url(action)}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        if kind == "tcpSocket":
            return f"dial tcp {self._ip}:{self._port(action['port'])}: i/o timeout"
        return f"command timed out: {' '.join(action['command'])!r} timed out after {self._timeout:g}s"

    async def _http_get(self, action: Object) -> Verdict:
        headers = {entry["name"]: entry["value"] for entry in action.get("httpHeaders") or ()}
        url = self._url(action)
        try:
            async with self._client.get(url, headers=headers, allow_redirects=False, ssl=False) as answer:
                await answer.read()
                healthy = 200 <= answer.status < 400
                return Verdict(healthy, "" if healthy else f"HTTP probe failed with statuscode: {answer.status}")
        except aiohttp.ClientConnectorError:
            return Verdict(False, f'Get "{url}": {self._refused(action)}')
        except aiohttp.ClientError as error:
            return Verdict(False, f'Get "{url}": {str(error) or "EOF"}')

    async def _tcp_socket(self, action: Object) -> Verdict:
        try:
            _, writer = await asyncio.open_connection(action.get("host") or self._ip, self._port(action["port"]))
        except OSError:
            return Verdict(False, self._refused(action))
        writer.close()
        return Verdict(True)

    async def _exec(self, action: Object) -> Verdict:
        code, output = await self._execute(list(action["command"]))
        return Verdict(code == 0, output)

    def _refused(self, action: Object) -> str:
        return f"dial tcp {self._ip}:{self._port(action['port'])}: connect: connection refused"

    def _url(self, action: Object) -> str:
        scheme = action.get("scheme", "HTTP").lower()
        return f"{scheme}://{action.get('host') or self._ip}:{self._port(action['port'])}{action.get('path') or '/'}"

    def _port(self, port: Any) -> int:
        return target_port(port, self._pod) or 0
