"""Calls to other services: timeouts, a circuit breaker, metrics, and the trace."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from typing import Any

import urllib3
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runbook_lab.hosts import resolve_url
from runbook_lab.shop.breaker import CircuitBreaker, CircuitOpenError
from runbook_lab.shop.logs import current_trace
from runbook_lab.shop.settings import DownstreamSettings

_log = logging.getLogger("shop.downstream")

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 5.0)
_CONNECTIONS = 64


class DownstreamError(Exception):
    """A call got no usable answer: refused, cut off, an unknown name, or a status above 499."""


class DownstreamTimeoutError(DownstreamError):
    """A call got no answer in time."""


class DownstreamMetrics:
    """What all downstream services have in common."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter("downstream_requests", "Calls by how they ended.", ["downstream", "outcome"], registry=registry)
        self.durations = Histogram(
            "downstream_request_duration_seconds", "Time of a call.", ["downstream"], buckets=_BUCKETS, registry=registry
        )
        self.breaker = Gauge("circuit_breaker_state", "0 closed, 1 open, 2 half-open.", ["downstream"], registry=registry)


class Downstream:
    """One service that is called. Nothing is retried: what is called here changes something."""

    def __init__(self, settings: DownstreamSettings, metrics: DownstreamMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self.breaker = CircuitBreaker(settings.name, settings.breaker)
        self._http = urllib3.PoolManager(maxsize=_CONNECTIONS, retries=False)
        self._told = self.breaker.state
        self._lock = threading.Lock()
        metrics.breaker.labels(settings.name).set_function(lambda: self.breaker.state.value)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send JSON, and give the JSON of the answer.

        Raises CircuitOpenError when the call was not made, DownstreamTimeoutError, DownstreamError.
        """
        name = self._settings.name
        try:
            self.breaker.before_call()
        except CircuitOpenError:
            self._metrics.requests.labels(name, "rejected").inc()
            raise
        outcome, began = "error", time.perf_counter()
        try:
            answer = self._call(path, body)
            outcome = "ok"
            return answer
        except DownstreamTimeoutError:
            outcome = "timeout"
            raise
        finally:
            self._metrics.durations.labels(name).observe(time.perf_counter() - began)
            self._metrics.requests.labels(name, outcome).inc()
            self.breaker.after_call(succeeded=outcome == "ok")
            self._tell()

    def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        url, seconds = self._settings.url + path, self._settings.timeout_seconds
        try:
            address, host = resolve_url(url)
            response = self._http.request(
                "POST", address, body=json.dumps(body), headers=self._headers(host), timeout=urllib3.Timeout(total=seconds)
            )
        except urllib3.exceptions.TimeoutError as error:
            raise DownstreamTimeoutError(f"{type(error).__name__}: POST {url}: no answer within {seconds:g} s") from error
        except (urllib3.exceptions.HTTPError, socket.gaierror) as error:
            raise DownstreamError(f"{type(error).__name__}: POST {url}: {error}") from error
        if response.status >= 400:
            raise DownstreamError(f"POST {url}: HTTP {response.status} {response.data[:200].decode(errors='replace')}")
        answer: dict[str, Any] = response.json()
        return answer

    def _headers(self, host: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Host": host}
        if trace := current_trace.get():
            headers["traceparent"] = trace.header
        return headers

    def _tell(self) -> None:
        """Log when the breaker has changed, once."""
        with self._lock:
            state, self._told, before = self.breaker.state, self.breaker.state, self._told
        if state is not before:
            _log.warning("circuit breaker of %s is %s", self._settings.name, state.word)
