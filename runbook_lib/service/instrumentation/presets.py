"""The usual instrumentations, as data: what their metrics and labels are called.

Sources: the documentation of prometheus_client and the exporters built on it, Micrometer and Spring Boot, OpenTelemetry's
semantic conventions for HTTP and databases, go-grpc-middleware, Istio's standard metrics, Envoy's statistics, ingress-nginx.
Where an instrumentation renamed a metric, the newer name stands first.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRESETS", "Breaker", "Calls", "Duration", "Part", "Pool", "Preset", "Requests"]

_STATUS = ("status", "code", "status_code", "http_status", "http_status_code", "response_code")
# `endpoint` last: Prometheus' operator gives this name to the scraped port, and moves the exporter's own label aside.
_ROUTE = ("route", "handler", "path", "exported_endpoint", "uri", "path_template", "view", "url_rule", "url", "endpoint")
# Labels by which series usually say whose they are; a value counts when it is the service's, Deployment's or Service's name.
_OWNER = (
    "service", "app", "application", "app_kubernetes_io_name", "service_name", "job", "container", "deployment", "exported_job",
    "exported_service", "kubernetes_name", "app_name",
)  # fmt: skip
_HTTP_CODE = "[1-5].."
_SERVER_ERROR = "5.."  # also the class `5xx`, as some write it
# To a caller these are failures, too: it is not let in (401, 403, 407), not heard in time (408) or asks too much (429).
_CALL_ERROR = f"{_SERVER_ERROR}|40[1378]|429"
# In Go's spelling, and in that of Java and Python. A client's own mistakes (NotFound, InvalidArgument, …) are not among them.
_GRPC_ERROR = "(?i:Unknown|Deadline_?Exceeded|Unimplemented|Internal|Unavailable|Data_?Loss)"
_GRPC_CODE = "[A-Za-z_]+"
_ISTIO_GRPC = ("grpc_response_status", "2|4|12|13|14|15")  # the same in numbers: for Istio a failed gRPC call is an HTTP 200
_GRPC_STATUS = ("grpc_code", "code", "statusCode", "grpc_status")


@dataclass(frozen=True, slots=True)
class Duration:
    """A histogram or summary of durations, by its name without `_bucket`; `seconds` is what one of its units is in seconds."""

    name: str
    seconds: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Series of one metric, narrowed down by labels."""

    metric: str
    where: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Requests:
    """Requests that the service answers.

    counts: counters of requests, the first that exists is taken; without any, the count of a duration. overall: durations of all
    requests together, in finer buckets than those by route. codes: regular expression of values by which a status label is known,
    since others say something else; failed: of those that are the service's own fault; failed_also: a second label, if the series
    have it, and those of its values that say the same. owner: labels that say whose the series are; fixed: further matchers that
    every query needs. own_pods: False where a proxy elsewhere counts: its pod, version and job are not the service's.
    """

    counts: tuple[str, ...] = ()
    durations: tuple[Duration, ...] = ()
    overall: tuple[Duration, ...] = ()
    status: tuple[str, ...] = _STATUS
    codes: str = _HTTP_CODE
    failed: str = _SERVER_ERROR
    failed_also: tuple[str, str] | None = None
    route: tuple[str, ...] = _ROUTE
    exception: tuple[str, ...] = ()
    owner: tuple[str, ...] = _OWNER
    namespace: tuple[str, ...] = ("namespace", "kubernetes_namespace", "k8s_namespace_name", "exported_namespace")
    fixed: tuple[tuple[str, str, str], ...] = ()
    own_pods: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Calls(Requests):
    """Calls of the service to others. downstream: labels that say to whom."""

    failed: str = _CALL_ERROR
    downstream: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """A pool of database connections."""

    in_use: Part
    size: Part
    waiting: Part | None = None
    timeouts: Part | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """The state of circuit breakers: series that are 1 while one is open."""

    open: Part
    downstream: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """An instrumentation."""

    title: str
    requests: Requests | None = None
    calls: tuple[Calls, ...] = ()
    pools: tuple[Pool, ...] = ()
    breakers: tuple[Breaker, ...] = ()


def _pool(in_use: str, size: str, waiting: str = "", timeouts: str = "") -> Pool:
    return Pool(
        in_use=Part(metric=in_use),
        size=Part(metric=size),
        waiting=Part(metric=waiting) if waiting else None,
        timeouts=Part(metric=timeouts) if timeouts else None,
    )


def _otel_pool(name: str, size: str, waiting: str, timeouts: str, state: str) -> Pool:
    return Pool(
        in_use=Part(metric=name, where=((state, "=", "used"),)),
        size=Part(metric=size),
        waiting=Part(metric=waiting),
        timeouts=Part(metric=timeouts),
    )


PRESETS: dict[str, Preset] = {
    "prometheus_client": Preset(
        title="Prometheus client libraries (Python, Go, Node.js, .NET, …)",
        requests=Requests(
            counts=(
                "http_requests_total", "http_request_total", "http_server_requests_total", "requests_total",
                "flask_http_request_total", "starlette_requests_total", "http_requests_received_total",
                "django_http_responses_total_by_status_view_method_total", "django_http_responses_total_by_status_total",
                "fastapi_responses_total", "gin_requests_total", "echo_requests_total",
            ),
            durations=(
                Duration("http_request_duration_seconds"), Duration("http_requests_duration_seconds"),
                Duration("http_response_duration_seconds"), Duration("flask_http_request_duration_seconds"),
                Duration("starlette_request_duration_seconds"), Duration("http_server_request_duration_seconds"),
                Duration("http_request_duration_milliseconds", 0.001), Duration("request_duration_seconds"),
                Duration("django_http_requests_latency_seconds_by_view_method"), Duration("gin_request_duration_seconds"),
                Duration("echo_request_duration_seconds"),
            ),
            overall=(Duration("http_request_duration_highr_seconds"),),  # FastAPI's instrumentator; its other one ends at 1 s
        ),
        pools=(
            _pool("go_sql_in_use_connections", "go_sql_max_open_connections"),
            _pool("go_sql_stats_connections_in_use", "go_sql_stats_connections_max_open"),
            _pool("pgxpool_acquired_conns", "pgxpool_max_conns"),
        ),
    ),
    "micrometer": Preset(
        title="Micrometer (Spring Boot, Quarkus, Micronaut)",
        requests=Requests(
            durations=(
                Duration("http_server_requests_seconds"), Duration("http_server_requests_milliseconds", 0.001),
                Duration("ktor_http_server_requests_seconds"),
            ),
            exception=("exception", "throwable", "error"),
        ),
        calls=(
            Calls(
                durations=(Duration("http_client_requests_seconds"), Duration("http_client_requests_milliseconds", 0.001)),
                # What is written in place of a status when no answer came, by Spring and by Quarkus.
                failed=f"{_CALL_ERROR}|IO_ERROR|CLIENT_ERROR|UNKNOWN|RESET",
                downstream=("client_name", "clientName", "target_host", "host"),
            ),
        ),
        pools=(
            _pool(
                "hikaricp_connections_active", "hikaricp_connections_max", "hikaricp_connections_pending",
                "hikaricp_connections_timeout_total",
            ),
            _pool("jdbc_connections_active", "jdbc_connections_max"),
            # Agroal (Quarkus) is not among them: it exports no maximum, only the most connections that were ever in use.
            _pool("r2dbc_pool_acquired_connections", "r2dbc_pool_max_allocated_connections", "r2dbc_pool_pending_connections"),
        ),
        breakers=(
            Breaker(
                open=Part(metric="resilience4j_circuitbreaker_state", where=(("state", "=~", "open|forced_open"),)),
                downstream="name",
            ),
        ),
    ),
    "opentelemetry": Preset(
        title="OpenTelemetry",
        requests=Requests(
            durations=(
                Duration("http_server_request_duration_seconds"), Duration("http_server_request_duration"),
                Duration("http_server_duration_milliseconds", 0.001), Duration("http_server_duration_seconds"),
                Duration("http_server_duration", 0.001),
            ),
            status=("http_response_status_code", "http_status_code"),
            route=("http_route", "http_target"),
            exception=("error_type",),
            owner=("service_name", "exported_job", "job", *_OWNER),
        ),
        calls=(
            Calls(
                durations=(
                    Duration("http_client_request_duration_seconds"), Duration("http_client_request_duration"),
                    Duration("http_client_duration_milliseconds", 0.001), Duration("http_client_duration", 0.001),
                ),
                # A call that got no answer has no status: an empty label.
                failed=f"{_CALL_ERROR}|",
                status=("http_response_status_code", "http_status_code"),
                owner=("service_name", "exported_job", "job", *_OWNER),
                downstream=("server_address", "net_peer_name", "http_host", "server_socket_domain"),
            ),
        ),
        pools=(
            _otel_pool(
                "db_client_connection_count", "db_client_connection_max", "db_client_connection_pending_requests",
                "db_client_connection_timeouts_total", "db_client_connection_state",
            ),
            _otel_pool(
                "db_client_connection_count", "db_client_connection_max", "db_client_connection_pending_requests",
                "db_client_connection_timeouts_total", "state",
            ),
            _otel_pool(
                "db_client_connections_usage", "db_client_connections_max", "db_client_connections_pending_requests",
                "db_client_connections_timeouts_total", "state",
            ),
        ),
    ),
    "grpc": Preset(
        title="gRPC servers (go-grpc-middleware and its kin)",
        requests=Requests(
            counts=("grpc_server_handled_total",),
            durations=(
                Duration("grpc_server_handling_seconds"), Duration("grpc_server_processing_duration_seconds"),
                Duration("grpc_server_call_duration_seconds"),
            ),
            status=_GRPC_STATUS,
            codes=_GRPC_CODE,
            failed=_GRPC_ERROR,
            route=("grpc_method", "method"),
        ),
        calls=(
            Calls(
                counts=("grpc_client_handled_total",),
                durations=(
                    Duration("grpc_client_handling_seconds"), Duration("grpc_client_processing_duration_seconds"),
                    Duration("grpc_client_attempt_duration_seconds"),
                ),
                status=_GRPC_STATUS,
                codes=_GRPC_CODE,
                failed=_GRPC_ERROR,
                downstream=("grpc_service", "grpc_target", "service"),
            ),
        ),
    ),
    "istio": Preset(
        title="Istio",
        requests=Requests(
            counts=("istio_requests_total",),
            durations=(Duration("istio_request_duration_milliseconds", 0.001),),
            status=("response_code",),
            failed_also=_ISTIO_GRPC,
            route=("request_operation", "destination_port"),
            owner=(
                "destination_workload", "destination_canonical_service", "destination_app", "destination_service_name",
                "destination_service",
            ),
            namespace=("destination_workload_namespace", "destination_service_namespace"),
            fixed=(("reporter", "=~", "destination|waypoint"),),
        ),
        calls=(
            Calls(
                counts=("istio_requests_total",),
                durations=(Duration("istio_request_duration_milliseconds", 0.001),),
                status=("response_code",),
                failed=f"{_CALL_ERROR}|0",  # 0: the service gave up before there was an answer
                failed_also=_ISTIO_GRPC,
                owner=("source_workload", "source_canonical_service", "source_app"),
                namespace=("source_workload_namespace",),
                fixed=(("reporter", "=", "source"),),
                downstream=("destination_service_name", "destination_workload"),
            ),
        ),
    ),
    "envoy": Preset(
        title="Envoy",
        requests=Requests(
            counts=("envoy_cluster_upstream_rq",),
            durations=(Duration("envoy_cluster_upstream_rq_time", 0.001),),
            status=("envoy_response_code",),
            route=(),
            owner=("envoy_cluster_name",),
            own_pods=False,
        ),
    ),
    "ingress_nginx": Preset(
        title="ingress-nginx",
        requests=Requests(
            counts=("nginx_ingress_controller_requests",),
            durations=(Duration("nginx_ingress_controller_request_duration_seconds"),),
            status=("status",),
            route=("path", "host"),
            owner=("exported_service", "service", "ingress"),
            namespace=("exported_namespace", "namespace"),
            own_pods=False,
        ),
    ),
}  # fmt: skip
