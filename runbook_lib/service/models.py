"""What a team knows of a service in one environment: the fields of `parameters/<service>.<environment>.yaml`.

Every model refuses unknown fields, is frozen, and has its units in the names. `runbook_lib.service.loading` reads a file and
turns pydantic's errors into ones with file, line and mend. `parameters/service.example.yaml` shows every field in use.
"""

from __future__ import annotations

from pydantic import Field

from runbook_lib.service.components import (
    Application,
    CacheComponent,
    CacheLifetime,
    Components,
    DatabaseComponent,
    PoolSetting,
    QueueComponent,
)
from runbook_lib.service.conduct import Instrumentation, Limits, LogFormat, Policy
from runbook_lib.service.connections import (
    Connections,
    HttpConnection,
    KubernetesConnection,
    PostgresConnection,
    PrometheusConnection,
    RedisConnection,
    Tls,
)
from runbook_lib.service.dependencies import CircuitBreaker, Dependencies, Downstream, External, Upstream
from runbook_lib.service.fields import Fields, KubernetesName
from runbook_lib.service.team import (
    AlertChannels,
    Change,
    Contact,
    Dashboard,
    Escalation,
    EscalationLevel,
    ExternalEscalation,
    Maintenance,
    Overview,
    Slo,
)
from runbook_lib.service.thresholds import MetricThreshold, Thresholds

__all__ = [
    "AlertChannels",
    "Application",
    "CacheComponent",
    "CacheLifetime",
    "Change",
    "CircuitBreaker",
    "Components",
    "Connections",
    "Contact",
    "Dashboard",
    "DatabaseComponent",
    "Dependencies",
    "Downstream",
    "Escalation",
    "EscalationLevel",
    "External",
    "ExternalEscalation",
    "HttpConnection",
    "Instrumentation",
    "KubernetesConnection",
    "Limits",
    "LogFormat",
    "Maintenance",
    "MetricThreshold",
    "Overview",
    "Policy",
    "PoolSetting",
    "PostgresConnection",
    "PrometheusConnection",
    "QueueComponent",
    "RedisConnection",
    "Service",
    "Slo",
    "Thresholds",
    "Tls",
    "Upstream",
]


class Service(Fields):
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
    documentation: dict[str, str] = Field(default_factory=dict)
    """Title: link."""
    connections: Connections
    instrumentation: Instrumentation = Instrumentation()
    policy: Policy = Policy()
    limits: Limits = Limits()
