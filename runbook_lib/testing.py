"""Builders and fakes with which a team tests its own runbooks: no cluster, no database, no clock.

    sources = fake_sources(metrics=FakeMetrics({"error_ratio": line(0.0, 0.3, at=ONSET)}), logs=FakeLogs(records(...)))
    finding = error_ratio(context(service("shop"), sources=sources))

A fake answers what it was given, with the columns of `sources.interface`; what it was not given is an empty frame. `Sick` stands in
for a system that is down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from runbook_lib.models.finding import SourceStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import Window
from runbook_lib.service import Service

NOW = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
"""The end of every window that these builders make."""

HOUR = Window(NOW - timedelta(hours=1), NOW)

_POD_COLUMNS = ["pod", "phase", "ready", "restarts", "node", "ip", "started_at", "version", "revision", "template_hash", "state", "last_state", "last_terminated_at", "containers", "cpu_request_cores", "cpu_limit_cores", "memory_request_bytes", "memory_limit_bytes", "owner"]
_EVENT_COLUMNS = ["time", "first_seen", "type", "reason", "kind", "name", "message", "count"]
_HISTORY_COLUMNS = ["revision", "created_at", "replica_set", "images", "change_cause", "replicas", "ready", "current", "first_ready_at"]
_LOG_COLUMNS = ["time", "pod", "container", "level", "message", "previous", "fields"]
_SESSION_COLUMNS = ["pid", "application", "user", "state", "wait_event", "backend_start", "transaction_start", "query_start", "state_seconds", "transaction_seconds", "query", "blocked_by"]
_CHAIN_COLUMNS = ["blocked_pid", "blocked_application", "blocked_seconds", "blocked_query", "blocking_pid", "blocking_application", "blocking_state", "blocking_seconds", "blocking_query", "root_pid", "waiters"]


def service(name: str = "shop", **sections: Any) -> Service:
    """The smallest valid service; `sections` replace whole sections of it."""
    fields: dict[str, Any] = {
        "name": name,
        "environment": "test",
        "overview": {"purpose": "Sells things.", "owner": "Shop team", "tier": 1},
        "components": {
            "application": {"deployment": name, "selector": f"app={name}"},
            "database": {"name": "shop", "application_name": name},
        },
        "connections": {
            "prometheus": {"url": "http://prometheus.invalid:9090"},
            "kubernetes": {"namespace": "shop"},
            "postgres": {"dsn": "host=db.invalid dbname=shop"},
        },
        "instrumentation": {"preset": "prometheus_client"},
    }
    return Service.model_validate(fields | sections)


def line(before: float, after: float | None = None, *, at: datetime | None = None, window: Window = HOUR, **labels: str) -> Frame:
    """A series over the window with 240 points: `before`, and from `at` on `after`. `labels` become columns."""
    times = pd.date_range(window.start, window.end, periods=241)
    values = [after if after is not None and at is not None and moment >= at else before for moment in times]
    return frame({"time": times, **labels, "value": values})


def together(*parts: Frame) -> Frame:
    """Several series as one answer."""
    return Frame(pd.concat(parts, ignore_index=True))


def records(
    messages: Sequence[str], *, start: datetime, every_seconds: float = 1.0, level: str = "error", pod: str = "shop-1"
) -> Frame:
    """Log records, one after the other."""
    times = [start + timedelta(seconds=every_seconds * index) for index in range(len(messages))]
    rows = [(at, pod, "shop", level, message, False, None) for at, message in zip(times, messages, strict=True)]
    return frame(rows, columns=_LOG_COLUMNS)


@dataclass
class FakeMetrics:
    """Prometheus. `answers` maps a PromQL text, or a part of one, to the range answer; an instant one is its last row."""

    answers: Mapping[str, Frame] = field(default_factory=dict)
    name: str = "prometheus"

    def range(self, promql: str, *, window: Window, step_seconds: float | None = None) -> Frame:
        """The given answer, cut to the window."""
        del step_seconds
        found = self._found(promql)
        return Frame(found[(found["time"] >= window.start) & (found["time"] <= window.end)])

    def instant(self, promql: str, *, at: datetime | None = None) -> Frame:
        """The last row of each series."""
        found = self._found(promql)
        if at is not None:
            found = Frame(found[found["time"] <= at])
        labels = [column for column in found.columns if column not in ("time", "value")]
        return Frame(found.groupby(labels).tail(1) if labels else found.tail(1))

    def label_values(self, label: str, *, match: Sequence[str] = (), window: Window | None = None) -> list[str]:
        """Nothing exists but what was given."""
        del match, window
        return sorted(self.answers) if label == "__name__" else []

    def series(self, match: Sequence[str], *, window: Window | None = None, limit: int = 10_000) -> Frame:
        """No label sets."""
        del match, window, limit
        return frame([])

    def metadata(self, metric: str | None = None) -> Frame:
        """No metadata."""
        del metric
        return frame([], columns=["metric", "type", "help", "unit"])

    def scrape_interval_seconds(self, match: str) -> float | None:
        """Fifteen seconds."""
        del match
        return 15.0

    def url_for(self, promql: str) -> str:
        """A link that leads nowhere."""
        return f"http://prometheus.invalid/graph?g0.expr={promql}"

    def probe(self) -> SourceStatus:
        """Well."""
        return SourceStatus(name=self.name, status="ok", seconds=0.0)

    def close(self) -> None:
        """Nothing to close."""

    def _found(self, promql: str) -> Frame:
        exact = self.answers.get(promql)
        if exact is not None:
            return exact
        matching = (answer for part, answer in self.answers.items() if part in promql)
        return next(matching, frame([], columns=["time", "value"]))
