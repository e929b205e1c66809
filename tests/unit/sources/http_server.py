"""A small HTTP server on loopback that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    params: dict[str, list[str]]
    headers: Mapping[str, str]


@dataclass
class Reply:
    """What is answered: in pieces, with a pause between them, and perhaps never an end."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    pieces: int = 1
    pause: float = 0.0
    length: int | None = None
    hang: bool = False


@dataclass
class Server:
    """Where it listens, and what it was asked. `ended` lets go of what hangs."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def answering(reply: Reply | Callable[[Asked], Reply], *, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked = Asked(self.command, parts.path, parse_qs(parts.query or content), dict(self.headers.items()))
            server.asked.append(asked)
            with suppress(OSError):
                self._reply(reply(asked) if callable(reply) else reply)

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def _reply(self, told: Reply) -> None:
            if told.hang:
                server.ended.wait(20)
                return
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body) if told.length is None else told.length))
            self.end_headers()
            size = -(-len(told.body) // told.pieces) or 1
            for begin in range(0, len(told.body), size):
                self.wfile.write(told.body[begin : begin + size])
                self.wfile.flush()
                if told.pause and server.ended.wait(told.pause):
                    return
            if told.length is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    class Listener(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that goes away is what some tests are about

    with Listener(("127.0.0.1", 0), Handler) as listener:
        if tls is not None:
            listener.socket = tls.wrap_socket(listener.socket, server_side=True)
        server = Server(f"{'https' if tls else 'http'}://127.0.0.1:{listener.server_port}")
        threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield server
        finally:
            server.ended.set()
            listener.shutdown()


def refusing_url() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"
