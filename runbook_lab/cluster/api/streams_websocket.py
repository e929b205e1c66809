"""`exec` and `attach` over a WebSocket: one channel each for stdin, stdout, stderr, the exit status and the terminal's size."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import WSMsgType, web

from runbook_lab.cluster.api.context import services
from runbook_lab.cluster.api.streams import Size, converse, joined, read_wanted
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.errors import BadRequest
from runbook_lab.cluster.node.interface import Output

_STDIN, _ERROR, _RESIZE, _CLOSE = 0, 3, 4, 255
_CHANNELS: dict[Output, int] = {"stdout": 1, "stderr": 2}
# v5 is v4 with a message that ends stdin.
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")


async def serve_websocket(request: web.Request, target: Target) -> web.StreamResponse:
    """Run a command in a container, or attach to it, joined to the client's WebSocket."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    if not any(protocol in offered for protocol in _PROTOCOLS):
        raise BadRequest(f"unable to upgrade: none of the subprotocols {', '.join(_PROTOCOLS)} was requested")
    wanted = read_wanted(services(request).store, request.query, target)
    socket = web.WebSocketResponse(protocols=_PROTOCOLS, compress=False, max_msg_size=0)
    # Started before the upgrade, so that a container that is not there is an HTTP answer.
    async with joined(services(request).node, wanted) as session:
        await socket.prepare(request)
        await converse(_WebSocketClient(socket), session, wanted)
    await socket.close()
    return socket


class _WebSocketClient:
    """The client at the other end of a WebSocket; the first byte of a message is its channel."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def input(self) -> AsyncIterator[bytes | Size]:
        async for message in self._socket:
            data = message.data if message.type == WSMsgType.BINARY else str(message.data).encode()
            # An empty message opens each channel; only the close message ends stdin.
            if data[:1] == bytes([_STDIN]) and len(data) > 1:
                yield data[1:]
            elif data[:1] == bytes([_RESIZE]) and len(data) > 1:
                yield Size.read(data[1:])
            elif data[:2] == bytes([_CLOSE, _STDIN]):
                yield b""

    async def send(self, output: Output, data: bytes) -> None:
        await self._socket.send_bytes(bytes([_CHANNELS[output]]) + data)

    async def finish(self, status: Mapping[str, Any]) -> None:
        await self._socket.send_bytes(bytes([_ERROR]) + json.dumps(status).encode())
