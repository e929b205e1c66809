"""What Prometheus knows of the cache: by the service's own counters (Micrometer), and by redis_exporter.

Sources: the documentation of Micrometer's cache metrics and of oliver006/redis_exporter, whose names others have taken over.
"""

from __future__ import annotations

from collections.abc import Iterator

from runbook_lib.service.instrumentation.catalogue import Catalogue
from runbook_lib.service.instrumentation.choosing import Finder
from runbook_lib.service.instrumentation.presets import Requests
from runbook_lib.service.instrumentation.promql import Matchers, rate, vector
from runbook_lib.service.models import Service

__all__ = ["cache_expressions"]

_LOOK_UPS = "cache_gets_total"
_HITS, _MISSES = "redis_keyspace_hits_total", "redis_keyspace_misses_total"
_USED, _MAXIMUM = "redis_memory_used_bytes", ("redis_memory_max_bytes", "redis_config_maxmemory")
_COUNTERS = {"cache_evictions": "redis_evicted_keys_total", "cache_expirations": "redis_expired_keys_total"}
_CLIENTS = "redis_connected_clients"
_NAMESPACE = ("exported_namespace", "namespace", "kubernetes_namespace")
_SERVER = ("addr", "instance", "pod")  # what tells one Redis from another
Found = Iterator[tuple[str, str, dict[str, str]]]


def cache_expressions(service: Service, finder: Finder, catalogue: Catalogue, window: str) -> Found:
    """Give name, PromQL and labels of each measure of the cache. Nothing where it cannot be told whose series they are."""
    own = finder.owner(_LOOK_UPS, Requests())
    if own is not None:
        gets = rate(_LOOK_UPS, own, window)
        hits = rate(_LOOK_UPS, own.where("result", "=", "hit"), window)
        yield "cache_hit_ratio", f"sum ({hits}) / (sum ({gets}) > 0)", {}
    if service.components.cache is None or (server := _server(service, catalogue)) is None:
        return
    names = catalogue.names(server) if server else catalogue.names()
    if {_HITS, _MISSES} <= names:
        hits, misses = (f"sum ({rate(name, server, window)})" for name in (_HITS, _MISSES))
        yield "cache_hit_ratio", f"{hits} / ({hits} + {misses} > 0)", {}
    for measure, name in _COUNTERS.items():
        if name in names:
            yield measure, f"sum ({rate(name, server, window)})", {}
    maximum = next((name for name in _MAXIMUM if name in names), None)
    if _USED in names and maximum:
        # Of several, such as a primary and its replicas, the fullest; a maximum of 0 says that there is none.
        used, limit = (f"max by ({_by(catalogue)}) ({vector(name, server)})" for name in (_USED, maximum))
        yield "cache_memory_ratio", f"max ({used} / ({limit} > 0))", {}
    if _CLIENTS in names:
        yield "cache_clients", f"max ({vector(_CLIENTS, server)})", {}


def _server(service: Service, catalogue: Catalogue) -> Matchers | None:
    """The matchers that select this service's Redis: the given ones, else the namespace's, when one Redis is all that it has."""
    if _USED not in catalogue.names():
        return None
    given = service.components.cache.metrics_selector if service.components.cache is not None else {}
    if given:
        matchers = Matchers.equal(given)
        return matchers if _USED in catalogue.names(matchers) else None
    labels = catalogue.labels(_USED)
    kubernetes = service.connections.kubernetes
    label = next((name for name in _NAMESPACE if name in labels), None)
    if label is not None and kubernetes is not None:
        matchers = Matchers().where(label, "=", kubernetes.namespace)
        return matchers if _USED in catalogue.names(matchers) and _single(catalogue, matchers) else None
    return Matchers() if _single(catalogue, Matchers()) else None


def _single(catalogue: Catalogue, matchers: Matchers) -> bool:
    return len(catalogue.values(_by(catalogue), _USED, matchers)) <= 1


def _by(catalogue: Catalogue) -> str:
    """The label that tells one Redis from another."""
    labels = catalogue.labels(_USED)
    return next((label for label in _SERVER if label in labels), _SERVER[1])
