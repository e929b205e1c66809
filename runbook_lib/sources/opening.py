"""All sources of a service. Nothing is asked yet: a dead system must not keep the others from being read."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runbook_lib.errors import ConfigurationError
from runbook_lib.service import Service
from runbook_lib.sources.absent import AbsentSource
from runbook_lib.sources.interface import Cache, Cluster, Database, Http, Logs, Metrics, Sources

if TYPE_CHECKING:
    from runbook_lib.sources.kubernetes import KubernetesCluster

__all__ = ["open_sources"]


def open_sources(service: Service) -> Sources:
    """One client for each connection of the service file; a stand-in that says so for each that is missing."""
    cluster = _cluster(service)
    return Sources(
        metrics=_metrics(service),
        cluster=cluster or _absent_cluster(),
        logs=_logs(service, cluster),
        database=_database(service),
        cache=_cache(service),
        http=_http(service),
    )


def _metrics(service: Service) -> Metrics:
    from runbook_lib.sources.prometheus import PrometheusMetrics

    connection = service.connections.prometheus
    return PrometheusMetrics(connection) if connection else AbsentSource("prometheus", "prometheus")


def _cluster(service: Service) -> KubernetesCluster | None:
    from runbook_lib.sources.kubernetes import KubernetesCluster

    connection, application = service.connections.kubernetes, service.components.application
    if connection is None:
        return None
    return KubernetesCluster(connection, version_label=application.version_label, container=application.container)


def _absent_cluster() -> Cluster:
    return AbsentSource("kubernetes", "kubernetes")


def _logs(service: Service, cluster: KubernetesCluster | None) -> Logs:
    from runbook_lib.sources.logs import PodLogs

    if cluster is None:
        return AbsentSource("logs", "kubernetes")
    return PodLogs(cluster, service.instrumentation.logs, container=service.components.application.container)


def _database(service: Service) -> Database:
    from runbook_lib.sources.postgres import PostgresDatabase

    connection = service.connections.postgres
    return PostgresDatabase(connection) if connection else AbsentSource("postgres", "postgres")


def _cache(service: Service) -> Cache:
    from runbook_lib.sources.redis import RedisCache

    connection = service.connections.redis
    return RedisCache(connection) if connection else AbsentSource("redis", "redis")


def _http(service: Service) -> Http:
    from runbook_lib.sources.http import HttpEndpoints

    own: tuple[str, ...] = ()
    if service.components.application.url is not None:
        try:
            host = urlsplit(service.components.application.url.resolve()).hostname
        except (ConfigurationError, ValueError):
            host = None  # the check that asks this address will say what is wrong with it
        own = (host,) if host else ()
    return HttpEndpoints(service.connections.http, own=own)
