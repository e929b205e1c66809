"""`exec` and `attach` over SPDY/3.1, as kubectl speaks it before 1.30: the client opens a stream for stdin, one for stdout, …"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from aiohttp import web

from runbook_lab.cluster.api.context import services
from runbook_lab.cluster.api.spdy import Data, Opened, SpdyConnection
from runbook_lab.cluster.api.streams import Size, Wanted, converse, joined, read_wanted
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.errors import BadRequest, StoreError
from runbook_lab.cluster.node.interface import Output

_PROTOCOL = "v4.channel.k8s.io"
_OPENING_SECONDS = 30
_CLOSING_SECONDS = 2


async def serve_spdy(request: web.Request, target: Target) -> web.StreamResponse:
    """Run a command in a container, or attach to it, joined to the client's SPDY streams."""
    offered = ",".join(request.headers.getall("X-Stream-Protocol-Version", []))
    if _PROTOCOL not in offered:
        raise BadRequest(f"unable to upgrade: expected the stream protocol {_PROTOCOL}, the client offers {offered or 'none'}")
    wanted = read_wanted(services(request).store, request.query, target)
    # Started before the upgrade, so that a container that is not there is an HTTP answer.
    async with joined(services(request).node, wanted) as session:
        reader, writer = take_over(request, _PROTOCOL)
        try:
            client = _SpdyClient(SpdyConnection(reader, writer))
            if await client.has_opened(wanted):
                await converse(client, session, wanted)
                # The client closes when it has read the status; closing first could cut the last frames off.
                await client.wait_until_gone()
        finally:
            writer.close()
    # The connection is gone, and with it the way to answer: aiohttp finds it closed.
    return web.Response()


def take_over(request: web.Request, protocol_version: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Answer the upgrade, and take the connection from the HTTP server (aiohttp itself upgrades to WebSockets only)."""
    transport, loop = request.transport, asyncio.get_running_loop()
    if transport is None:
        raise StoreError("the client has left")
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
        b"X-Stream-Protocol-Version: " + protocol_version.encode() + b"\r\n\r\n"
    )
    return reader, writer


class _SpdyClient:
    """The client at the other end of a SPDY connection; its streams say by a header what they are for."""

    def __init__(self, connection: SpdyConnection) -> None:
        self._connection = connection
        self._frames = connection.frames()
        self._streams: dict[str, int] = {}
        self._early: list[Data] = []

    async def has_opened(self, wanted: Wanted) -> bool:
        """Wait for the client to open the streams that it wants, and tell whether it did."""
        asked = {"stdin": wanted.stdin, "stdout": wanted.stdout, "stderr": wanted.stderr}
        expected = {"error", *(name for name, is_asked in asked.items() if is_asked)}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OPENING_SECONDS):
                while not expected <= self._streams.keys() and (frame := await anext(self._frames, None)):
                    self._take(frame)
        return expected <= self._streams.keys()

    async def wait_until_gone(self) -> None:
        """Wait, not for long, until the client closes the connection."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                async for frame in self._connection.frames():
                    self._take(frame)

    async def input(self) -> AsyncIterator[bytes | Size]:
        for frame in self._early:
            for part in self._read(frame):
                yield part
        async for frame in self._frames:
            if isinstance(frame, Opened):
                self._take(frame)
                continue
            for part in self._read(frame):
                yield part

    def _read(self, frame: Data) -> Iterator[bytes | Size]:
        if frame.stream == self._streams.get("resize"):
            if frame.content:
                yield Size.read(frame.content)
        elif frame.stream == self._streams.get("stdin"):
            if frame.content:
                yield frame.content
            if frame.last:
                yield b""

    async def send(self, output: Output, data: bytes) -> None:
        await self._connection.write(self._streams[output], data)

    async def finish(self, status: Mapping[str, Any]) -> None:
        for name in ("stdout", "stderr"):
            if name in self._streams:
                await self._connection.write(self._streams[name], b"", last=True)
        await self._connection.write(self._streams["error"], json.dumps(status).encode(), last=True)

    def _take(self, frame: Opened | Data) -> None:
        if isinstance(frame, Opened):
            self._streams[frame.headers.get("streamtype", "")] = frame.stream
        else:
            self._early.append(frame)
