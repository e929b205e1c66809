"""A small HTTP server for the shop's services: routes, metrics, health, and an orderly end."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from runbook_lab.shop.logs import Trace, current_trace

_log = logging.getLogger("shop.http")

_PORT = 8080
# A caller's connection ends after this many requests, so that callers spread again over the pods after a rollout.
_REQUESTS_PER_CONNECTION = 25
_IDLE_SECONDS = 30.0
# A pod that is told to end still gets new requests until everybody knows: it goes on for a moment, as a preStop sleep does.
_DRAIN_SECONDS = 1.0
_LAST_REQUESTS_SECONDS = 3.0
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 3.0, 5.0)


class HttpError(Exception):
    """An answer that is not a success. Those above 499 are logged as errors."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """What a route is given. `parameters` come from the path and the query."""

    headers: Mapping[str, str]
    parameters: Mapping[str, str]
    body: bytes = b""

    def json(self) -> Any:
        """Give the body's JSON. Raises HttpError 400."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise HttpError(400, "the body is not JSON") from None


@dataclass(frozen=True)
class Answer:
    """What a route gives: a status, and JSON or bytes."""

    body: Any
    status: int = 200
    content_type: str = "application/json"

    def encoded(self) -> bytes:
        """Give the body's bytes."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body, default=str).encode()


Handler = Callable[[Request], Answer]


@dataclass(frozen=True)
class _Route:
    method: str
    template: str
    handler: Handler
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template)))


class Service:
    """One of the shop's services: give it routes, then `run` it until SIGTERM."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter("http_requests", "HTTP requests.", ["method", "route", "status"], registry=self.registry)
        self._durations = Histogram(
            "http_request_duration_seconds", "Time to answer.", ["method", "route"], buckets=_BUCKETS, registry=self.registry
        )
        self._routes: list[_Route] = []
        self.draining = threading.Event()
        self._busy = 0
        self._busy_changed = threading.Condition()

    def route(self, method: str, template: str, handler: Handler) -> None:
        """Answer requests to a path such as `/orders/{id}`."""
        self._routes.append(_Route(method, template, handler))

    def run(self) -> None:
        """Serve on the pod's address until SIGTERM; then finish what is under way."""
        server = _Server((os.environ.get("LAB_POD_IP", "127.0.0.1"), int(os.environ.get("PORT", _PORT))), self)
        signal.signal(signal.SIGTERM, lambda *_: self.draining.set())
        signal.signal(signal.SIGINT, lambda *_: self.draining.set())
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        _log.info("%s listens on %s:%d", self.name, *server.server_address[:2])
        self.draining.wait()
        _log.info("%s ends: it was told to", self.name)
        time.sleep(_DRAIN_SECONDS)
        server.shutdown()
        with self._busy_changed:
            self._busy_changed.wait_for(lambda: not self._busy, timeout=_LAST_REQUESTS_SECONDS)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Find the route of a request, and give its answer; count it."""
        path, query = urlsplit(target).path, urlsplit(target).query
        if path == "/metrics":
            return Answer(generate_latest(self.registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
        if path == "/health":
            return Answer({"status": "ok", "service": self.name})
        route, parameters = self._find(method, path)
        if route is None:
            return Answer({"error": f"no route {method} {path}"}, 404)
        parameters |= {name: values[-1] for name, values in parse_qs(query).items()}
        began = time.perf_counter()
        with self._counted_as_busy():
            answer = self._guarded(route, Request(headers, parameters, body))
        self._durations.labels(method, route.template).observe(time.perf_counter() - began)
        self._requests.labels(method, route.template, str(answer.status)).inc()
        return answer

    def _find(self, method: str, path: str) -> tuple[_Route | None, dict[str, str]]:
        for route in self._routes:
            if route.method == method and (match := route.pattern.fullmatch(path)):
                return route, match.groupdict()
        return None, {}

    def _guarded(self, route: _Route, request: Request) -> Answer:
        current_trace.set(Trace.received(request.headers.get("traceparent")))
        where = {"fields": {"method": route.method, "route": route.template}}
        try:
            return route.handler(request)
        except HttpError as error:
            if error.status >= 500:
                _log.error("%s %s: %s", route.method, route.template, error, exc_info=error.__cause__, extra=where)
            return Answer({"error": str(error)}, error.status)
        except Exception as error:
            _log.exception("%s %s: %s: %s", route.method, route.template, type(error).__name__, error, extra=where)
            return Answer({"error": "internal error"}, 500)
        finally:
            current_trace.set(None)

    @contextmanager
    def _counted_as_busy(self) -> Iterator[None]:
        self._count_busy(1)
        try:
            yield
        finally:
            self._count_busy(-1)

    def _count_busy(self, change: int) -> None:
        with self._busy_changed:
            self._busy += change
            self._busy_changed.notify_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], service: Service) -> None:
        self.service = service
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that go away are everyday; the rest has been logged where it happened."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "shop"
    timeout = _IDLE_SECONDS
    # Header and body go out in one packet: else the caller's delayed acknowledgement adds 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True
    served = 0
    server: _Server

    def _serve(self) -> None:
        service = self.server.service
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = service.answer(self.command, self.path, self.headers, body)
        content = answer.encoded()
        self.served += 1
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(content)))
        if self.served >= _REQUESTS_PER_CONNECTION or service.draining.is_set():
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = do_PUT = _serve  # noqa: N815 - named by http.server

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are counted, not logged: at 40 a second they would bury what matters."""
