"""Finding a service's metrics asks Prometheus each thing once, all that is sure to be needed at the same time."""

from __future__ import annotations

import re
import threading
from collections import Counter
from datetime import UTC, datetime

import pytest

from runbook_lib.errors import SourceAnswerInvalid, SourceNotConfigured, SourceTimeout
from runbook_lib.models.window import Window
from runbook_lib.service.instrumentation import Matchers
from runbook_lib.sources.discovery import PrometheusCatalogue, discover
from runbook_lib.testing import Sick, fake_sources, service
from tests.unit.service.exporters import SeriesCatalogue, cluster, prometheus_of, python

WINDOW = Window.ending_at(datetime(2026, 3, 1, 12, tzinfo=UTC), "60m")


class Names:
    """A Prometheus of plain series that counts its questions; the first ones wait for each other when `together` is given."""

    name = "prometheus"

    def __init__(self, series, *, interval=15.0, together=0, unanswered=()):
        self._unanswered = list(unanswered)
        self._catalogue = SeriesCatalogue(series)
        self._interval = interval
        self._barrier = threading.Barrier(together, timeout=5) if together else None
        self._lock = threading.Lock()
        self.asked = Counter()
        self.windows = set()

    def label_values(self, label, *, match=(), window=None):
        self._count("values", label, *match, window=window)
        if label == "__name__":
            return sorted(self._catalogue.names(_matchers(match)))
        metric, _, inside = match[0].partition("{")
        return sorted(self._catalogue.values(label, metric, _matchers([inside])))

    def label_names(self, *, match=(), window=None):
        self._count("names", *match, window=window)
        metric, _, inside = match[0].partition("{")
        return sorted(self._catalogue.labels(metric, _matchers([inside])))

    def scrape_interval_seconds(self, match):
        self._count("interval", match, window=None)
        return self._interval

    def unanswered(self):
        return self._unanswered

    def _count(self, *question, window):
        with self._lock:
            self.asked[question] += 1
            self.windows.add(window)
            waits = self._barrier is not None and len(self.asked) <= self._barrier.parties
        if waits:
            self._barrier.wait()


def _matchers(match):
    found = re.findall(r'([\w.]+)(=~|!~|!=|=)"((?:\\.|[^"\\])*)"', ",".join(match))
    return Matchers(tuple((label, operator, re.sub(r"\\(.)", r"\1", value)) for label, operator, value in found))


def orders(**instrumentation):
    return service("orders", instrumentation={"preset": "auto", **instrumentation})


def test_nothing_is_asked_twice():
    names = Names([*prometheus_of(python), *prometheus_of(cluster)])
    found = discover(orders(), fake_sources(metrics=names), window=WINDOW)
    assert {"error_ratio", "latency_quantile", "memory_ratio"} <= set(found.known)
    assert {question: count for question, count in names.asked.items() if count > 1} == {}
    assert names.windows <= {WINDOW, None}
    assert names.asked["values", "__name__"] == 1


def test_what_is_sure_to_be_needed_is_asked_for_at_once():
    names = Names([*prometheus_of(python), *prometheus_of(cluster)], together=4)
    instrumented = orders(selector={"service": "orders", "namespace": "shop"})
    assert "error_ratio" in discover(instrumented, fake_sources(metrics=names), window=WINDOW).known


def test_the_rate_window_follows_the_scrapes_and_a_given_one_must_hold_two():
    names = Names(prometheus_of(python), interval=120.0)
    assert discover(orders(), fake_sources(metrics=names)).rate_window_seconds == 480
    given = orders(rate_window="30s")
    assert discover(given, fake_sources(metrics=Names(prometheus_of(python)))).rate_window_seconds == 30
    assert discover(given, fake_sources(metrics=names)).rate_window_seconds == 480


def test_a_given_rate_window_holds_where_the_scrapes_are_not_known():
    class Replayed(Names):
        def scrape_interval_seconds(self, match):
            raise SourceNotConfigured("prometheus", f"this was not asked: {match}")

    names = Replayed(prometheus_of(python))
    assert discover(orders(rate_window="30s"), fake_sources(metrics=names)).rate_window_seconds == 30
    with pytest.raises(SourceNotConfigured):
        discover(orders(), fake_sources(metrics=names))


def test_a_service_that_exports_nothing_has_no_measures():
    found = discover(orders(), fake_sources(metrics=Names([])))
    assert found.known == {}
    assert found.chosen[0].startswith("Not exported: request_rate")


def test_what_is_not_found_while_a_store_does_not_answer_is_not_known_not_to_be_exported():
    known = discover(orders(), fake_sources(metrics=Names(prometheus_of(python), unanswered=["store-1 is down"])))
    assert known.chosen[-1].startswith("Not found, while not all was asked (store-1 is down): ")
    assert "memory_ratio was not found, and not all was asked: store-1 is down" in known.why_unknown("memory_ratio")
    assert known.why_unknown("error_ratio") == ""
    assert discover(orders(), fake_sources(metrics=Names([]))).why_unknown("error_ratio") == ""


def test_the_scrapes_that_a_store_does_not_tell_of_cost_no_measure():
    class HalfAsked(Names):
        def scrape_interval_seconds(self, match):
            raise SourceAnswerInvalid("prometheus", f"nothing was found, and not all was asked: {match}")

    known = discover(orders(), fake_sources(metrics=HalfAsked(prometheus_of(python), unanswered=["store-1 is down"])))
    assert "error_ratio" in known.known
    assert known.rate_window_seconds == 300


def test_a_replay_of_an_incident_from_before_it_was_asked_lacks_nothing():
    class Replayed(Names):
        def unanswered(self):
            raise SourceNotConfigured("prometheus", "this was not asked")

    assert discover(orders(), fake_sources(metrics=Replayed([]))).why_unknown("error_ratio") == ""


def test_a_prometheus_that_cannot_be_asked_is_told():
    with pytest.raises(SourceTimeout):
        discover(orders(), fake_sources(metrics=Sick("timeout")))


def test_whoever_waits_for_a_question_that_fails_learns_of_it():
    class Failing:
        def label_values(self, label, *, match=(), window=None):
            raise SourceTimeout("prometheus", "no answer")

    catalogue = PrometheusCatalogue(Failing())
    for _ in range(2):
        with pytest.raises(SourceTimeout):
            catalogue.names()
