"""One connection through a service: passed on, late where a link is slow, and not at all while a policy denies it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from runbook_lab.cluster.node.traffic import Traffic

_BUFFER_BYTES = 65536
_LEAST_SECONDS = 1e-6  # between two pieces that are late: due at the same time they could change places

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Passage:
    """A connection from an address to a pod's port."""

    traffic: Traffic
    source: str
    target: str
    port: int

    async def opens(self) -> None:
        """Wait until policies let the connection pass, and for as long as the pod's link takes to answer."""
        while not self.traffic.passes(self.source, self.target, self.port):
            await self.traffic.changes()
        await asyncio.sleep(self.traffic.delay_seconds(self.target))

    async def join(self, client: Streams, pod: Streams) -> None:
        """Copy both ways. Each side's end of data is passed on, and so is a connection that is cut off."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._copy(client[0], pod[1], sender=self.source))
                tasks.create_task(self._copy(pod[0], client[1], sender=self.target))
        except* OSError:
            pod[1].transport.abort()
            client[1].transport.abort()
        pod[1].close()
        client[1].close()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, sender: str) -> None:
        loop, due = asyncio.get_running_loop(), 0.0
        while data := await source.read(_BUFFER_BYTES):
            # What stood before a policy came is not cut: its packets are dropped, and sent again until they pass.
            while not self.traffic.passes(self.source, self.target, self.port):
                await self.traffic.changes()
            late, now = self.traffic.delay_seconds(sender), loop.time()
            if late or due > now:
                due = max(now + late, due + _LEAST_SECONDS)
                loop.call_at(due, target.write, data)
                continue
            target.write(data)
            await target.drain()
        if due > loop.time():
            # In the row with all that is still late: a sleep of the same length may end before the last piece is sent.
            sent = asyncio.Event()
            loop.call_at(due + _LEAST_SECONDS, sent.set)
            await sent.wait()
        if target.can_write_eof():
            target.write_eof()
