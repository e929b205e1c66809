"""What is measured, by our names: the vocabulary that checks ask in, whatever a service's own metrics are called."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MEASURES", "Measure"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity: its unit, and the labels (ours) that its answer may carry. `text` says what it is."""

    unit: str
    text: str
    labels: tuple[str, ...] = ()


MEASURES: dict[str, Measure] = {
    "request_rate": Measure("requests/s", "requests that the service answers"),
    "requests_by_status": Measure("requests/s", "requests by HTTP status or gRPC code", ("status",)),
    "error_ratio": Measure("ratio", "failed requests to all requests; 0 without errors, no value without requests"),
    "errors_by_status": Measure("requests/s", "failed requests by status", ("status",)),
    "errors_by_route": Measure("requests/s", "failed requests by route", ("route",)),
    "errors_by_exception": Measure("requests/s", "failed requests by the exception that failed them", ("exception",)),
    "error_ratio_by_pod": Measure("ratio", "failed requests to all requests of each pod", ("pod",)),
    "error_ratio_by_version": Measure("ratio", "failed requests to all requests of each version", ("version",)),
    "latency_quantile": Measure("seconds", "response time at $quantile"),
    "latency_by_route": Measure("seconds", "response time at $quantile by route", ("route",)),
    "latency_by_pod": Measure("seconds", "response time at $quantile of each pod", ("pod",)),
    "latency_by_version": Measure("seconds", "response time at $quantile of each version", ("version",)),
    "latency_mean": Measure("seconds", "response time on average, where nothing better is exported"),
    "pool_in_use": Measure("connections", "connections that are taken from the pool", ("pod", "pool")),
    "pool_size": Measure("connections", "connections that the pool may open", ("pod", "pool")),
    "pool_waiting": Measure("requests", "requests that wait for a connection", ("pod", "pool")),
    "pool_timeouts": Measure("requests/s", "requests that waited for a connection in vain", ("pod", "pool")),
    "downstream_rate": Measure("requests/s", "calls to each downstream service", ("downstream",)),
    "downstream_errors": Measure("requests/s", "failed calls to each downstream service", ("downstream",)),
    "downstream_error_ratio": Measure("ratio", "failed calls to all calls of each downstream service", ("downstream",)),
    "downstream_latency": Measure("seconds", "duration of the calls to each downstream service at $quantile", ("downstream",)),
    "breaker_state": Measure("state", "1 while the circuit breaker is open, 0 while it is closed", ("downstream",)),
    "statement_latency": Measure("seconds", "mean duration of each kind of statement of the database", ("statement",)),
    "cache_hit_ratio": Measure("ratio", "look-ups that the cache answered, to all"),
    "cache_evictions": Measure("keys/s", "keys that the cache threw out to make room"),
    "cache_expirations": Measure("keys/s", "keys of the cache whose lifetime ended"),
    "cache_memory_ratio": Measure("ratio", "memory that the cache uses, to its maximum; nothing without a maximum"),
    "cache_clients": Measure("connections", "connections to the cache"),
    "memory_working_set": Measure("bytes", "memory that counts against the limit", ("pod",)),
    "memory_limit": Measure("bytes", "memory above which the container is killed", ("pod",)),
    "memory_ratio": Measure("ratio", "working set to limit", ("pod",)),
    "cpu_usage": Measure("cores", "CPU time used per second", ("pod",)),
    "cpu_limit": Measure("cores", "CPU time allowed per second", ("pod",)),
    "cpu_request": Measure("cores", "CPU time that is kept free for the container on its node", ("pod",)),
    "cpu_throttled_ratio": Measure("ratio", "scheduling periods in which the container was held back, to all", ("pod",)),
    "cpu_pressure_ratio": Measure("ratio", "time in which something in the pod waited for a processor, to all", ("pod",)),
    "node_cpu_ratio": Measure("ratio", "processor time of each node in use, to all that it has", ("node",)),
    "tcp_retransmit_ratio": Measure("ratio", "TCP segments that a node had to send again, to all that it sent", ("node",)),
    "restarts": Measure("restarts", "restarts of the container since its pod was made", ("pod",)),
    "oom_kills": Measure("pods", "1 where the container's last end was an OOM kill", ("pod",)),
    "replicas_available": Measure("pods", "pods of the Deployment that are available"),
    "replicas_desired": Measure("pods", "pods that the Deployment asks for"),
    "pods_ready": Measure("pods", "pods that are ready"),
}
