"""Finding out which metrics a service exports, with as few questions as it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from runbook_lib.errors import SourceError
from runbook_lib.models.window import Window
from runbook_lib.service import Service
from runbook_lib.service.instrumentation import Expressions, Matchers, resolve
from runbook_lib.service.instrumentation.cluster_metrics import EXPORTERS
from runbook_lib.service.instrumentation.promql import ANY, vector
from runbook_lib.sources.interface import Metrics, Sources

__all__ = ["PrometheusCatalogue", "discover"]


class PrometheusCatalogue:
    """The names that a Prometheus knows around a window, each asked for once; several may be asked for at the same time."""

    def __init__(self, metrics: Metrics, window: Window | None = None) -> None:
        self._metrics = metrics
        self._window = window
        self._answers: dict[tuple[str, ...], Future[frozenset[str]]] = {}
        self._lock = threading.Lock()

    def begin(self, service: Service) -> None:
        """Ask at once for what will be needed whatever the answers are: Prometheus may be far away."""
        given = Matchers.equal(service.instrumentation.selector)
        first = [lambda: self.names(), lambda: self.names(given)]
        first += [partial(self.labels, metric) for metric in EXPORTERS.values()] if service.connections.kubernetes else []
        for ask in first:
            threading.Thread(target=_quietly, args=(ask,), daemon=True, name="catalogue").start()

    def names(self, matchers: Matchers = ANY) -> frozenset[str]:
        """Names of the metrics that have series with these labels."""
        match = [f"{{{matchers}}}"] if matchers else []
        return self._once(
            ("names", str(matchers)), lambda: self._metrics.label_values("__name__", match=match, window=self._window)
        )

    def labels(self, metric: str, matchers: Matchers = ANY) -> frozenset[str]:
        """Names of the labels of a metric."""
        match = vector(metric, matchers)
        return self._once(("labels", match), lambda: self._metrics.label_names(match=[match], window=self._window))

    def values(self, label: str, metric: str, matchers: Matchers = ANY) -> frozenset[str]:
        """Values of a label of a metric."""
        match = vector(metric, matchers)
        return self._once(("values", label, match), lambda: self._metrics.label_values(label, match=[match], window=self._window))

    def unanswered(self) -> tuple[str, ...]:
        """What the answers so far may lack, in words."""
        try:
            return tuple(self._metrics.unanswered())
        except SourceError:
            return ()  # a replay of an incident that was recorded before this was asked

    def _once(self, key: tuple[str, ...], ask: Callable[[], list[str]]) -> frozenset[str]:
        with self._lock:
            known = self._answers.get(key)
            answer = self._answers.setdefault(key, Future())
        if known is None:
            try:
                answer.set_result(frozenset(ask()))
            except Exception as error:  # whoever waits for this answer must learn of it
                answer.set_exception(error)
        return answer.result()


def _quietly(ask: Callable[[], object]) -> None:
    with suppress(Exception):  # raised again where the answer is needed
        ask()


def discover(service: Service, sources: Sources, *, window: Window | None = None) -> Expressions:
    """All measures of the service as its Prometheus has them, around `window` (the last hours by default).

    Raises SourceError when Prometheus cannot be asked, ConfigurationError when the service file names what there is not.
    """
    catalogue = PrometheusCatalogue(sources.metrics, window)
    catalogue.begin(service)
    expressions = resolve(service, catalogue)
    interval = _scrape_interval_seconds(service, sources.metrics, expressions) if expressions.counted else None
    return resolve(service, catalogue, scrape_interval_seconds=interval) if interval else expressions


def _scrape_interval_seconds(service: Service, metrics: Metrics, expressions: Expressions) -> float | None:
    try:
        return metrics.scrape_interval_seconds(expressions.counted)
    except SourceError:
        # Only `auto` cannot do without; a replay of an incident may lack this answer, and a store that is down the samples.
        if service.instrumentation.rate_window == "auto" and not expressions.unanswered:
            raise
        return None
