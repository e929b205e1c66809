"""What real exporters export of a service: metrics and labels as their documentation has them, one in ten requests failing.

`prometheus_of` puts the service next to what must not be taken for it: the same service in another namespace, and another one
whose name begins alike, both of which fail all the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runbook_lib.service.instrumentation import Matchers
from runbook_lib.service.instrumentation.promql import ANY

HASH = "6c8b7d9f5b"
RATE, FAILED_RATIO, SECONDS = 10.0, 0.1, 0.05


@dataclass(frozen=True)
class Sample:
    """A series: its labels (`__name__` too), and what it shows: a rate if it is a counter, else a value."""

    labels: Mapping[str, str]
    value: float
    counter: bool = True


@dataclass(frozen=True)
class Place:
    """Whose series: the names, and the ratio of failed requests."""

    name: str
    namespace: str
    failed: float = FAILED_RATIO

    @property
    def pod(self) -> str:
        return f"{self.name}-{HASH}-x7k2p"

    @property
    def scraped(self) -> dict[str, str]:
        """The labels that Prometheus' operator gives to what it scrapes."""
        target = {"namespace": self.namespace, "pod": self.pod, "container": self.name, "endpoint": "http-management"}
        return {**target, "service": self.name, "job": self.name, "instance": "10.0.0.7:8080"}


def counter(metric: str, rate: float, /, **labels: str) -> Sample:
    return Sample({"__name__": metric, **labels}, rate)


def gauge(metric: str, value: float, /, **labels: str) -> Sample:
    return Sample({"__name__": metric, **labels}, value, counter=False)


def by_status(metric: str, place: Place, status: str, ok: str, failed: str, /, **labels: str) -> Iterator[Sample]:
    yield counter(metric, RATE * (1 - place.failed), **labels, **{status: ok})
    yield counter(metric, RATE * place.failed, **labels, **{status: failed})


def histogram(metric: str, rate: float = RATE, unit: float = 1.0, /, **labels: str) -> Iterator[Sample]:
    """All requests take up to SECONDS; `unit` is how many of its units a second has."""
    for limit, part in ((SECONDS / 2, 0.0), (SECONDS, 1.0), (4 * SECONDS, 1.0)):
        yield counter(f"{metric}_bucket", rate * part, **labels, le=f"{limit * unit:g}")
    yield counter(f"{metric}_bucket", rate, **labels, le="+Inf")
    yield counter(f"{metric}_count", rate, **labels)
    yield counter(f"{metric}_sum", rate * SECONDS * unit, **labels)


def histogram_by_status(
    metric: str, place: Place, status: str, ok: str, failed: str, unit: float = 1.0, /, **labels: str
) -> Iterator[Sample]:
    yield from histogram(metric, RATE * (1 - place.failed), unit, **labels, **{status: ok})
    yield from histogram(metric, RATE * place.failed, unit, **labels, **{status: failed})


def python(place: Place) -> Iterator[Sample]:
    own = {**place.scraped, "method": "GET", "route": "/orders", "version": "1.4.0"}
    yield from by_status("http_requests_total", place, "status", "200", "500", **own)
    yield from histogram("http_request_duration_seconds", **own)


def fastapi(place: Place) -> Iterator[Sample]:
    own = {"namespace": place.namespace, "pod": place.pod, "job": f"{place.namespace}/{place.name}", "handler": "/orders"}
    yield from by_status("http_requests_total", place, "status", "2xx", "5xx", **own, method="GET")
    yield from histogram("http_request_duration_seconds", **own, method="GET")
    yield from histogram("http_request_duration_highr_seconds", **{label: own[label] for label in ("namespace", "pod", "job")})


def starlette(place: Place) -> Iterator[Sample]:
    own = {"app_name": place.name, "namespace": place.namespace, "path": "/orders", "method": "GET"}
    yield from by_status("starlette_requests_total", place, "status_code", "200", "500", **own)
    yield from histogram_by_status("starlette_request_duration_seconds", place, "status_code", "200", "500", **own)


def flask(place: Place) -> Iterator[Sample]:
    own = {"namespace": place.namespace, "pod": place.pod}
    yield from by_status("flask_http_request_total", place, "status", "200", "500", **own, method="GET")
    yield from histogram_by_status(
        "flask_http_request_duration_seconds", place, "status", "200", "500", **own, path="/orders", method="GET"
    )


def django(place: Place) -> Iterator[Sample]:
    own = {**place.scraped, "view": "orders", "method": "GET"}
    yield from by_status("django_http_responses_total_by_status_view_method_total", place, "status", "200", "500", **own)
    yield from by_status("django_http_responses_total_by_status_total", place, "status", "200", "500", **place.scraped)
    yield from histogram("django_http_requests_latency_seconds_by_view_method", **own)


def dotnet(place: Place) -> Iterator[Sample]:
    own = {"app": place.name, "kubernetes_namespace": place.namespace, "endpoint": "orders", "method": "GET"}
    yield from by_status("http_requests_received_total", place, "code", "200", "500", **own)
    yield from histogram_by_status("http_request_duration_seconds", place, "code", "200", "500", **own)
    yield gauge("go_sql_in_use_connections", 0, app="another")


def express(place: Place) -> Iterator[Sample]:
    yield from histogram_by_status(
        "http_request_duration_seconds", place, "status_code", "200", "500", **place.scraped, path="/orders", method="GET"
    )


def milliseconds(place: Place) -> Iterator[Sample]:
    yield from histogram_by_status(
        "http_request_duration_milliseconds", place, "code", "200", "500", 1000, **place.scraped, route="/orders"
    )


def go(place: Place) -> Iterator[Sample]:
    yield from by_status("http_requests_total", place, "code", "200", "500", **place.scraped, handler="/orders", method="get")
    for share in ("0.5", "0.95", "0.99"):
        yield gauge("http_request_duration_seconds", SECONDS, **place.scraped, handler="/orders", quantile=share)
    yield counter("http_request_duration_seconds_count", RATE, **place.scraped, handler="/orders")
    yield counter("http_request_duration_seconds_sum", RATE * SECONDS, **place.scraped, handler="/orders")
    yield gauge("go_sql_in_use_connections", 8, **place.scraped, db_name="orders")
    yield gauge("go_sql_max_open_connections", 10, **place.scraped, db_name="orders")


def ruby(place: Place) -> Iterator[Sample]:
    yield from by_status("http_server_requests_total", place, "code", "200", "500", **place.scraped, method="get", path="/orders")
    yield from histogram("http_server_request_duration_seconds", **place.scraped, method="get", path="/orders")


def micrometer(place: Place) -> Iterator[Sample]:
    own = {**place.scraped, "application": place.name}
    request = {**own, "method": "GET", "uri": "/orders"}
    passed = {"exception": "none", "error": "none", "outcome": "SUCCESS", "status": "200"}
    failed = {"exception": "SQLTransientConnectionException", "outcome": "SERVER_ERROR", "status": "500"}
    yield from histogram("http_server_requests_seconds", RATE * (1 - place.failed), **request, **passed)
    yield from histogram(
        "http_server_requests_seconds", RATE * place.failed, **request, **failed, error="SQLTransientConnectionException"
    )
    call = {**own, "client_name": "payments", "method": "POST", "uri": "/charge"}
    yield from histogram("http_client_requests_seconds", RATE * (1 - place.failed), **call, outcome="SUCCESS", status="200")
    yield from histogram("http_client_requests_seconds", RATE * place.failed, **call, outcome="UNKNOWN", status="CLIENT_ERROR")
    yield gauge("hikaricp_connections_active", 8, **own, pool="HikariPool-1")
    yield gauge("hikaricp_connections_max", 10, **own, pool="HikariPool-1")
    yield gauge("hikaricp_connections_pending", 3, **own, pool="HikariPool-1")
    yield counter("hikaricp_connections_timeout_total", 2, **own, pool="HikariPool-1")
    for state in ("closed", "open", "half_open", "forced_open", "disabled", "metrics_only"):
        yield gauge(
            "resilience4j_circuitbreaker_state", float(state == "open"), **own, name="payments", state=state, group="none"
        )


def opentelemetry(place: Place) -> Iterator[Sample]:
    own = {"job": f"{place.namespace}/{place.name}", "instance": place.pod}
    request = {**own, "http_request_method": "GET", "http_route": "/orders", "url_scheme": "http"}
    name = "http_server_request_duration_seconds"
    yield from histogram(name, RATE * (1 - place.failed), **request, http_response_status_code="200")
    yield from histogram(name, RATE * place.failed, **request, http_response_status_code="500", error_type="PoolTimeout")
    call = {**own, "server_address": "payments", "server_port": "8080"}
    name = "http_client_request_duration_seconds"
    yield from histogram(name, RATE * (1 - place.failed), **call, http_response_status_code="200")
    yield from histogram(name, RATE * place.failed, **call, error_type="timeout")
    pool = {**own, "db_client_connection_pool_name": "orders"}
    yield gauge("db_client_connection_count", 8, **pool, db_client_connection_state="used")
    yield gauge("db_client_connection_count", 2, **pool, db_client_connection_state="idle")
    yield gauge("db_client_connection_max", 10, **pool)
    yield gauge("db_client_connection_pending_requests", 3, **pool)
    yield counter("db_client_connection_timeouts_total", 2, **pool)


def opentelemetry_before_stable(place: Place) -> Iterator[Sample]:
    own = {"service_name": place.name, "k8s_namespace_name": place.namespace, "k8s_pod_name": place.pod}
    request = {**own, "http_method": "GET", "http_route": "/orders"}
    yield from histogram_by_status("http_server_duration_milliseconds", place, "http_status_code", "200", "500", 1000, **request)
    call = {**own, "net_peer_name": "payments"}
    yield from histogram_by_status("http_client_duration_milliseconds", place, "http_status_code", "200", "503", 1000, **call)
    for state, count in (("used", 8), ("idle", 2)):
        yield gauge("db_client_connections_usage", count, **own, pool_name="orders", state=state)
    yield gauge("db_client_connections_max", 10, **own, pool_name="orders")


def opentelemetry_by_collector(place: Place) -> Iterator[Sample]:
    """The collector's own Prometheus exporter, scraped: what it says of the service collides with the scrape's own labels."""
    own = {"exported_job": f"{place.namespace}/{place.name}", "job": "collector", "namespace": "observability"}
    yield from histogram_by_status(
        "http_server_request_duration_seconds", place, "http_response_status_code", "200", "500", **own, http_route="/orders"
    )


def grpc_go(place: Place) -> Iterator[Sample]:
    own = {**place.scraped, "grpc_service": "shop.Orders", "grpc_method": "Place", "grpc_type": "unary"}
    yield from by_status("grpc_server_handled_total", place, "grpc_code", "OK", "Unavailable", **own)
    yield counter("grpc_server_handled_total", 0.0, **own, grpc_code="NotFound")
    yield from histogram("grpc_server_handling_seconds", **own)
    call = {**place.scraped, "grpc_service": "shop.Payments", "grpc_method": "Charge", "grpc_type": "unary"}
    yield from by_status("grpc_client_handled_total", place, "grpc_code", "OK", "DeadlineExceeded", **call)


def grpc_java(place: Place) -> Iterator[Sample]:
    own = {"app": place.name, "namespace": place.namespace, "grpc_service": "shop.Orders", "grpc_method": "Place"}
    yield from by_status("grpc_server_handled_total", place, "code", "OK", "DEADLINE_EXCEEDED", **own)
    yield from histogram("grpc_server_handling_seconds", **own)


def istio(place: Place) -> Iterator[Sample]:
    def between(reporter: str, source: str, destination: str) -> dict[str, str]:
        pod = f"{destination if reporter == 'destination' else source}-{HASH}-x7k2p"
        return {
            "reporter": reporter, "source_workload": source, "source_workload_namespace": place.namespace,
            "source_canonical_service": source, "destination_workload": destination, "destination_canonical_service": destination,
            "destination_workload_namespace": place.namespace, "destination_service_name": destination,
            "destination_service_namespace": place.namespace,
            "destination_service": f"{destination}.{place.namespace}.svc.cluster.local",
            "destination_version": "v3", "namespace": place.namespace, "pod": pod,
        }  # fmt: skip

    for reporter in ("destination", "source"):
        into, out = between(reporter, "storefront", place.name), between(reporter, place.name, "payments")
        yield from by_status("istio_requests_total", place, "response_code", "200", "503", **into)
        yield from histogram("istio_request_duration_milliseconds", RATE, 1000, **into)
        yield from by_status("istio_requests_total", place, "response_code", "200", "0", **out)
        yield from histogram("istio_request_duration_milliseconds", RATE, 1000, **out)


def istio_grpc(place: Place) -> Iterator[Sample]:
    """The same of gRPC: what fails within the service is an HTTP 200, what the proxy gives up is a 503 and Unavailable (14)."""
    by_code = {"200": "0", "503": "14", "0": "14"}
    for one in istio(place):
        code = one.labels.get("response_code")
        if code is None:
            yield one
            continue
        protocol = {"request_protocol": "grpc"}
        yield Sample({**one.labels, **protocol, "grpc_response_status": by_code[code]}, one.value)
        if code == "200":
            for status in ("13", "5"):  # Internal; NotFound, which is the caller's own mistake
                yield Sample({**one.labels, **protocol, "grpc_response_status": status}, one.value)


def envoy(place: Place) -> Iterator[Sample]:
    gateway = {"namespace": place.namespace, "pod": f"gateway-{HASH}-x7k2p", "app": "gateway"}
    own = {**gateway, "envoy_cluster_name": place.name}
    yield from by_status("envoy_cluster_upstream_rq", place, "envoy_response_code", "200", "503", **own)
    yield from histogram("envoy_cluster_upstream_rq_time", RATE, 1000, **own)


def ingress_nginx(place: Place) -> Iterator[Sample]:
    own = {
        "namespace": "ingress-nginx", "service": "ingress-nginx-controller-metrics", "job": "ingress-nginx-controller-metrics",
        "pod": f"ingress-nginx-controller-{HASH}-x7k2p", "app_kubernetes_io_version": "1.12.1",
        "exported_namespace": place.namespace, "exported_service": place.name, "ingress": "storefront",
        "host": "shop.example.com", "path": "/orders", "method": "GET", "canary": "",
    }  # fmt: skip
    yield from by_status("nginx_ingress_controller_requests", place, "status", "200", "503", **own)
    yield from histogram_by_status("nginx_ingress_controller_request_duration_seconds", place, "status", "200", "503", **own)


def cluster(place: Place) -> Iterator[Sample]:
    """cAdvisor and kube-state-metrics."""
    pod = {"namespace": place.namespace, "pod": place.pod}
    scraped = {"job": "kubelet", "service": "kubelet", "instance": "10.0.0.1:10250"}
    for container, used in ((place.name, 200e6), ("POD", 1e6), ("", 201e6)):
        own = {**pod, **scraped, "container": container}
        yield gauge("container_memory_working_set_bytes", used, **own)
        yield counter("container_cpu_usage_seconds_total", 0.5, **own)
    own = {**pod, **scraped, "container": place.name}
    yield counter("container_cpu_cfs_periods_total", 10, **own)
    yield counter("container_cpu_cfs_throttled_periods_total", 1, **own)
    state = {"job": "kube-state-metrics", "service": "kube-state-metrics", "instance": "10.0.0.2:8080", **pod}
    of_container = {**state, "container": place.name}
    yield gauge("kube_pod_container_resource_limits", 400e6, **of_container, resource="memory", unit="byte")
    yield gauge("kube_pod_container_resource_limits", 2, **of_container, resource="cpu", unit="core")
    yield gauge("kube_pod_container_status_restarts_total", 3, **of_container)
    yield gauge("kube_pod_container_status_last_terminated_reason", 1, **of_container, reason="OOMKilled")
    yield gauge("kube_pod_status_ready", 1, **state, condition="true")
    yield gauge("kube_pod_status_ready", 0, **state, condition="false")
    deployment = {**{name: value for name, value in state.items() if name != "pod"}, "deployment": place.name}
    yield gauge("kube_deployment_status_replicas_available", 1, **deployment)
    yield gauge("kube_deployment_spec_replicas", 2, **deployment)


def node_exporter(region: str, *, node: bool) -> Iterator[Sample]:
    """One node of a cluster, at the address that a node of every cluster has; `node`: scraped with its name."""
    own = {"job": "node-exporter", "instance": "10.0.0.1:9100", "cluster": region, **({"node": f"{region}-1"} if node else {})}
    yield counter("node_cpu_seconds_total", 0.5, **own, mode="idle")
    yield counter("node_netstat_Tcp_RetransSegs", 1, **own)
    yield counter("node_netstat_Tcp_OutSegs", 100, **own)
    yield gauge("node_uname_info", 1, **own, nodename=f"{region}-1")


def redis_exporter(place: Place, *, instance: str = "") -> Iterator[Sample]:
    """One Redis of the place's namespace; nine in ten look-ups are answered."""
    own = {"namespace": place.namespace, "job": "redis-exporter", "instance": instance or f"redis.{place.namespace}:9121"}
    yield counter("redis_keyspace_hits_total", 9, **own)
    yield counter("redis_keyspace_misses_total", 1, **own)
    yield counter("redis_evicted_keys_total", 2, **own)
    yield counter("redis_expired_keys_total", 4, **own)
    yield gauge("redis_memory_used_bytes", 30e6, **own)
    yield gauge("redis_memory_max_bytes", 60e6, **own)
    yield gauge("redis_connected_clients", 12, **own)


@dataclass(frozen=True)
class Exporter:
    """What exports, the preset that describes it, and which measures it has beyond those of requests."""

    export: Callable[[Place], Iterator[Sample]]
    preset: str
    more: frozenset[str] = frozenset()
    latency: bool = True


REQUESTS = {"request_rate", "requests_by_status", "error_ratio", "errors_by_status"}
CALLS = {"downstream_rate", "downstream_errors", "downstream_error_ratio"}
POOL = {"pool_in_use", "pool_size"}
BUSY_POOL = POOL | {"pool_waiting", "pool_timeouts"}

EXPORTERS: dict[str, Exporter] = {
    "python": Exporter(
        python, "prometheus_client", frozenset({"error_ratio_by_pod", "error_ratio_by_version", "errors_by_route"})
    ),
    "fastapi": Exporter(fastapi, "prometheus_client", frozenset({"error_ratio_by_pod", "errors_by_route"})),
    "starlette": Exporter(starlette, "prometheus_client", frozenset({"errors_by_route"})),
    "flask": Exporter(flask, "prometheus_client", frozenset({"error_ratio_by_pod"})),
    "django": Exporter(django, "prometheus_client", frozenset({"errors_by_route"})),
    "dotnet": Exporter(dotnet, "prometheus_client", frozenset({"errors_by_route"})),
    "express": Exporter(express, "prometheus_client", frozenset({"errors_by_route"})),
    "milliseconds": Exporter(milliseconds, "prometheus_client"),
    "go": Exporter(go, "prometheus_client", frozenset(POOL)),
    "ruby": Exporter(ruby, "prometheus_client", frozenset({"errors_by_route"})),
    "micrometer": Exporter(
        micrometer, "micrometer", frozenset(CALLS | BUSY_POOL | {"breaker_state", "downstream_latency", "errors_by_exception"})
    ),
    "opentelemetry": Exporter(
        opentelemetry, "opentelemetry", frozenset(CALLS | BUSY_POOL | {"downstream_latency", "errors_by_exception"})
    ),
    "opentelemetry_before_stable": Exporter(
        opentelemetry_before_stable, "opentelemetry", frozenset(CALLS | POOL | {"downstream_latency", "error_ratio_by_pod"})
    ),
    "opentelemetry_by_collector": Exporter(opentelemetry_by_collector, "opentelemetry"),
    "grpc_go": Exporter(grpc_go, "grpc", frozenset(CALLS)),
    "grpc_java": Exporter(grpc_java, "grpc"),
    "istio": Exporter(istio, "istio", frozenset(CALLS | {"downstream_latency", "error_ratio_by_version"})),
    "envoy": Exporter(envoy, "envoy"),
    "ingress_nginx": Exporter(ingress_nginx, "ingress_nginx", frozenset({"errors_by_route"})),
}


def prometheus_of(export: Callable[[Place], Iterator[Sample]], *, name: str = "orders", namespace: str = "shop") -> list[Sample]:
    """The service's series, and those that are not its own."""
    places = (Place(name, namespace), Place(name, f"{namespace}-staging", 1.0), Place(f"{name}-worker", namespace, 1.0))
    series = [sample for place in places for sample in export(place)]
    return list({tuple(sorted(sample.labels.items())): sample for sample in series}.values())


class SeriesCatalogue:
    """A Catalogue of plain series, which counts what it was asked."""

    def __init__(self, series: Sequence[Sample]) -> None:
        self._series = [sample.labels for sample in series]
        self.asked = 0

    def names(self, matchers: Matchers = ANY) -> frozenset[str]:
        self.asked += 1
        return frozenset(one["__name__"] for one in self.matching(matchers))

    def labels(self, metric: str, matchers: Matchers = ANY) -> frozenset[str]:
        self.asked += 1
        return frozenset(label for one in self.matching(matchers) if one["__name__"] == metric for label in one)

    def values(self, label: str, metric: str, matchers: Matchers = ANY) -> frozenset[str]:
        self.asked += 1
        return frozenset(one[label] for one in self.matching(matchers) if one["__name__"] == metric and label in one)

    def unanswered(self) -> tuple[str, ...]:
        return ()

    def matching(self, matchers: Matchers) -> list[Mapping[str, str]]:
        """The series that the matchers select, as Prometheus does: a label that is missing is empty, patterns are anchored."""
        return [
            one for one in self._series if all(_holds(one.get(label, ""), how, value) for label, how, value in matchers.items)
        ]


def _holds(found: str, operator: str, value: str) -> bool:
    equal = re.fullmatch(value, found) is not None if "~" in operator else found == value
    return equal != operator.startswith("!")
