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
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import urllib3

from runbook_lab.hosts import resolve_url
from runbook_lab.shop import logs
from runbook_lab.shop.conditions import Conditions, Watch

_log = logging.getLogger("shop.loadgen")

_SKUS = ("anvil", "rocket", "spring", "magnet", "paint", "rope", "skates", "glue")
_SOUGHT = ("instant", "magnet", "tunnel", "rocket", "skates", "springs", "giant")
_TIERS = (None, None, None, "silver", "gold")
_PLACING, _READING, _LOOKING_BACK = 0.72, 0.10, 0.08  # shares of the requests; the rest looks at the catalog
_CUSTOMERS = 10_000
_AT_ONCE = 96
_SEARCHES_AT_ONCE = 60
_TIMEOUT_SECONDS = 10.0
_TELL_EVERY_SECONDS = 30.0
_LEAST_PER_SECOND = 0.01
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
            customer: dict[str, Any] = {"id": self._customer()}
            if tier := self._chance.choice(_TIERS):
                customer["loyalty"] = {"tier": tier}
            order = {"customer": customer, "sku": self._chance.choice(_SKUS), "quantity": self._chance.randrange(1, 8)}
            return Call("POST", "/orders", order)
        if kind < _PLACING + _READING and self._orders:
            return Call("GET", f"/orders/{self._chance.choice(self._orders)}")
        if _PLACING + _READING <= kind < _PLACING + _READING + _LOOKING_BACK:
            return Call("GET", f"/customers/{self._customer()}/orders")
        return Call("GET", "/catalog")

    def _customer(self) -> str:
        return f"customer-{self._chance.randrange(_CUSTOMERS)}"

    def placed(self, number: int) -> None:
        """Note an order, which its customer will look at again."""
        self._orders.append(number)


class Searchers:
    """What customers search for, who do not know what a thing is called, and type badly."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def pause(self, per_second: float) -> float:
        """Give the time to the next search [s]."""
        return self._chance.expovariate(per_second)

    def next(self) -> Call:
        """Give the next search: a word of a product's name, two letters of it exchanged."""
        word = self._chance.choice(_SOUGHT)
        place = self._chance.randrange(len(word) - 1)
        typed = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        return Call("GET", f"/catalog/search?q={typed}")


class Load:
    """Sends the customers' requests, so many at a time; who finds no free place gives up, as customers do."""

    def __init__(self, url: str, customers: Customers, searchers: Searchers, *, per_second: float) -> None:
        self._url = url
        self._customers = customers
        self._searchers = searchers
        self._per_second = per_second
        self._searches_per_second = 0.0
        self._factor, self._wanted = 1.0, 1.0
        self._http = urllib3.PoolManager(maxsize=_AT_ONCE + _SEARCHES_AT_ONCE, retries=False, timeout=_TIMEOUT_SECONDS)
        self._counts = {"ok": 0, "failed": 0, "given up": 0}

    def adapt(self, conditions: Conditions) -> None:
        """Come to as many requests as the conditions say, little by little."""
        self._wanted, self._searches_per_second = conditions.load_factor, conditions.searches_per_second

    def _pause(self) -> float:
        """The time to the next request [s]. The rate moves a little with each, as more customers come or go."""
        pause = self._customers.pause(self._per_second * self._factor)
        step = pause / _RAMP_SECONDS
        self._factor += max(-step, min(step, self._wanted - self._factor))
        return pause

    def _pause_of_searchers(self) -> float:
        return self._searchers.pause(max(self._searches_per_second, _LEAST_PER_SECOND))

    def run(self, end: threading.Event) -> None:
        """Send requests until the end."""
        with ThreadPoolExecutor(_AT_ONCE + _SEARCHES_AT_ONCE) as threads:
            streams = (
                (self._customers.next, self._pause, _AT_ONCE),
                (self._searchers.next, self._pause_of_searchers, _SEARCHES_AT_ONCE),
            )
            coming = [threading.Thread(target=self._come, args=(end, threads, *stream)) for stream in streams]
            for one in coming:
                one.start()
            while not end.wait(_TELL_EVERY_SECONDS):
                _log.info("requests so far: %s", ", ".join(f"{count} {how}" for how, count in self._counts.items()))
            for one in coming:
                one.join()

    def _come(
        self,
        end: threading.Event,
        threads: ThreadPoolExecutor,
        following: Callable[[], Call],
        pause: Callable[[], float],
        at_once: int,
    ) -> None:
        """Send one stream of requests until the end."""
        places = threading.BoundedSemaphore(at_once)
        due = time.monotonic()
        while not end.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - 1.0) + pause()
            if places.acquire(blocking=False):
                threads.submit(self._send, following()).add_done_callback(lambda _: places.release())
            else:
                self._counts["given up"] += 1

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


def main() -> None:
    """Send requests until SIGTERM."""
    logs.configure(service="loadgen", version=os.environ.get("LOADGEN_VERSION", "unknown"))
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    signal.signal(signal.SIGINT, lambda *_: end.set())
    seed = int(os.environ.get("SEED", "1"))
    per_second = float(os.environ.get("REQUESTS_PER_SECOND", "36"))
    _log.info("sending %g requests a second to %s", per_second, os.environ["ORDERS_URL"])
    load = Load(os.environ["ORDERS_URL"].rstrip("/"), Customers(seed), Searchers(seed), per_second=per_second)
    Watch().on_change(load.adapt)
    load.run(end)


if __name__ == "__main__":
    main()
