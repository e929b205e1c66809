"""Those who watch a container's streams as they come: `kubectl attach`, and `kubectl run -i`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from runbook_lab.cluster.node.child import Child
from runbook_lab.cluster.node.interface import Output

# A client that makes a container and attaches to it is told what the container wrote before that, as long as it comes soon: what
# a short command prints would be lost otherwise. A runtime keeps nothing, and loses it.
_SOON_SECONDS = 10.0
_KEPT_BYTES = 1024 * 1024
# A client that is this far behind the container is left behind for good, rather than hold the container up [bytes].
_BEHIND_BYTES = 16 * 1024 * 1024


class Attachments:
    """The clients of one instance; `once` ends the container's stdin with the first of them."""

    def __init__(self, child: Child, *, once: bool) -> None:
        self._child = child
        self._once = once
        self._started = time.monotonic()
        self._early: list[tuple[Output, bytes]] | None = []
        self._early_bytes = 0
        self._present: set[Attachment] = set()
        self._ended = False

    def feed(self, output: Output, data: bytes) -> None:
        """Pass on what the container has written just now."""
        for attachment in list(self._present):
            attachment.feed(output, data)
        if self._early is not None:
            self._early.append((output, data))
            self._early_bytes += len(data)
            if self._early_bytes > _KEPT_BYTES or time.monotonic() - self._started > _SOON_SECONDS:
                self._early = None

    def join(self, *, stdin: bool) -> Attachment:
        """Attach one more client, with the container's stdin or only to look on."""
        attachment = Attachment(self._child, stdin=stdin, closes_input=stdin and self._once, left=self._present.discard)
        if time.monotonic() - self._started <= _SOON_SECONDS:
            for output, data in self._early or ():
                attachment.feed(output, data)
        self._early = None
        self._present.add(attachment)
        if self._ended:
            attachment.end()
        return attachment

    def end(self) -> None:
        """Tell all clients that the container has ended."""
        self._ended = True
        for attachment in list(self._present):
            attachment.end()


class Attachment:
    """One client's view of a container's streams; it ends with the container, which it tells nothing about."""

    def __init__(self, child: Child, *, stdin: bool, closes_input: bool, left: Callable[[Attachment], None]) -> None:
        self.outputs = {output: _Stream() for output in child.outputs}
        self._child = child
        self._stdin = stdin
        self._closes_input = closes_input
        self._left = left

    def feed(self, output: Output, data: bytes) -> None:
        """Take what the container has written."""
        self.outputs[output].feed(data)

    def end(self) -> None:
        """Take note of the container's end."""
        for stream in self.outputs.values():
            stream.feed(b"")

    async def write(self, data: bytes) -> None:
        """Write to the container's stdin."""
        if self._stdin:
            await self._child.write(data)

    def end_input(self) -> None:
        """End the container's stdin, where it was meant for one client."""
        if self._closes_input:
            self._child.end_input()

    def resize(self, columns: int, rows: int) -> None:
        """Give the container's terminal the client's size."""
        self._child.resize(columns, rows)

    async def wait(self) -> None:
        """Tell nothing: how a container ended stands in its pod's status."""

    def leave(self) -> None:
        """Go; the container goes on."""
        self._left(self)
        self.end_input()


class _Stream:
    """What a client has not read yet."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()

    def feed(self, data: bytes) -> None:
        """Take data in; b"" ends the stream."""
        if self._bytes <= _BEHIND_BYTES:
            self._chunks.append(data if self._bytes + len(data) <= _BEHIND_BYTES else b"")
            self._bytes += len(data)
            self._news.set()

    async def read(self, _: int) -> bytes:
        """Give the next data, and b"" at the end."""
        while not self._chunks:
            self._news.clear()
            await self._news.wait()
        data = self._chunks[0]
        if data:
            self._chunks.popleft()
            self._bytes -= len(data)
        return data
