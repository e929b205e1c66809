"""The orders service: takes orders, reserves stock, charges the customer."""

from __future__ import annotations

import hmac
import json
import logging
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from runbook_lab.shop import allocations, logs
from runbook_lab.shop.breaker import CircuitOpenError
from runbook_lab.shop.cache import Cache, CacheError, Redis
from runbook_lab.shop.conditions import Watch
from runbook_lab.shop.database import Database
from runbook_lab.shop.delivery import DISTRICTS, Delivery
from runbook_lab.shop.downstream import Downstream, DownstreamError, DownstreamMetrics, DownstreamTimeoutError
from runbook_lab.shop.features import Features
from runbook_lab.shop.memory import Memory
from runbook_lab.shop.pricing import pricing_of
from runbook_lab.shop.search import Search
from runbook_lab.shop.server import Answer, HttpError, Request, Service
from runbook_lab.shop.settings import Settings

_log = logging.getLogger("shop.orders")

# What rendering an answer takes, besides what is kept.
_WORK_BYTES = 64 * 1024


class Orders:
    """The routes of the orders service."""

    def __init__(self, settings: Settings, service: Service) -> None:
        conditions = Watch()
        redis = Redis(settings.cache_host, settings.cache_port)
        metrics = DownstreamMetrics(service.registry)
        self._settings = settings
        self.database = Database(settings.database, registry=service.registry, conditions=conditions)
        self._cache = Cache(redis, registry=service.registry)
        self._delivery = Delivery(self._cache, kept_seconds=settings.delivery_cache_seconds)
        self._features = Features(redis, settings.features)
        self._memory = Memory(settings.memory_limit_bytes)
        self._payments = Downstream(settings.payments, metrics)
        self._inventory = Downstream(settings.inventory, metrics)
        self._downstream = {"payments": self._payments, "inventory": self._inventory}
        self._pricing = pricing_of(settings.version)
        self._search = Search()
        conditions.on_change(self._memory.adapt)

    def fill_cache(self) -> None:
        """Begin to fill the cache, so that the first customers need not wait."""
        threading.Thread(target=self._delivery.warm, name="fill-cache", daemon=True).start()

    def add_routes(self, service: Service) -> None:
        """Make the service answer."""
        service.route("GET", "/catalog", self.catalog)
        service.route("GET", "/catalog/search", self.search)
        service.route("POST", "/orders", self.place)
        service.route("GET", "/orders/{id}", self.order)
        service.route("GET", "/customers/{id}/orders", self.history)
        service.route("GET", "/admin/circuit-breaker-status", self.breakers)
        service.route("POST", "/admin/circuit-breaker/open", self._authorized(self.open_breaker))
        service.route("POST", "/admin/circuit-breaker/close", self._authorized(self.close_breaker))
        service.route("POST", "/admin/cache-warmup", self._authorized(self.warm_cache))
        service.route("GET", "/admin/allocations", self._authorized(lambda _: Answer(allocations.sites())))
        service.route("POST", "/admin/allocations/start", self._authorized(lambda _: Answer(allocations.start())))
        service.route("POST", "/admin/allocations/stop", self._authorized(lambda _: Answer(allocations.stop())))
        service.route("GET", "/admin/features", self.features)
        service.route("POST", "/admin/features/{name}/enable", self._authorized(lambda request: self._switch(request, on=True)))
        service.route("POST", "/admin/features/{name}/disable", self._authorized(lambda request: self._switch(request, on=False)))

    # --- customers

    def catalog(self, _: Request) -> Answer:
        """All products, with a recommendation while that feature is on."""
        self._memory.allocate(_WORK_BYTES)
        products = self._products()
        answer: dict[str, Any] = {"products": products}
        if products and self._features.enabled("recommendations"):
            answer["recommended"] = products[len(products) // 2]["sku"]
        return Answer(answer)

    def search(self, request: Request) -> Answer:
        """The products that a customer may mean who typed `q`."""
        query = request.parameters.get("q", "")
        if not query:
            raise HttpError(400, "a search needs words to look for: ?q=")
        return Answer({"products": self._search.find(query, self._products())})

    def order(self, request: Request) -> Answer:
        """One order."""
        self._memory.allocate(_WORK_BYTES)
        try:
            number = int(request.parameters["id"])
        except ValueError:
            raise HttpError(400, "the number of an order is digits") from None
        found = self.database.order(number)
        if found is None:
            raise HttpError(404, f"there is no order {number}")
        return Answer(found)

    def history(self, request: Request) -> Answer:
        """What a customer has ordered in earlier years."""
        self._memory.allocate(_WORK_BYTES)
        return Answer({"orders": self.database.history(request.parameters["id"])})

    def place(self, request: Request) -> Answer:
        """Take an order: reserve, charge, write. Where a breaker is open its fallback counts, and the order says so."""
        self._memory.allocate(_WORK_BYTES)
        order = request.json()
        price = self._price_of(order["sku"])
        amount = self._pricing.amount(price, order)
        days = self._delivery.days(str(order["customer"]["id"]))
        reserved = self._reserve(order)
        paid = self._charge(order, amount)
        status = "paid" if paid else "unpaid"
        # Only now is a connection taken: one that waits for other services would be missing to everybody.
        number = self.database.place(
            customer=str(order["customer"]["id"]), sku=order["sku"], quantity=int(order["quantity"]), amount=amount, status=status
        )
        degraded = [name for name, well in (("inventory", reserved), ("payments", paid)) if not well]
        return Answer({"id": number, "status": status, "amount": str(amount), "delivery_days": days, "degraded": degraded})

    def _products(self) -> list[dict[str, Any]]:
        if cached := self._cache.get("catalog"):
            found: list[dict[str, Any]] = json.loads(cached)
            return found
        products = [product | {"price": str(product["price"])} for product in self.database.catalog()]
        self._cache.put("catalog", json.dumps(products).encode(), seconds=self._settings.cache_seconds)
        return products

    def _price_of(self, sku: str) -> Decimal:
        for product in self._products():
            if product["sku"] == sku:
                return Decimal(product["price"])
        raise HttpError(404, f"there is no product {sku}")

    def _reserve(self, order: dict[str, Any]) -> bool:
        return self._call(self._inventory, "/reservations", {"sku": order["sku"], "quantity": order["quantity"]})

    def _charge(self, order: dict[str, Any], amount: Decimal) -> bool:
        return self._call(self._payments, "/charges", {"customer": order["customer"]["id"], "amount": str(amount)})

    def _call(self, downstream: Downstream, path: str, body: dict[str, Any]) -> bool:
        """Call a service, and tell whether it did its part. An open breaker is no error; a failing call is."""
        try:
            downstream.post(path, body)
        except CircuitOpenError:
            return False
        except DownstreamTimeoutError as error:
            raise HttpError(504, str(error)) from error
        except DownstreamError as error:
            raise HttpError(502, str(error)) from error
        return True

    # --- operators

    def breakers(self, _: Request) -> Answer:
        """The state of all circuit breakers of this pod."""
        return Answer({name: downstream.breaker.status() for name, downstream in self._downstream.items()})

    def open_breaker(self, request: Request) -> Answer:
        """Open the breaker `name` of this pod until it is closed by hand."""
        self._named(request).breaker.force_open()
        _log.warning("circuit breaker of %s was opened by hand", request.parameters["name"])
        return self.breakers(request)

    def close_breaker(self, request: Request) -> Answer:
        """Close the breaker `name` of this pod."""
        self._named(request).breaker.close()
        _log.warning("circuit breaker of %s was closed by hand", request.parameters["name"])
        return self.breakers(request)

    def warm_cache(self, _: Request) -> Answer:
        """Fill the cache for all pods, as far as Redis takes it."""
        return Answer({"kept": self._delivery.warm(), "known": DISTRICTS})

    def features(self, _: Request) -> Answer:
        """All feature flags."""
        return Answer(self._features.all())

    def _switch(self, request: Request, *, on: bool) -> Answer:
        try:
            self._features.switch(request.parameters["name"], on=on)
        except KeyError:
            raise HttpError(404, f"there is no feature {request.parameters['name']}") from None
        except CacheError as error:
            raise HttpError(503, "the flag could not be kept") from error
        return Answer(self._features.all())

    def _named(self, request: Request) -> Downstream:
        name = request.parameters.get("name", "")
        if name not in self._downstream:
            raise HttpError(404, f"there is no circuit breaker {name!r}; there are {', '.join(self._downstream)}")
        return self._downstream[name]

    def _authorized(self, handler: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
        def checked(request: Request) -> Answer:
            presented = request.headers.get("Authorization") or ""
            if not hmac.compare_digest(presented.encode(), f"Bearer {self._settings.admin_token}".encode()):
                raise HttpError(401, "this needs the admin token")
            return handler(request)

        return checked


def main() -> None:
    """Run the orders service until SIGTERM."""
    settings = Settings.from_environment()
    logs.configure(service="orders", version=settings.version, level=settings.log_level)
    service = Service("orders")
    orders = Orders(settings, service)
    orders.add_routes(service)
    orders.database.open()
    orders.fill_cache()
    service.run()
    orders.database.close()


if __name__ == "__main__":
    main()
