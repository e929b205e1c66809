"""Logs, a database, a cache and HTTP endpoints that answer what a test gives them, and are well otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import Window
from runbook_lib.sources.interface import HttpAnswer
from runbook_lib.testing.plans import plans, statistics
from runbook_lib.testing.records import LOG_COLUMNS, access, chain, key_families, looks, sessions, slow_commands
from runbook_lib.testing.series import NOW, ago
from runbook_lib.testing.sickness import Fake, Sick, given

__all__ = ["FakeCache", "FakeDatabase", "FakeHttp", "FakeLogs"]

Answer = Frame | Sick | None


class FakeLogs(Fake):
    """The logs of all pods: the given records, as `log_lines` makes them, merged in time order. Without any, a quiet service."""

    name = "logs"

    def __init__(self, *records: Frame, attrs: Mapping[str, Any] | None = None) -> None:
        self.records = records
        self._attrs = dict(attrs or {})

    def read(self, selector: str, *, window: Window, lines_per_pod: int = 2000, previous: bool = True) -> Frame:
        """The records of the window."""
        del selector, lines_per_pod, previous
        rows = [row for part in self.records for row in part.itertuples(index=False, name=None) if row[0] in window]
        quiet = [(NOW, "shop-1", "shop", "info", "GET /health 200", False, None)] if NOW in window else []
        merged = frame(sorted([*rows, *quiet], key=lambda row: row[0]), columns=LOG_COLUMNS, source=self.name)
        merged.attrs.update(self._attrs)
        return merged


class FakeDatabase(Fake):
    """PostgreSQL with 100 connections, 10 of them used, and nothing that waits.

    sessions: as `sessions` makes them. activity: as `looks` does. chains: as `chain`. access: as `access` does. plans: as `plans`
    does. statements: as `statistics` does. limits: replaces single keys. Any of them may be a `Sick`.
    """

    name = "postgres"

    def __init__(
        self,
        *,
        sessions: Answer = None,
        chains: Answer = None,
        limits: Mapping[str, Any] | Sick | None = None,
        connections: Answer = None,
        tables: Answer = None,
        query: Answer = None,
        activity: Answer = None,
        access: Answer = None,
        plans: Answer = None,
        statements: Answer = None,
    ) -> None:
        self._sessions, self._chains, self._limits = sessions, chains, limits
        self._activity, self._access, self._plans, self._statements = activity, access, plans, statements
        self._connections, self._tables, self._query = connections, tables, query

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, *, limit: int = 10_000) -> Frame:
        """The given answer, whatever is asked."""
        del sql, parameters, limit
        return self._or(self._query, frame([]))

    def connections(self) -> Frame:
        """Ten idle connections of the service."""
        columns = ["application", "user", "database", "state", "client", "count", "oldest_seconds"]
        healthy = frame([("shop", "shop", "shop", "idle", "10.0.0.1", 10, 5.0)], columns=columns, source=self.name)
        return self._or(self._connections, healthy)

    def limits(self) -> Mapping[str, Any]:
        """Well below the maximum."""
        return {
            "max_connections": 100,
            "reserved_connections": 3,
            "used_connections": 10,
            "started_at": ago(7 * 24 * 60),
            "version": "18.0",
            "in_recovery": False,
            **(given(self._limits, self.name) or {}),
        }

    def sessions(self, *, minimum_seconds: float = 1.0, limit: int = 200) -> Frame:
        """The given sessions."""
        del minimum_seconds, limit
        return self._or(self._sessions, sessions(0))

    def activity(self, *, samples: int = 8, every_seconds: float = 0.25) -> Frame:
        """The given looks."""
        del samples, every_seconds
        return self._or(self._activity, looks(0))

    def table_access(self, *, every_seconds: float = 2.0, limit: int = 50) -> Frame:
        """The given rates."""
        del every_seconds, limit
        return self._or(self._access, access())

    def statements(self, *, every_seconds: float = 2.0, limit: int = 50) -> Frame:
        """The given costs."""
        del every_seconds, limit
        return self._or(self._statements, statistics())

    def statement_plans(self, *, samples: int = 3, every_seconds: float = 0.3, limit: int = 8) -> Frame:
        """The given plans."""
        del samples, every_seconds, limit
        return self._or(self._plans, plans())

    def blocking_chains(self) -> Frame:
        """The given chains."""
        return self._or(self._chains, chain())

    def table_sizes(self, *, limit: int = 50) -> Frame:
        """One small table."""
        del limit
        row = {
            "schema": "public",
            "table": "orders",
            "total_bytes": 8 * 2**20,
            "table_bytes": 6 * 2**20,
            "index_bytes": 2 * 2**20,
            "live_rows": 1000,
            "dead_rows": 0,
            "last_autovacuum_at": None,
        }
        return self._or(self._tables, frame([row], source=self.name))

    def _or(self, answer: Answer, healthy: Frame) -> Frame:
        known = given(answer, self.name)
        return healthy if known is None else known  # the given frame itself, for what its attrs say


class FakeCache(Fake):
    """Redis with plenty of memory; `values` replace single ones of its INFO.

    slow: its slow log, as `slow_commands` makes one. keys: as `key_families` makes them. waited: seconds that its longest PING
    takes, and the share of the time that PINGs wait. Each may be a `Sick`.
    """

    name = "redis"

    def __init__(
        self, *, slow: Answer = None, keys: Answer = None, waited: tuple[float, float] | Sick = (0.001, 0.01), **values: Any
    ) -> None:
        self._slow, self._keys, self._waited = slow, keys, waited
        self._values = values

    def slow_log(self, *, limit: int = 128) -> Frame:
        """The given commands."""
        del limit
        known = given(self._slow, self.name)
        return slow_commands() if known is None else known

    def latency_events(self) -> Frame:
        """Nothing was noticed."""
        return frame([], columns=["event", "time", "latest_seconds", "maximum_seconds"], source=self.name)

    def waits(self, *, again: bool = False) -> Mapping[str, float]:
        """The given waiting."""
        del again
        longest, ratio = given(self._waited, self.name)
        return {"connect_seconds": 0.001, "longest_seconds": longest, "waited_ratio": ratio}

    def key_sample(self, *, limit: int = 500) -> Frame:
        """The given families of keys."""
        del limit
        known = given(self._keys, self.name)
        return key_families({"keys": "products:*", "sampled": 100, "bytes": 20_000}) if known is None else known

    def info(self) -> Mapping[str, Any]:
        """INFO as one flat mapping."""
        return {
            "redis_version": "7.2",
            "used_memory": 2**20,
            "maxmemory": 64 * 2**20,
            "maxmemory_policy": "allkeys-lru",
            "keyspace_hits": 900,
            "keyspace_misses": 100,
            "evicted_keys": 0,
            "connected_clients": 3,
            "ping_seconds": 0.001,
            **self._values,
        }

    def traffic(self, *, every_seconds: float = 1.5) -> Mapping[str, Any]:
        """Ninety of a hundred look-ups a second are answered."""
        del every_seconds
        rates = {"hits_per_second": 90.0, "misses_per_second": 10.0, "evicted_per_second": 0.0, "expired_per_second": 0.0}
        return {**rates, **self.info()}


class FakeHttp(Fake):
    """Endpoints that answer 200 with `{}`. `answers` maps a part of an address to a body, a status, an HttpAnswer or a Sick."""

    name = "http"

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        self._answers = dict(answers or {})

    def get(self, url: str, *, timeout_seconds: float | None = None) -> HttpAnswer:
        """The first answer whose part is in the address."""
        known: Any = next((answer for part, answer in self._answers.items() if part in url), {})
        if isinstance(known, Sick):
            return known.get(url, timeout_seconds=timeout_seconds)
        if isinstance(known, HttpAnswer):
            return known
        if isinstance(known, int):
            error, state = (None, "ok") if known < 400 else (f"HTTP {known}", "invalid_answer")
            return HttpAnswer(url=url, status=known, seconds=0.01, body={}, error=error, state=state)
        return HttpAnswer(url=url, status=200, seconds=0.01, body=known)
