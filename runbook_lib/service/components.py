"""What a service is made of, as the cluster runs it."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from runbook_lib.durations import parse_duration
from runbook_lib.errors import UsageError
from runbook_lib.service.fields import AbsolutePath, Count, Fields, FilePath, HostAndPort, KubernetesName, Name, Selector, UrlPath
from runbook_lib.service.reference import Reference, SecretReference

__all__ = [
    "Application",
    "CacheComponent",
    "CacheLifetime",
    "Components",
    "DatabaseComponent",
    "HeapDumps",
    "PoolSetting",
    "QueueComponent",
]


class HeapDumps(Fields):
    """How heap dumps of its processes are taken, where that cannot be found out in the container."""

    runtime: Literal["node", "java", "python"] | None = None
    """What the processes are; None: as `technology` says, or as the container shows."""
    directory: AbsolutePath | None = None
    """Directory of the container that dumps are written to; None: an emptyDir, else /tmp."""
    folder: FilePath | None = None
    """Folder here that they are kept in; None: the incident's own."""
    dump_path: UrlPath | None = None
    """GET path of a pod that answers with a dump, such as `/actuator/heapdump`."""
    start_path: UrlPath | None = None
    """POST path that begins to trace allocations, for a runtime that does so only when it is told."""
    stop_path: UrlPath | None = None
    """POST path that ends it."""
    token: SecretReference | None = None
    """Bearer token of these endpoints; None: that of connections.http."""

    @model_validator(mode="after")
    def _tracing_gives_dumps(self) -> Self:
        if (self.start_path or self.stop_path) and not (self.dump_path and self.start_path and self.stop_path):
            raise ValueError("must have dump_path, start_path and stop_path together where allocations are traced")
        return self


class Application(Fields):
    """The processes of the service itself, as the cluster runs them."""

    technology: str = ""
    """Language and framework, such as `Python 3.11`."""
    deployment: KubernetesName
    """The Deployment's name in the cluster."""
    container: KubernetesName | None = None
    """The container that does the work, when its pods have several; None: the first in actions, any elsewhere."""
    selector: Selector
    """Label selector of its pods, such as `app=orders`."""
    kubernetes_service: KubernetesName | None = None
    """The Service that clients call."""
    replicas_minimum: Annotated[int, Field(ge=0)] = 1
    """Fewer pods than this are an incident."""
    replicas_maximum: Count | None = None
    """Where the autoscaler stops."""
    region: str = ""
    """Where it runs."""
    config_map: KubernetesName | None = None
    """The config map that holds its settings."""
    secrets: tuple[KubernetesName, ...] = ()
    """Names of the secrets it reads. Only their presence and keys are ever looked at."""
    version_label: str | None = "app.kubernetes.io/version"
    """Pod label that carries the version."""
    url: Reference | None = None
    """Base address of the service for health and admin calls."""
    health_path: UrlPath = "/health"
    """Path that answers 2xx while the service is well."""
    feature_flag_path: UrlPath | None = None
    """POST path that switches a feature off, such as `/admin/features/{name}/disable`."""
    heap_dumps: HeapDumps = HeapDumps()

    @model_validator(mode="after")
    def _replicas_are_ordered(self) -> Self:
        if self.replicas_maximum is not None and self.replicas_maximum < self.replicas_minimum:
            raise ValueError(
                f"must have replicas_minimum at most replicas_maximum; found {self.replicas_minimum} and {self.replicas_maximum}"
            )
        return self


class PoolSetting(Fields):
    """Where the connection pool's size is configured."""

    key: Name = "DATABASE_POOL_SIZE"
    """Key in the config map."""
    config_map: KubernetesName | None = None
    """The config map; None: the application's."""
    maximum: Count | None = None
    """Connections per pod that the database can bear."""


class DatabaseComponent(Fields):
    """The PostgreSQL database that the service keeps its data in."""

    type: str = "PostgreSQL"
    """Product and version."""
    name: Name
    """Database name."""
    address: HostAndPort | None = None
    """Where a pod of the service connects to, such as `postgres:5432`; None: what its config map says."""
    application_name: str | None = None
    """`application_name` (or user) by which this service's sessions are known in pg_stat_activity; a pattern with *."""
    user: str | None = None
    """The role that the service logs in as."""
    selector: Selector | None = None
    """Label selector of its pods, when it runs in the cluster."""
    pod: KubernetesName | None = None
    """The primary's pod, such as `postgres-0`."""
    configuration: str = ""
    """Primary and replicas, size."""
    backup: str = ""
    """Schedule and retention."""
    pool: PoolSetting = PoolSetting()

    @property
    def tells_its_sessions(self) -> bool:
        """Whether anything tells the service's sessions from those of others on the same server."""
        return bool(self.application_name or self.user)

    def owns(self, *, application: str, user: str) -> bool:
        """Whether a session of this application name and role is the service's; any is where nothing tells them apart."""
        if self.application_name:
            return fnmatchcase(application, self.application_name)
        return not self.user or fnmatchcase(user, self.user)


class CacheLifetime(Fields):
    """Where it is configured for how long the cache keeps an entry (its time to live)."""

    key: Name
    """Key in the config map, or variable of the container, such as `CACHE_SECONDS`."""
    config_map: KubernetesName | None = None
    """The config map; None: the application's."""
    unit_seconds: Annotated[float, Field(gt=0)] = 1.0
    """What one of a plain number is in seconds: 0.001 where it is milliseconds, 60 where it is minutes."""
    usual_seconds: Annotated[float, Field(gt=0)] | None = None
    """The lifetime that the service is designed for."""

    def seconds(self, value: str) -> float | None:
        """What a value of the setting is in seconds: a plain number in its unit, else a duration such as `10m`; None: neither."""
        if re.fullmatch(r"\d+(\.\d+)?", value.strip()):
            return float(value) * self.unit_seconds
        try:
            return parse_duration(value).total_seconds()
        except UsageError:
            return None


class CacheComponent(Fields):
    """The Redis in front of the database."""

    type: str = "Redis"
    """Product and version."""
    address: HostAndPort | None = None
    """Where a pod of the service connects to, such as `redis:6379`; None: what its config map says."""
    usage: str = ""
    """What is cached, and for how long."""
    eviction_policy: str = ""
    """What is thrown out first, such as `allkeys-lru`."""
    warm_path: UrlPath | None = None
    """POST path of the service that fills the cache, such as `/admin/cache-warmup`."""
    metrics_selector: dict[str, str] = Field(default_factory=dict)
    """Labels that select its exporter's series in Prometheus."""
    lifetime: CacheLifetime | None = None
    """Where the entries' lifetime is set."""
    selector: Selector | None = None
    """Label selector of its pods, when it runs in the cluster."""


class QueueComponent(Fields):
    """The message queue."""

    type: str = "RabbitMQ"
    """Product and version."""
    address: HostAndPort | None = None
    """Where a pod of the service connects to, such as `rabbitmq:5672`; None: what its config map says."""
    queues: tuple[str, ...] = ()
    """The queues and what they carry."""
    retention: str = ""
    """How long messages are kept."""


class Components(Fields):
    """What the service is made of."""

    application: Application
    database: DatabaseComponent | None = None
    cache: CacheComponent | None = None
    queue: QueueComponent | None = None
