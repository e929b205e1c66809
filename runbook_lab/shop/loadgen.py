"""The customers: a steady stream of requests to the orders service, at random moments."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import urllib3

from runbook_lab.hosts import resolve_url
from runbook_lab.shop import logs
from runbook_lab.shop.conditions import Conditions, Watch

_log = logging.getLogger("shop.loadgen")

_SKUS = ("anvil", "rocket", "spring", "magnet", "paint", "rope", "skates", "glue")
_TIERS = (None, None, None, "silver", "gold")
_PLACING, _READING = 0.72, 0.18  # shares of the requests; the rest looks at the catalog
_AT_ONCE = 96
_TIMEOUT_SECONDS = 10.0
_TELL_EVERY_SECONDS = 30.0
_RAMP_SECONDS = 40.0  # for as many requests more as there usually are


@dataclass(frozen=True)
class Call:
    """One request of a customer."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None


class Customers:
    """What customers ask for, the same for the same seed as long as orders get the same numbers."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._orders: deque[int] = deque(maxlen=200)

    def pause(self, per_second: float) -> float:
        """Give the time to the next request [s]: customers do not know of one another."""
        return self._chance.expovariate(per_second)

    def next(self) -> Call:
        """Give the next request."""
        kind = self._chance.random()
        if kind < _PLACING:
            customer: dict[str, Any] = {"id": f"customer-{self._chance.randrange(10_000)}"}
            if tier := self._chance.choice(_TIERS):
                customer["loyalty"] = {"tier": tier}
            order = {"customer": customer, "sku": self._chance.choice(_SKUS), "quantity": self._chance.randrange(1, 8)}
            return Call("POST", "/orders", order)
        if kind < _PLACING + _READING and self._orders:
            return Call("GET", f"/orders/{self._chance.choice(self._orders)}")
        return Call("GET", "/catalog")

    def placed(self, number: int) -> None:
        """Note an order, which its customer will look at again."""
        self._orders.append(number)


class Load:
    """Sends the customers' requests, at most `_AT_ONCE` at a time; who finds no free place gives up, as customers do."""

    def __init__(self, url: str, customers: Customers, *, per_second: float) -> None:
        self._url = url
        self._customers = customers
        self._per_second = per_second
        self._factor, self._wanted = 1.0, 1.0
        self._http = urllib3.PoolManager(maxsize=_AT_ONCE, retries=False, timeout=_TIMEOUT_SECONDS)
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._counts = {"ok": 0, "failed": 0, "given up": 0}

    def adapt(self, conditions: Conditions) -> None:
        """Come to as many requests as the conditions say, little by little."""
        self._wanted = conditions.load_factor

    def _pause(self) -> float:
        """The time to the next request [s]. The rate moves a little with each, as more customers come or go."""
        pause = self._customers.pause(self._per_second * self._factor)
        step = pause / _RAMP_SECONDS
        self._factor += max(-step, min(step, self._wanted - self._factor))
        return pause

    def run(self, end: threading.Event) -> None:
        """Send requests until the end."""
        told = time.monotonic()
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            due = time.monotonic()
            while not end.wait(max(0.0, due - time.monotonic())):
                due = max(due, time.monotonic() - 1.0) + self._pause()
                if self._places.acquire(blocking=False):
                    threads.submit(self._send, self._customers.next())
                else:
                    self._counts["given up"] += 1
                if time.monotonic() - told > _TELL_EVERY_SECONDS:
                    told = time.monotonic()
                    _log.info("requests so far: %s", ", ".join(f"{count} {how}" for how, count in self._counts.items()))

    def _send(self, call: Call) -> None:
        try:
            address, host = resolve_url(self._url + call.path)
            headers = {"Host": host, "Content-Type": "application/json"}
            body = json.dumps(call.body) if call.body is not None else None
            response = self._http.request(call.method, address, body=body, headers=headers)
            self._counts["ok" if response.status < 500 else "failed"] += 1
            if call.method == "POST" and response.status == 200:
                self._customers.placed(response.json()["id"])
        except (urllib3.exceptions.HTTPError, socket.gaierror):
            self._counts["failed"] += 1
        finally:
            self._places.release()


def main() -> None:
    """Send requests until SIGTERM."""
    logs.configure(service="loadgen", version=os.environ.get("LOADGEN_VERSION", "unknown"))
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    signal.signal(signal.SIGINT, lambda *_: end.set())
    customers = Customers(int(os.environ.get("SEED", "1")))
    per_second = float(os.environ.get("REQUESTS_PER_SECOND", "36"))
    _log.info("sending %g requests a second to %s", per_second, os.environ["ORDERS_URL"])
    load = Load(os.environ["ORDERS_URL"].rstrip("/"), customers, per_second=per_second)
    Watch().on_change(load.adapt)
    load.run(end)


if __name__ == "__main__":
    main()
