"""`kubectl exec` over a WebSocket: one channel each for stdin, stdout, stderr, the exit status and the terminal's size."""

import asyncio
import contextlib
import json
from typing import Any

from aiohttp import WSMsgType, web

from runbook_lab.cluster.api.command import Command, exit_status, read_command, start
from runbook_lab.cluster.api.context import services
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.errors import BadRequest

_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
# v5 is v4 with a message that ends stdin.
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_CHUNK_BYTES = 32 * 1024


async def serve_exec_websocket(request: web.Request, target: Target) -> web.StreamResponse:
    """Run a command in a container, connected to the client's WebSocket."""
    wanted = request.headers.get("Sec-WebSocket-Protocol", "")
    if not any(protocol in wanted for protocol in _PROTOCOLS):
        raise BadRequest(f"unable to upgrade: none of the subprotocols {', '.join(_PROTOCOLS)} was requested")
    command = read_command(services(request).store, request.query, target)
    # Before the upgrade, so that a container that is not there is an HTTP answer.
    process = await start(services(request).node, command)
    socket = web.WebSocketResponse(protocols=_PROTOCOLS, compress=False, max_msg_size=0)
    try:
        await socket.prepare(request)
        await _converse(socket, process, command)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    return socket


async def _converse(socket: web.WebSocketResponse, process: asyncio.subprocess.Process, command: Command) -> None:
    reader = asyncio.create_task(_feed_stdin(socket, process, command))
    outputs = asyncio.gather(
        _send(socket, _STDOUT, process.stdout, wanted=command.stdout),
        _send(socket, _STDERR, process.stderr, wanted=command.stderr),
    )
    # A client that leaves closes the socket, and the command with it.
    done, _ = await asyncio.wait({reader, outputs}, return_when=asyncio.FIRST_COMPLETED)
    if outputs not in done:
        outputs.cancel()
        return
    status = exit_status(await process.wait())
    await socket.send_bytes(bytes([_ERROR]) + json.dumps(status).encode())
    await socket.close()
    reader.cancel()


async def _send(socket: web.WebSocketResponse, channel: int, stream: asyncio.StreamReader | None, *, wanted: bool) -> None:
    while stream and (chunk := await stream.read(_CHUNK_BYTES)):
        if wanted:
            await socket.send_bytes(bytes([channel]) + chunk)


async def _feed_stdin(socket: web.WebSocketResponse, process: asyncio.subprocess.Process, command: Command) -> None:
    """Pass on what the client writes, until it leaves."""
    if process.stdin and not command.stdin:
        process.stdin.close()
    async for message in socket:
        data = _payload(message)
        if process.stdin and data[:1] == bytes([_STDIN]) and command.stdin:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(data[1:])
                await process.stdin.drain()
        elif process.stdin and data[:2] == bytes([_CLOSE, _STDIN]):
            process.stdin.close()


def _payload(message: Any) -> bytes:
    return message.data if message.type == WSMsgType.BINARY else str(message.data).encode()
