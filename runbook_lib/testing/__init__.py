"""Builders and fakes with which a team tests its own runbooks: no cluster, no database, no clock.

A fake is a healthy system but for what a test gives it, and `examine` runs a whole playbook on fakes:

    >>> from runbook_lib.models.cause import Verdict
    >>> from runbook_lib.testing import FakeDatabase, FakeLogs, FakeMetrics, Sick, ago, each_pod, examine, line, log_lines
    >>> onset = ago(minutes=10)
    >>> metrics = FakeMetrics({
    ...     "error_ratio": line(0.0, 0.4, at=onset),
    ...     "pool_in_use": each_pod(1, 5, at=onset),
    ...     "pool_timeouts": each_pod(0, 2, at=onset),
    ... })
    >>> logs = FakeLogs(log_lines("PoolTimeout: couldn't get a connection after 0.50 sec", since=onset))
    >>> seen = examine("high_error_rate", metrics=metrics, logs=logs)
    >>> seen.roots
    ['db_pool_exhausted']
    >>> seen.findings["database_connections"].summary.partition(";")[0]
    'shop holds 15 of 15 pooled connections and at least one pool is full since 2026-03-01T03:50:00Z'

A source that is down, in each of its ways, is `Sick`; what needed it must become unknown, and nothing wrong be confirmed:

    >>> blind = examine("high_error_rate", metrics=metrics, logs=Sick("timeout"), cluster=Sick("refused"))
    >>> blind.verdicts["bad_deployment"] is Verdict.UNKNOWN
    True

`service` builds a service file's content, `context` what a single check is given, and `FakeMetrics` takes measures by our names
(docs/nomenclature.md), so that a test knows no metric's name.
"""

from runbook_lib.testing.cluster import FakeCluster
from runbook_lib.testing.examining import Examination, FakeJournal, context, error_symptom, examine, fake_sources, service
from runbook_lib.testing.metrics import FakeMetrics, Measured
from runbook_lib.testing.plans import plans, statistics, table_definition
from runbook_lib.testing.records import (
    access,
    chain,
    changed,
    config_edit,
    events,
    key_families,
    log_lines,
    looks,
    pods,
    policy,
    revisions,
    sessions,
    slow_commands,
)
from runbook_lib.testing.series import HOUR, NOW, PODS, ago, curve, each_pod, line, together
from runbook_lib.testing.sickness import Hanging, Sick, Sickness
from runbook_lib.testing.systems import FakeCache, FakeDatabase, FakeHttp, FakeLogs

__all__ = [
    "HOUR",
    "NOW",
    "PODS",
    "Examination",
    "FakeCache",
    "FakeCluster",
    "FakeDatabase",
    "FakeHttp",
    "FakeJournal",
    "FakeLogs",
    "FakeMetrics",
    "Hanging",
    "Measured",
    "Sick",
    "Sickness",
    "access",
    "ago",
    "chain",
    "changed",
    "config_edit",
    "context",
    "curve",
    "each_pod",
    "error_symptom",
    "events",
    "examine",
    "fake_sources",
    "key_families",
    "line",
    "log_lines",
    "looks",
    "plans",
    "pods",
    "policy",
    "revisions",
    "service",
    "sessions",
    "slow_commands",
    "statistics",
    "table_definition",
    "together",
]
