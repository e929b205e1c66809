"""What a team knows of a service in one environment: the fields of `parameters/<service>.<environment>.yaml`.

Every model refuses unknown fields, is frozen, and has its units in the names. `runbook_lib.service.loading` reads a file and
turns pydantic's errors into ones with file, line and mend.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from runbook_lib.service.reference import Reference

Seconds = Annotated[float, Field(gt=0)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Slo(_Model):
    availability_ratio: Ratio | None = None
    latency_p95_seconds: Seconds | None = None


class Overview(_Model):
    purpose: str
    functionality: tuple[str, ...] = ()
    owner: str
    tier: Literal[1, 2, 3, 4]
    slo: Slo = Slo()
    business_impact: str = ""
    on_call: str = ""
    diagram: str = ""


class Application(_Model):
    technology: str = ""
    deployment: str
    """The Deployment's name in the cluster."""
    container: str | None = None
    selector: str
    """Label selector of its pods, such as `app=orders`."""
    kubernetes_service: str | None = None
    replicas_minimum: int = 1
    replicas_maximum: int | None = None
    region: str = ""
    config_map: str | None = None
    secrets: tuple[str, ...] = ()
    version_label: str | None = "app.kubernetes.io/version"
    url: Reference | None = None
    """Base address of the service for health and admin calls."""
    health_path: str = "/health"
    feature_flag_path: str | None = None


class PoolSetting(_Model):
    """Where the connection pool's size is configured."""

    key: str = "DATABASE_POOL_SIZE"
    config_map: str | None = None
    maximum: int | None = None


class DatabaseComponent(_Model):
    type: str = "PostgreSQL"
    name: str
    """Database name."""
    application_name: str | None = None
    """`application_name` (or user) by which this service's sessions are known in pg_stat_activity; a pattern with *."""
    user: str | None = None
    selector: str | None = None
    pod: str | None = None
    configuration: str = ""
    backup: str = ""
    pool: PoolSetting = PoolSetting()


class CacheComponent(_Model):
    type: str = "Redis"
    usage: str = ""
    eviction_policy: str = ""
    selector: str | None = None


class QueueComponent(_Model):
    type: str = "RabbitMQ"
    queues: tuple[str, ...] = ()
    retention: str = ""


class Components(_Model):
    application: Application
    database: DatabaseComponent | None = None
    cache: CacheComponent | None = None
    queue: QueueComponent | None = None


class CircuitBreaker(_Model):
    enabled: bool = True
    threshold_ratio: Ratio | None = None
    name: str | None = None
    """Name of the breaker in the admin endpoints and metrics; the dependency's name unless given."""
    status_path: str | None = None
    """Path on the application's url, such as /admin/circuit-breaker-status."""
    open_path: str | None = None
    """POST path, such as /admin/circuit-breaker/open; `{name}` is replaced."""
    close_path: str | None = None
    per_pod: bool = True
    """The breaker's state lives in each pod, so that every pod must be told."""
    token: Reference | None = None


class Upstream(_Model):
    name: str
    purpose: str = ""
    impact_if_down: str = ""
    fallback: str = ""


class Downstream(_Model):
    name: str
    purpose: str = ""
    timeout_seconds: Seconds | None = None
    circuit_breaker: CircuitBreaker | None = None
    fallback: str = ""
    health_url: Reference | None = None
    label: str | None = None
    """Its name in the label of the downstream metrics, when it differs from `name`."""
    setting_keys: tuple[str, ...] = ()
    """Configuration keys that hold its address or timeout, such as PAYMENTS_URL."""


class External(_Model):
    name: str
    provider: str = ""
    timeout_seconds: Seconds | None = None
    fallback: str = ""
    status_url: Reference | None = None


class Dependencies(_Model):
    upstream: tuple[Upstream, ...] = ()
    downstream: tuple[Downstream, ...] = ()
    external: tuple[External, ...] = ()


class MetricThreshold(_Model):
    """Normal, warning and critical; in the metric's own unit. `below` is true when less is worse (availability)."""

    normal: float
    warning: float
    critical: float
    below: bool = False


class Thresholds(_Model):
    """The seed's table of key metrics. Ratios are 0 to 1."""

    error_ratio: MetricThreshold = MetricThreshold(normal=0.001, warning=0.01, critical=0.05)
    latency_p95_seconds: MetricThreshold = MetricThreshold(normal=0.2, warning=0.5, critical=1.0)
    availability_ratio: MetricThreshold = MetricThreshold(normal=0.999, warning=0.995, critical=0.99, below=True)
    cpu_ratio: MetricThreshold = MetricThreshold(normal=0.6, warning=0.8, critical=0.95)
    memory_ratio: MetricThreshold = MetricThreshold(normal=0.7, warning=0.85, critical=0.95)
    database_connections_ratio: MetricThreshold = MetricThreshold(normal=0.5, warning=0.8, critical=0.95)


class Dashboard(_Model):
    name: str
    url: str


class AlertChannels(_Model):
    slack: str | None = None
    pagerduty: str | None = None
    email: str | None = None


class Contact(_Model):
    name: str
    phone: str = ""
    slack: str = ""
    email: str = ""


class EscalationLevel(_Model):
    level: int
    title: str
    when: tuple[str, ...]
    contacts: tuple[Contact, ...] = ()
    expected: tuple[str, ...] = ()
    after_minutes: int | None = None


class ExternalEscalation(_Model):
    name: str
    contact: str
    account: str = ""
    when: str = ""


class Escalation(_Model):
    levels: tuple[EscalationLevel, ...] = ()
    external: tuple[ExternalEscalation, ...] = ()


class Change(_Model):
    date: date
    author: str
    change: str


class Maintenance(_Model):
    review_schedule: str = "monthly"
    last_updated: date | None = None
    next_review: date | None = None
    reviewers: tuple[str, ...] = ()
    change_log: tuple[Change, ...] = ()


class Tls(_Model):
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    verify: bool = True


class PrometheusConnection(_Model):
    url: Reference
    external_url: str | None = None
    bearer_token: Reference | None = None
    username: str | None = None
    password: Reference | None = None
    tls: Tls = Tls()
    timeout_seconds: Seconds = 8
    headers: dict[str, Reference] = {}


class KubernetesConnection(_Model):
    kubeconfig: Reference | None = None
    """Path of a kubeconfig; None: the in-cluster account, else the usual KUBECONFIG."""
    context: str | None = None
    namespace: str
    timeout_seconds: Seconds = 8
    impersonate: str | None = None
    operator_context: str | None = None
    """Context used for actions only, when reading and changing have different identities."""


class PostgresConnection(_Model):
    dsn: Reference
    """A DSN without a password, or a reference to one with it."""
    password: Reference | None = None
    statement_timeout_seconds: Seconds = 5
    connect_timeout_seconds: Seconds = 4
    tls: Tls | None = None


class RedisConnection(_Model):
    url: Reference
    username: str | None = None
    password: Reference | None = None
    timeout_seconds: Seconds = 3


class HttpConnection(_Model):
    timeout_seconds: Seconds = 5
    bearer_token: Reference | None = None
    tls: Tls = Tls()


class Connections(_Model):
    prometheus: PrometheusConnection | None = None
    kubernetes: KubernetesConnection | None = None
    postgres: PostgresConnection | None = None
    redis: RedisConnection | None = None
    http: HttpConnection = HttpConnection()


class LogFormat(_Model):
    """How the service writes its logs. JSON lines and text are told apart by themselves."""

    level_fields: tuple[str, ...] = ("level", "severity", "levelname", "log.level")
    message_fields: tuple[str, ...] = ("message", "msg", "event", "log")
    time_fields: tuple[str, ...] = ("time", "timestamp", "ts", "@timestamp")
    error_levels: tuple[str, ...] = ("error", "critical", "fatal", "severe", "alert", "emerg")


class Instrumentation(_Model):
    """Which metrics the service exports.

    preset: a name of runbook_lib.service.instrumentation, or `auto`: ask Prometheus which of them exist.
    selector: labels that select this service's series, such as {service: orders}; {} = found from the preset's usual labels.
    metrics: overrides single expressions of the preset; see docs/nomenclature.md for their names and placeholders.
    rate_window: the range of rate(); `auto` is five minutes, and never below four scrape intervals.
    """

    preset: str = "auto"
    selector: dict[str, str] = {}
    metrics: dict[str, str] = {}
    rate_window: str = "auto"
    logs: LogFormat = LogFormat()


class Policy(_Model):
    """What may be changed, by whom, and how much of it at once."""

    enabled_actions: tuple[str, ...] = ()
    """Empty: every action of the playbook may be proposed and approved by a person."""
    forbidden_actions: tuple[str, ...] = ()
    auto_approve: tuple[str, ...] = ()
    """Actions that an alert-triggered run may execute with nobody awake."""
    auto_approve_confidence: Ratio = 0.9
    auto_approve_per_hour: int = 1
    replicas_maximum: int | None = None
    pods_at_once: int = 1
    pool_size_maximum: int | None = None
    verify_within_seconds: Seconds = 300


class Limits(_Model):
    """Deadlines and sizes of an investigation."""

    check_deadline_seconds: Seconds = 10
    all_checks_deadline_seconds: Seconds = 60
    log_lines_per_pod: int = 2000
    onset_lookback: str = "60m"


class Service(_Model):
    """One service in one environment."""

    name: str
    environment: str
    overview: Overview
    components: Components
    dependencies: Dependencies = Dependencies()
    thresholds: Thresholds = Thresholds()
    dashboards: tuple[Dashboard, ...] = ()
    alert_channels: AlertChannels = AlertChannels()
    escalation: Escalation = Escalation()
    maintenance: Maintenance = Maintenance()
    documentation: dict[str, str] = {}
    connections: Connections
    instrumentation: Instrumentation = Instrumentation()
    policy: Policy = Policy()
    limits: Limits = Limits()
