"""`kubectl port-forward`: connections to a pod's ports as streams of one SPDY connection, in a WebSocket since kubectl 1.31."""

import asyncio
import contextlib

from aiohttp import WSMsgType, web

from runbook_lab.cluster.api.context import services
from runbook_lab.cluster.api.spdy import Opened, SpdyConnection
from runbook_lab.cluster.api.streams_spdy import take_over
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.errors import BadRequest
from runbook_lab.cluster.node.interface import Node, NodeError

_PROTOCOL = "portforward.k8s.io"
_TUNNEL = f"SPDY/3.1+{_PROTOCOL}"
_CHUNK_BYTES = 64 * 1024


async def serve_port_forward(request: web.Request, target: Target) -> web.StreamResponse:
    """Forward connections until the client leaves."""
    pod = services(request).store.get("pods", str(target.name), namespace=target.namespace)
    if pod.get("status", {}).get("phase") != "Running":
        raise BadRequest(f"unable to forward port because pod is not running. Current status={pod['status'].get('phase')}")
    forwarding = _Forwarding(services(request).node, str(target.namespace), str(target.name))
    match request.headers.get("Upgrade", "").lower():
        case "websocket" if _TUNNEL in request.headers.get("Sec-WebSocket-Protocol", ""):
            return await _tunnel(request, forwarding)
        case "spdy/3.1":
            reader, writer = take_over(request, _PROTOCOL)
            try:
                await forwarding.serve(SpdyConnection(reader, writer))
            finally:
                writer.close()
            return web.Response()
    raise BadRequest(f"unable to upgrade: expected SPDY/3.1, or a WebSocket with the subprotocol {_TUNNEL}")


async def _tunnel(request: web.Request, forwarding: "_Forwarding") -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=(_TUNNEL,), compress=False, max_msg_size=0)
    await socket.prepare(request)
    reader = asyncio.StreamReader()
    feeding = asyncio.create_task(_feed(socket, reader))
    try:
        await forwarding.serve(SpdyConnection(reader, _TunnelWriter(socket)))
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    await socket.close()
    return socket


async def _feed(socket: web.WebSocketResponse, reader: asyncio.StreamReader) -> None:
    async for message in socket:
        if message.type == WSMsgType.BINARY:
            reader.feed_data(message.data)
    reader.feed_eof()


class _TunnelWriter:
    """Writes SPDY's bytes into a WebSocket's messages."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._waiting = bytearray()
        self._order = asyncio.Lock()

    def write(self, data: bytes) -> None:
        self._waiting += data

    async def drain(self) -> None:
        async with self._order:
            data, self._waiting = bytes(self._waiting), bytearray()
            if data:
                await self._socket.send_bytes(data)


class _Forwarding:
    """The connections of one client: each is a pair of streams, `data` and `error`, with the number of its request."""

    def __init__(self, node: Node, namespace: str, pod: str) -> None:
        self._node = node
        self._pod = (namespace, pod)
        self._errors: dict[str, int] = {}
        self._writers: dict[int, asyncio.Queue[bytes]] = {}

    async def serve(self, client: SpdyConnection) -> None:
        """Serve all streams that the client opens, until it leaves."""
        async with asyncio.TaskGroup() as tasks:
            connections = []
            async for frame in client.frames():
                if isinstance(frame, Opened):
                    number = frame.headers.get("requestid", "")
                    if frame.headers.get("streamtype") == "error":
                        self._errors[number] = frame.stream
                        continue
                    self._writers[frame.stream] = asyncio.Queue()
                    connection = self._connect(client, frame.stream, number, int(frame.headers.get("port", 0)))
                    connections.append(tasks.create_task(connection))
                elif frame.stream in self._writers:
                    if frame.content:
                        self._writers[frame.stream].put_nowait(frame.content)
                    if frame.last:
                        self._writers[frame.stream].put_nowait(b"")
            for connection in connections:
                connection.cancel()

    async def _connect(self, client: SpdyConnection, stream: int, number: str, port: int) -> None:
        failure = b""
        try:
            reader, writer = await self._node.dial(*self._pod, port)
            sending = asyncio.create_task(self._send(stream, writer))
            try:
                while data := await reader.read(_CHUNK_BYTES):
                    await client.write(stream, data)
            finally:
                sending.cancel()
                writer.close()
        except (OSError, NodeError) as error:
            failure = f"error forwarding port {port} to pod {self._pod[1]}: {error}".encode()
        del self._writers[stream]
        with contextlib.suppress(ConnectionError):
            await client.write(stream, b"", last=True)
            if (errors := self._errors.pop(number, None)) is not None:
                await client.write(errors, failure, last=True)

    async def _send(self, stream: int, writer: asyncio.StreamWriter) -> None:
        while data := await self._writers[stream].get():
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
