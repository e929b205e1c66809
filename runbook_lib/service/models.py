"""What a team knows of a service in one environment: the fields of `parameters/<service>.<environment>.yaml`.

Every model refuses unknown fields, is frozen, and has its units in the names. `runbook_lib.service.loading` reads a file and
turns pydantic's errors into ones with file, line and mend. `parameters/service.example.yaml` shows every field in use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from runbook_lib.errors import ConfigurationError
from runbook_lib.service.reference import PathReference, Reference, SecretReference
from runbook_lib.service.secrets import SECRET_NAME

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+")
_REQUIREMENT = re.compile(
    r"!?[A-Za-z0-9][\w./-]*"  # a key alone: it exists, or with `!` does not
    r"(?:\s*(?:==?|!=)\s*[\w.-]*|\s+(?:not)?in\s*\([\w.,\s-]+\))?"
)
_KUBERNETES_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


def _duration(text: str) -> str:
    if not _DURATION.fullmatch(text) or not re.search(r"[1-9]", text):
        raise ValueError("must be a duration longer than zero, such as 90s, 30m or 1h30m")
    return text


def _duration_or_auto(text: str) -> str:
    return text if text == "auto" else _duration(text)


def _selector(text: str) -> str:
    # Commas also stand inside `in (a,b)`, so that only those outside of brackets part the requirements.
    requirements = re.split(r",(?![^(]*\))", text)
    if not all(_REQUIREMENT.fullmatch(requirement.strip()) for requirement in requirements):
        raise ValueError("must be a label selector, such as app=orders or app=orders,tier in (web,api)")
    return text


def _kubernetes_name(text: str) -> str:
    if not _KUBERNETES_NAME.fullmatch(text):
        raise ValueError("must be the name of a Kubernetes object: lower-case letters, digits and -, such as orders")
    return text


def _absolute_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("must be a path that starts with /, such as /health")
    return text


def _file_path(text: str, info: ValidationInfo) -> str:
    try:
        return PathReference(text, base=(info.context or {}).get("base")).resolve()
    except ConfigurationError as error:
        raise ValueError(f"must be the path of a file: {error}") from error


def _unique(names: Sequence[str], what: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"must name each {what} once; found {', '.join(repeated)} more than once")


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Duration = Annotated[str, AfterValidator(_duration)]
DurationOrAuto = Annotated[str, AfterValidator(_duration_or_auto)]
Selector = Annotated[str, AfterValidator(_selector)]
KubernetesName = Annotated[str, AfterValidator(_kubernetes_name)]
UrlPath = Annotated[str, AfterValidator(_absolute_path)]
FilePath = Annotated[str, AfterValidator(_file_path)]
Name = Annotated[str, Field(min_length=1)]
Severity = Literal["SEV-1", "SEV-2", "SEV-3", "SEV-4"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Slo(_Model):
    """What the service promises."""

    availability_ratio: Ratio | None = None
    """Share of the time, or of the requests, that is served well: 0.999 for 99.9 %."""
    latency_p95_seconds: Seconds | None = None
    """95 % of the requests are answered within this time."""


class Overview(_Model):
    """What the service is for, and for whom."""

    purpose: Name
    """What it does, in one or two sentences."""
    functionality: tuple[str, ...] = ()
    """Its key functions."""
    owner: Name
    """The team that answers for it."""
    tier: Literal[1, 2, 3, 4]
    """1 critical, 2 high, 3 medium, 4 low."""
    slo: Slo = Slo()
    business_impact: str = ""
    """Who notices when it is down, and what that costs."""
    on_call: str = ""
    """Link to the rotation."""
    alert_configuration: str = ""
    """Link to the alert rules."""
    diagram: str = ""
    """The architecture in text."""


class Application(_Model):
    """The processes of the service itself, as the cluster runs them."""

    technology: str = ""
    """Language and framework, such as `Python 3.11`."""
    deployment: KubernetesName
    """The Deployment's name in the cluster."""
    container: KubernetesName | None = None
    """The container that does the work, when its pods have several; None: the first."""
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

    @model_validator(mode="after")
    def _replicas_are_ordered(self) -> Self:
        if self.replicas_maximum is not None and self.replicas_maximum < self.replicas_minimum:
            raise ValueError(
                f"must have replicas_minimum at most replicas_maximum; found {self.replicas_minimum} and {self.replicas_maximum}"
            )
        return self


class PoolSetting(_Model):
    """Where the connection pool's size is configured."""

    key: Name = "DATABASE_POOL_SIZE"
    """Key in the config map."""
    config_map: KubernetesName | None = None
    """The config map; None: the application's."""
    maximum: Count | None = None
    """Connections per pod that the database can bear."""


class DatabaseComponent(_Model):
    """The PostgreSQL database that the service keeps its data in."""

    type: str = "PostgreSQL"
    """Product and version."""
    name: Name
    """Database name."""
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


class CacheComponent(_Model):
    """The Redis in front of the database."""

    type: str = "Redis"
    """Product and version."""
    usage: str = ""
    """What is cached, and for how long."""
    eviction_policy: str = ""
    """What is thrown out first, such as `allkeys-lru`."""
    selector: Selector | None = None
    """Label selector of its pods, when it runs in the cluster."""


class QueueComponent(_Model):
    """The message queue."""

    type: str = "RabbitMQ"
    """Product and version."""
    queues: tuple[str, ...] = ()
    """The queues and what they carry."""
    retention: str = ""
    """How long messages are kept."""


class Components(_Model):
    """What the service is made of."""

    application: Application
    database: DatabaseComponent | None = None
    cache: CacheComponent | None = None
    queue: QueueComponent | None = None


class CircuitBreaker(_Model):
    """The breaker in front of a dependency, and the admin endpoints that show and move it."""

    enabled: bool = True
    threshold_ratio: Ratio | None = None
    """Share of failing calls at which it opens."""
    name: str | None = None
    """Name of the breaker in the admin endpoints and metrics; the dependency's name unless given."""
    status_path: UrlPath | None = None
    """Path on the application's url, such as /admin/circuit-breaker-status."""
    open_path: UrlPath | None = None
    """POST path, such as /admin/circuit-breaker/open?name={name}; `{name}` is replaced."""
    close_path: UrlPath | None = None
    """POST path that undoes it."""
    per_pod: bool = True
    """The breaker's state lives in each pod, so that every pod must be told."""
    token: SecretReference | None = None
    """Bearer token of the admin endpoints."""


class Upstream(_Model):
    """A service that calls this one."""

    name: Name
    purpose: str = ""
    """What it calls for."""
    impact_if_down: str = ""
    """What its users notice while this service is down."""
    fallback: str = ""
    """What it does then."""


class Downstream(_Model):
    """A service that this one calls."""

    name: Name
    purpose: str = ""
    """What it is called for."""
    timeout_seconds: Seconds | None = None
    """How long this service waits for an answer."""
    circuit_breaker: CircuitBreaker | None = None
    fallback: str = ""
    """What this service does while it is down."""
    health_url: Reference | None = None
    """Address that answers 2xx while it is well."""
    label: str | None = None
    """Its name in the label of the downstream metrics, when it differs from `name`."""
    setting_keys: tuple[str, ...] = ()
    """Configuration keys that hold its address or timeout, such as PAYMENTS_URL."""


class External(_Model):
    """Something outside the company that this service needs."""

    name: Name
    provider: str = ""
    timeout_seconds: Seconds | None = None
    """How long this service waits for an answer."""
    fallback: str = ""
    """What happens while it is down."""
    status_url: Reference | None = None
    """The provider's status page or health address."""


class Dependencies(_Model):
    """Who calls this service, and whom it calls."""

    upstream: tuple[Upstream, ...] = ()
    downstream: tuple[Downstream, ...] = ()
    external: tuple[External, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for what, group in (("upstream", self.upstream), ("downstream", self.downstream), ("external dependency", self.external)):
            _unique([one.name for one in group], what)
        return self


class MetricThreshold(_Model):
    """Normal, warning and critical; in the metric's own unit. `below` is true when less is worse (availability)."""

    normal: float = Field(ge=0, allow_inf_nan=False)
    warning: float = Field(ge=0, allow_inf_nan=False)
    critical: float = Field(ge=0, allow_inf_nan=False)
    below: bool = False

    @model_validator(mode="after")
    def _values_are_ordered(self) -> Self:
        worse = [self.normal, self.warning, self.critical]
        if worse != sorted(worse, reverse=self.below):
            order = "normal >= warning >= critical (below: true)" if self.below else "normal <= warning <= critical"
            raise ValueError(f"must be ordered {order}; found {self.normal:g}, {self.warning:g}, {self.critical:g}")
        return self


class Thresholds(_Model):
    """The table of key metrics. Ratios are 0 to 1."""

    error_ratio: MetricThreshold = MetricThreshold(normal=0.001, warning=0.01, critical=0.05)
    """Failed requests to all requests."""
    latency_p95_seconds: MetricThreshold = MetricThreshold(normal=0.2, warning=0.5, critical=1.0)
    """95th percentile of the response time."""
    availability_ratio: MetricThreshold = MetricThreshold(normal=0.999, warning=0.995, critical=0.99, below=True)
    """Requests served well to all requests."""
    cpu_ratio: MetricThreshold = MetricThreshold(normal=0.6, warning=0.8, critical=0.95)
    """CPU used to its limit."""
    memory_ratio: MetricThreshold = MetricThreshold(normal=0.7, warning=0.85, critical=0.95)
    """Working set to the memory limit, since that is what the OOM killer acts on."""
    database_connections_ratio: MetricThreshold = MetricThreshold(normal=0.5, warning=0.8, critical=0.95)
    """Connections in use to those the server allows."""

    @model_validator(mode="after")
    def _ratios_are_ratios(self) -> Self:
        for name in type(self).model_fields:
            threshold: MetricThreshold = getattr(self, name)
            largest = max(threshold.normal, threshold.warning, threshold.critical)
            if name.endswith("_ratio") and largest > 1:
                raise ValueError(f"must give {name} as a ratio between 0 and 1 (0.05 for 5 %); found {largest:g}")
        return self


class Dashboard(_Model):
    """A dashboard worth opening."""

    name: Name
    url: Name


class AlertChannels(_Model):
    """Where alerts go."""

    slack: str | None = None
    """Channel, such as `#alerts-orders`."""
    pagerduty: str | None = None
    """PagerDuty service."""
    pagerduty_severities: tuple[Severity, ...] = ("SEV-1", "SEV-2")
    """The severities that page somebody."""
    email: str | None = None


class Contact(_Model):
    """Somebody to call."""

    name: Name
    phone: str = ""
    slack: str = ""
    email: str = ""


class EscalationLevel(_Model):
    """Who is called next, and when."""

    level: Count
    title: Name
    when: tuple[str, ...]
    """What calls for this level."""
    contacts: tuple[Contact, ...] = ()
    expected: tuple[str, ...] = ()
    """What is expected of them."""
    after_minutes: Count | None = None
    """Escalate to this level when the incident lasts longer than this."""


class ExternalEscalation(_Model):
    """A vendor's support."""

    name: Name
    contact: Name
    """Portal or phone."""
    account: str = ""
    """Account or support plan."""
    when: str = ""


class Escalation(_Model):
    """The way up, level by level."""

    levels: tuple[EscalationLevel, ...] = ()
    external: tuple[ExternalEscalation, ...] = ()

    @model_validator(mode="after")
    def _levels_ascend(self) -> Self:
        numbers = [level.level for level in self.levels]
        if numbers != sorted(set(numbers)):
            raise ValueError(f"must list its levels once each and in ascending order; found {', '.join(map(str, numbers))}")
        return self


class Change(_Model):
    """A line of the change log."""

    date: date
    author: Name
    change: Name


class Maintenance(_Model):
    """When this knowledge was last looked at, and by whom."""

    review_schedule: str = "monthly"
    last_updated: date | None = None
    next_review: date | None = None
    """`runbook lint` complains once this day has passed."""
    reviewers: tuple[str, ...] = ()
    change_log: tuple[Change, ...] = ()


class Tls(_Model):
    """Certificates of an HTTPS or TLS connection. Paths may use `${NAME}` and `~`, and are relative to the service file."""

    ca_file: FilePath | None = None
    """Certificates that are trusted; None: the system's."""
    certificate_file: FilePath | None = None
    """Our own certificate, for mutual TLS."""
    key_file: FilePath | None = None
    """Its private key."""
    verify: bool = True
    """False trusts any server: for a first look only."""

    @model_validator(mode="after")
    def _a_certificate_has_its_key(self) -> Self:
        if self.key_file and not self.certificate_file:
            raise ValueError("must have certificate_file beside key_file")
        return self


class PrometheusConnection(_Model):
    """How Prometheus, or anything that speaks its API, is reached."""

    url: Reference
    external_url: str | None = None
    """Address for links in the report, when people reach Prometheus by another one."""
    bearer_token: SecretReference | None = None
    username: str | None = None
    password: SecretReference | None = None
    tls: Tls = Tls()
    timeout_seconds: Seconds = 8
    headers: dict[str, Reference] = {}
    """Further headers, such as X-Scope-OrgID."""

    @model_validator(mode="after")
    def _one_identity_and_no_secret_header(self) -> Self:
        if self.bearer_token and (self.username or self.password):
            raise ValueError("must have either bearer_token or username and password; found both")
        if bool(self.username) != bool(self.password):
            raise ValueError("must have username and password together; found one of them")
        for header, value in self.headers.items():
            if value.is_literal and SECRET_NAME.search(header):
                raise ValueError(f"must give header {header} as a reference such as env:NAME; found a literal value")
        return self


class KubernetesConnection(_Model):
    """How the cluster is reached."""

    kubeconfig: PathReference | None = None
    """Path of a kubeconfig; None: the in-cluster account, else the usual KUBECONFIG."""
    context: str | None = None
    """Context of the kubeconfig; None: its current one."""
    namespace: KubernetesName
    timeout_seconds: Seconds = 8
    impersonate: str | None = None
    """User to act as, such as system:serviceaccount:shop:runbook-reader."""
    operator_context: str | None = None
    """Context used for actions only, when reading and changing have different identities."""


class PostgresConnection(_Model):
    """How the database is reached, best with a role that is a member of pg_monitor."""

    dsn: Reference
    """A DSN without a password, or a reference to one with it."""
    password: SecretReference | None = None
    statement_timeout_seconds: Seconds = 5
    connect_timeout_seconds: Seconds = 4
    tls: Tls | None = None


class RedisConnection(_Model):
    """How the cache is reached."""

    url: Reference
    username: str | None = None
    password: SecretReference | None = None
    timeout_seconds: Seconds = 3


class HttpConnection(_Model):
    """How health and admin endpoints are called."""

    timeout_seconds: Seconds = 5
    bearer_token: SecretReference | None = None
    tls: Tls = Tls()


class Connections(_Model):
    """The systems that are asked. One that is left out is reported as not configured."""

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
    """Which metrics the service exports, and how its logs are written."""

    preset: Name = "auto"
    """A name of runbook_lib.service.instrumentation, or `auto`: ask Prometheus which of them exist."""
    selector: dict[str, str] = {}
    """Labels that select this service's series, such as {service: orders}; {} = found from the preset's usual labels."""
    metrics: dict[str, str] = {}
    """Overrides single expressions of the preset; docs/nomenclature.md has their names and placeholders."""
    rate_window: DurationOrAuto = "auto"
    """The range of rate(); `auto` is five minutes, and never below four scrape intervals."""
    logs: LogFormat = LogFormat()


class Policy(_Model):
    """What may be changed, by whom, and how much of it at once."""

    enabled_actions: tuple[str, ...] = ()
    """Empty: every action of the playbook may be proposed and approved by a person."""
    forbidden_actions: tuple[str, ...] = ()
    """Never executed, whoever approves."""
    auto_approve: tuple[str, ...] = ()
    """Actions that an alert-triggered run may execute with nobody awake."""
    auto_approve_confidence: Ratio = 0.9
    """Confidence that the cause must have for that."""
    auto_approve_per_hour: Count = 1
    """How many such changes within an hour, over all incidents of the service."""
    replicas_maximum: Count | None = None
    """No action scales beyond this."""
    pods_at_once: Count = 1
    """How many pods an action may take down together."""
    pool_size_maximum: Count | None = None
    """No action raises the connection pool beyond this."""
    verify_within_seconds: Seconds = 300
    """How long verification waits for the symptom to recover."""

    @model_validator(mode="after")
    def _auto_approved_actions_are_allowed(self) -> Self:
        forbidden = set(self.auto_approve) & set(self.forbidden_actions)
        if forbidden:
            raise ValueError(f"must not auto_approve what it forbids; found {', '.join(sorted(forbidden))} in both")
        disabled = set(self.auto_approve) - set(self.enabled_actions)
        if self.enabled_actions and disabled:
            raise ValueError(f"must list in enabled_actions what it auto-approves; {', '.join(sorted(disabled))} is not there")
        return self


class Limits(_Model):
    """Deadlines and sizes of an investigation."""

    check_deadline_seconds: Seconds = 10
    """A check that takes longer is given up; what it would have shown is unknown."""
    all_checks_deadline_seconds: Seconds = 60
    """All checks together."""
    log_lines_per_pod: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Newest lines read from each container."""
    onset_lookback: Duration = "60m"
    """How far before the alert the onset is looked for."""

    @model_validator(mode="after")
    def _deadlines_are_ordered(self) -> Self:
        if self.check_deadline_seconds > self.all_checks_deadline_seconds:
            raise ValueError("must have check_deadline_seconds at or below all_checks_deadline_seconds")
        return self


class Service(_Model):
    """One service in one environment."""

    name: KubernetesName
    """Also the first part of the file's name."""
    environment: KubernetesName
    """Also the second part of the file's name, such as prod."""
    overview: Overview
    components: Components
    dependencies: Dependencies = Dependencies()
    thresholds: Thresholds = Thresholds()
    dashboards: tuple[Dashboard, ...] = ()
    alert_channels: AlertChannels = AlertChannels()
    escalation: Escalation = Escalation()
    maintenance: Maintenance = Maintenance()
    documentation: dict[str, str] = {}
    """Title: link."""
    connections: Connections
    instrumentation: Instrumentation = Instrumentation()
    policy: Policy = Policy()
    limits: Limits = Limits()
