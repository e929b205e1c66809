"""Pods with admin endpoints: one small HTTP server whose breakers and features are set by POST, with a token."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "admin-token-of-the-tests"


@dataclass
class Pod:
    """One pod's admin state; `dead` answers 500 to every POST."""

    breaker: str = "closed"
    features: dict[str, bool] = field(default_factory=lambda: {"discounts": True})
    dead: bool = False
    posts: list[str] = field(default_factory=list)
    port: int = 0


@contextmanager
def listening(pod: Pod) -> Iterator[Pod]:
    class Handler(_Handler):
        state = pod

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pod.port = server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield pod
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: Pod

    def do_GET(self) -> None:
        breakers = {"payments": {"state": self.state.breaker, "failure_ratio": 0.9}}
        self._answer(200, breakers if "breaker" in self.path else self.state.features)

    def do_POST(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {})
        if self.state.dead:
            return self._answer(500, {})
        self.state.posts.append(self.path)
        if self.path == "/admin/circuit-breaker/open?name=payments":
            self.state.breaker = "open"
        elif self.path == "/admin/circuit-breaker/close?name=payments":
            self.state.breaker = "closed"
        else:
            _, _, _, name, verb = self.path.split("/")
            self.state.features[name] = verb == "enable"
        return self._answer(200, {})

    def _answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments: Any) -> None:
        pass
