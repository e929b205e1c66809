"""What the orders service is told by its environment: config map, secrets, and the pod itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from runbook_lab.shop.breaker import BreakerSettings


@dataclass(frozen=True, kw_only=True)
class DownstreamSettings:
    """A service that is called: where, how long to wait for it [s], and when to stop calling."""

    name: str
    url: str
    timeout_seconds: float
    breaker: BreakerSettings


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """The database, and the pool of connections to it. `pool_timeout_seconds`: how long a request waits for a connection."""

    host: str
    port: int
    name: str
    user: str
    password: str
    pool_size: int
    pool_timeout_seconds: float


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of the orders service. `memory_limit_bytes` is None where the container has no limit."""

    version: str
    log_level: str
    admin_token: str
    database: DatabaseSettings
    cache_host: str
    cache_port: int
    cache_seconds: int
    delivery_cache_seconds: int
    payments: DownstreamSettings
    inventory: DownstreamSettings
    memory_limit_bytes: int | None
    features: tuple[str, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read all settings. Raises KeyError or ValueError, which end the process: better not to start than to run half-told."""
        database, redis = urlsplit(environment["DATABASE_URL"]), urlsplit(environment["REDIS_URL"])
        limit = int(environment.get("MEMORY_LIMIT_BYTES") or 0)
        return cls(
            version=environment.get("ORDERS_VERSION", "unknown"),
            log_level=environment.get("LOG_LEVEL", "INFO"),
            admin_token=environment["ADMIN_TOKEN"],
            database=DatabaseSettings(
                host=database.hostname or "postgres",
                port=database.port or 5432,
                name=database.path.lstrip("/"),
                user=environment["DATABASE_USER"],
                password=environment["DATABASE_PASSWORD"],
                pool_size=int(environment["DATABASE_POOL_SIZE"]),
                pool_timeout_seconds=float(environment.get("DATABASE_POOL_TIMEOUT_SECONDS", "0.5")),
            ),
            cache_host=redis.hostname or "redis",
            cache_port=redis.port or 6379,
            cache_seconds=int(environment.get("CACHE_SECONDS", "60")),
            delivery_cache_seconds=int(environment.get("DELIVERY_CACHE_SECONDS", "86400")),
            payments=_downstream("payments", environment, threshold=0.5),
            inventory=_downstream("inventory", environment, threshold=0.7),
            memory_limit_bytes=limit or None,
            features=tuple(environment.get("FEATURES", "").replace(",", " ").split()),
        )


def _downstream(name: str, environment: Mapping[str, str], *, threshold: float) -> DownstreamSettings:
    prefix = name.upper()
    return DownstreamSettings(
        name=name,
        url=environment[f"{prefix}_URL"].rstrip("/"),
        timeout_seconds=float(environment.get(f"{prefix}_TIMEOUT_SECONDS", "2")),
        breaker=BreakerSettings(
            threshold_ratio=float(environment.get(f"{prefix}_BREAKER_THRESHOLD_RATIO", threshold)),
            minimum_calls=int(environment.get("BREAKER_MINIMUM_CALLS", "100")),
            window_seconds=float(environment.get("BREAKER_WINDOW_SECONDS", "10")),
            open_seconds=float(environment.get("BREAKER_OPEN_SECONDS", "15")),
        ),
    )
