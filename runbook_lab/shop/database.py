"""The orders in PostgreSQL, through a pool of connections."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry, Counter, Gauge
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from runbook_lab.hosts import resolve
from runbook_lab.shop.conditions import Watch
from runbook_lab.shop.settings import DatabaseSettings

_log = logging.getLogger("shop.database")

_CONNECT_SECONDS = 5
# Shorter than what the liveness probe allows: a service that ends by itself says why.
_START_SECONDS = 10.0
_RETRY_SECONDS = 1.0

_CATALOG = "SELECT sku, name, price FROM products ORDER BY sku"
_ORDER = "SELECT id, customer, sku, quantity, amount, status, created_at FROM orders WHERE id = %s"
_HISTORY = (
    "SELECT id, sku, quantity, amount, placed_on FROM order_archive"
    " WHERE is_read(id) AND customer = %s ORDER BY placed_on DESC LIMIT 20"
)
# The function checks the customer's credit and writes order and journal in one transaction; it takes most of an order's time.
_PLACE = "SELECT place_order(%s, %s, %s, %s, %s) AS id"


class Database:
    """The statements of the orders service. No connection is held while anything else is waited for.

    Raises PoolTimeout where no connection becomes free in time, and psycopg.Error from every method.
    """

    def __init__(self, settings: DatabaseSettings, *, registry: CollectorRegistry, conditions: Watch) -> None:
        self._settings = settings
        self._conditions = conditions
        self._chance = random.Random()
        self._lost: list[psycopg.Connection[Any]] = []
        self._pool = ConnectionPool(
            kwargs=self._connection_arguments(),
            min_size=min(2, settings.pool_size),
            max_size=settings.pool_size,
            timeout=settings.pool_timeout_seconds,
            max_idle=60,
            name="orders",
            open=False,
        )
        self._timeouts = Counter("db_pool_timeouts", "Requests that got no connection in time.", registry=registry)
        in_use = Gauge("db_pool_connections_in_use", "Connections that requests hold.", registry=registry)
        in_use.set_function(lambda: self._statistic("pool_size") - self._statistic("pool_available"))
        Gauge("db_pool_connections_max", "The pool's size.", registry=registry).set(settings.pool_size)
        waiting = Gauge("db_pool_requests_waiting", "Requests that wait for a connection.", registry=registry)
        waiting.set_function(lambda: self._statistic("requests_waiting"))

    def open(self) -> None:
        """Connect, and wait for a database that is not up yet. Raises psycopg.OperationalError with its reason.

        The pool by itself would only say that it has waited in vain.
        """
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(**self._connection_arguments()).close()
                break
            except psycopg.OperationalError as error:
                if time.monotonic() > end:
                    raise
                _log.warning("waiting for the database: %s", error)
                time.sleep(_RETRY_SECONDS)
        self._pool.open(wait=True, timeout=_START_SECONDS)

    def close(self) -> None:
        """Give all connections back."""
        self._pool.close(timeout=1)

    def catalog(self) -> list[dict[str, Any]]:
        """Give all products."""
        with self._connection() as connection:
            return connection.execute(_CATALOG).fetchall()

    def order(self, number: int) -> dict[str, Any] | None:
        """Give an order, None when there is none of this number."""
        with self._connection() as connection:
            return connection.execute(_ORDER, [number]).fetchone()

    def history(self, customer: str) -> list[dict[str, Any]]:
        """Give the last orders of a customer in earlier years, newest first."""
        with self._connection() as connection:
            return connection.execute(_HISTORY, [customer]).fetchall()

    def place(self, *, customer: str, sku: str, quantity: int, amount: Decimal, status: str) -> int:
        """Write an order, and give its number."""
        with self._connection() as connection:
            row = connection.execute(_PLACE, [customer, sku, quantity, amount, status]).fetchone()
            assert row is not None
            return int(row["id"])

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            connection = self._pool.getconn()
        except PoolTimeout:
            self._timeouts.inc()
            raise
        try:
            yield connection
        except BaseException:
            self._pool.putconn(connection)  # which rolls back what was begun
            raise
        if self._chance.random() < self._conditions.now.lost_connection_ratio:
            # Kept alive, its transaction open, by something that still refers to it: what a forgotten `close` leads to.
            connection.execute("BEGIN")
            connection.execute("SELECT 1")
            self._lost.append(connection)
            return
        self._pool.putconn(connection)

    def _connection_arguments(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "host": settings.host,
            "hostaddr": resolve(settings.host),
            "port": settings.port,
            "dbname": settings.name,
            "user": settings.user,
            "password": settings.password,
            "application_name": "orders",
            "connect_timeout": _CONNECT_SECONDS,
            "autocommit": True,  # each of its statements is a transaction, and takes one round trip
            "row_factory": dict_row,
        }

    def _statistic(self, name: str) -> int:
        return self._pool.get_stats().get(name, 0)
