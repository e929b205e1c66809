"""A Prometheus that is asked for measures by our names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TypeGuard

import pandas as pd

from runbook_lib.errors import SourceAnswerInvalid
from runbook_lib.models.finding import SourceStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import Window
from runbook_lib.service.instrumentation import MEASURES, Expression, Expressions
from runbook_lib.testing.series import HOUR, each_pod, line, together
from runbook_lib.testing.sickness import Sick, given

__all__ = ["FakeMetrics", "Measured"]

Measured = Frame | float | Sick | None
"""What a measure says: a frame of `line`, `each_pod` or `curve`; one number for the whole window; a Sick; None: not exported."""

_MIB = float(2**20)
_RATE_WINDOW_SECONDS = 60.0


@cache
def _healthy(downstream: tuple[str, ...], window: Window) -> dict[str, Frame]:
    def one(value: float, **labels: str) -> Frame:
        return Frame(line(value, window=window).assign(**labels))

    def pods(value: float) -> Frame:
        return each_pod(value, window=window)

    calls = {
        "downstream_rate": 10.0,
        "downstream_errors": 0.0,
        "downstream_error_ratio": 0.0,
        "downstream_latency": 0.02,
        "breaker_state": 0.0,
    }
    return {
        "request_rate": one(50.0),
        "requests_by_status": one(50.0, status="200"),
        "error_ratio": one(0.0),
        "errors_by_status": one(0.0, status="500"),
        "errors_by_route": one(0.0, route="/orders"),
        "error_ratio_by_pod": pods(0.0),
        "error_ratio_by_version": one(0.0, version="1.0"),
        "latency_quantile": one(0.05),
        "latency_by_route": one(0.05, route="/orders"),
        "latency_by_pod": pods(0.05),
        "latency_by_version": one(0.05, version="1.0"),
        "pool_in_use": pods(1.0),
        "pool_size": pods(5.0),
        "pool_waiting": pods(0.0),
        "pool_timeouts": pods(0.0),
        **{
            name: together(*(one(value, downstream=called) for called in downstream))
            for name, value in calls.items()
            if downstream
        },
        "memory_working_set": pods(100 * _MIB),
        "memory_limit": pods(256 * _MIB),
        "memory_ratio": pods(100 / 256),
        "cpu_usage": pods(0.1),
        "cpu_limit": pods(1.0),
        "cpu_request": pods(0.5),
        "cache_hit_ratio": one(0.95),
        "cpu_throttled_ratio": pods(0.0),
        "cpu_pressure_ratio": pods(0.02),
        "node_cpu_ratio": one(0.5, node="node-1"),
        "tcp_retransmit_ratio": one(0.0001, node="node-1"),
        "restarts": pods(0.0),
        "oom_kills": pods(0.0),
        "replicas_available": one(3.0),
        "replicas_desired": one(3.0),
        "pods_ready": one(3.0),
    }


class FakeMetrics:
    """Prometheus. What is not given is as in a healthy service with three pods.

    Its PromQL is the name of the measure, so that a test knows no metric's name. `answers` takes names of measures
    (runbook_lib.service.instrumentation.MEASURES) and any other PromQL that a check asks by itself. `rate_window_seconds` is the
    range over which rates are taken, `window` the stretch that has values. `missing` tells of a store behind it that does not
    answer: all answers are then answers in part.
    """

    def __init__(
        self,
        answers: Mapping[str, Measured] | None = None,
        *,
        downstream: Sequence[str] = ("payments", "inventory"),
        window: Window = HOUR,
        rate_window_seconds: float = _RATE_WINDOW_SECONDS,
        missing: Sequence[str] = (),
        name: str = "prometheus",
    ) -> None:
        self.name = name
        self.rate_window_seconds = rate_window_seconds
        self._window = window
        self._missing = tuple(missing)
        self._answers: dict[str, Measured] = {**_healthy(tuple(downstream), window), **(answers or {})}

    def expressions(self) -> Expressions:
        """What the service exports: every measure whose answer is not None."""
        known = {
            name: Expression(name, measure.unit, {label: label for label in measure.labels})
            for name, measure in MEASURES.items()
            if self._answers.get(name) is not None
        }
        return Expressions(known=known, rate_window_seconds=self.rate_window_seconds, unanswered=self._missing)

    def range(self, promql: str, *, window: Window, step_seconds: float | None = None) -> Frame:
        """The given answer, cut to the window; with a step, one sample of each series in each step."""
        found = self._cut(promql, since=window.start, until=window.end)
        if not step_seconds or found.empty:
            return found
        labels = [found[column] for column in found.columns if column not in ("time", "value")]
        steps = (found["time"] - pd.Timestamp(window.start)) // pd.Timedelta(seconds=step_seconds)
        return Frame(found.groupby([*labels, steps.rename("step")]).head(1))

    def instant(self, promql: str, *, at: datetime | None = None) -> Frame:
        """The last row of each series."""
        found = self._cut(promql, until=at)
        labels = [column for column in found.columns if column not in ("time", "value")]
        return Frame(found.groupby(labels).tail(1) if labels else found.tail(1))

    def label_values(self, label: str, *, match: Sequence[str] = (), window: Window | None = None) -> list[str]:
        """The measures that are exported, as names of metrics; no other label has values."""
        del match, window
        return sorted(name for name, answer in self._answers.items() if answer is not None) if label == "__name__" else []

    def label_names(self, *, match: Sequence[str] = (), window: Window | None = None) -> list[str]:
        """No labels."""
        del match, window
        return []

    def unanswered(self) -> list[str]:
        """What it was given as missing."""
        return list(self._missing)

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

    def _cut(self, promql: str, *, since: datetime | None = None, until: datetime | None = None) -> Frame:
        answer: Measured = given(self._answers.get(promql), self.name)
        if _is_number(answer):
            answer = line(float(answer), window=self._window)
        if not isinstance(answer, Frame) or answer.empty:
            if self._missing:  # as the real one refuses it
                raise SourceAnswerInvalid(self.name, f"nothing was found, and not all was asked: {'; '.join(self._missing)}")
            return frame([], columns=["time", "value"])
        cut = Frame(answer[answer["time"].between(since or answer["time"].min(), until or answer["time"].max())])
        cut.attrs.update({"source": self.name, "query": promql, "command": f"curl {self.url_for(promql)}"})
        cut.attrs["unanswered"] = list(self._missing)
        return cut


def _is_number(answer: Measured) -> TypeGuard[float]:
    return isinstance(answer, int | float)
