"""A question that several ask at the same time is asked once; one that is asked again afterwards is asked again."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd

from runbook_lib.errors import SourceRefused
from runbook_lib.models.frame import frame
from runbook_lib.models.window import Window
from runbook_lib.sources.single_flight import single_flight
from runbook_lib.testing import fake_sources

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = Window(NOW - timedelta(hours=1), NOW)
PATIENCE_SECONDS = 10


class Slow:
    """A source that answers when it is let go."""

    name = "prometheus"

    def __init__(self, error=None):
        self.asked = []
        self.busy, self.go = threading.Event(), threading.Event()
        self._error = error

    def series(self, match, *, window=None):
        return self.instant(f"{match} {window}")

    def instant(self, promql, *, at=None):
        self.asked.append(promql)
        self.busy.set()
        assert self.go.wait(PATIENCE_SECONDS)
        if self._error:
            raise self._error
        return frame({"time": pd.DatetimeIndex([NOW]), "value": [1.0]}, source="prometheus")

    def close(self):
        pass


class Asking(threading.Thread):
    """Somebody who asks on a thread of their own."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self._ask = ask
        self.answer = self.error = None
        self.start()

    def run(self):
        try:
            self.answer = self._ask()
        except Exception as error:
            self.error = error


def waits_for_an_answer(thread):
    """The thread stands in Future.result: it has found that somebody asks already."""
    place = sys._current_frames().get(thread.ident)
    while place is not None and place.f_code is not Future.result.__code__:
        place = place.f_back
    return place is not None


def while_under_way(source, first, *others):
    """Ask `first`, and the others while it is on its way and they wait for it; let the source answer, and give who asked."""
    shared = single_flight(replace(fake_sources(), metrics=source)).metrics
    asking = [Asking(lambda: first(shared))]
    assert source.busy.wait(PATIENCE_SECONDS)
    asking += [Asking(lambda question=question: question(shared)) for question in others]
    until = time.monotonic() + PATIENCE_SECONDS
    while not all(waits_for_an_answer(one) for one in asking[1:]):
        assert time.monotonic() < until, "somebody did not wait for the answer that is on its way"
    source.go.set()
    for one in asking:
        one.join(PATIENCE_SECONDS)
    return asking


def series(shared):
    return shared.series(["up"], window=HOUR)


def test_the_same_question_at_the_same_time_is_asked_once():
    source = Slow()
    asking = while_under_way(source, series, series, series)
    assert len(source.asked) == 1
    assert [list(one.answer["value"]) for one in asking] == [[1.0]] * 3


def test_each_gets_a_frame_whose_provenance_is_its_own():
    first, second = while_under_way(Slow(), series, series)
    first.answer.attrs["notes"] = ["mine"]
    assert "notes" not in second.answer.attrs


def test_an_error_is_raised_for_all_who_waited():
    asking = while_under_way(Slow(SourceRefused("prometheus", "HTTP 403")), series, series)
    assert [type(one.error) for one in asking] == [SourceRefused] * 2


def test_another_window_is_another_question():
    source = Slow()
    source.go.set()
    shared = single_flight(replace(fake_sources(), metrics=source)).metrics
    shared.series(["up"], window=HOUR)
    shared.series(["up"], window=Window(HOUR.start - timedelta(hours=1), HOUR.end))
    assert len(set(source.asked)) == 2


def test_an_answer_is_not_kept():
    source = Slow()
    source.go.set()
    shared = single_flight(replace(fake_sources(), metrics=source)).metrics
    series(shared)
    series(shared)
    assert len(source.asked) == 2


def test_what_cannot_be_compared_is_asked_each_time():
    source = Slow()
    source.go.set()
    shared = single_flight(replace(fake_sources(), metrics=source)).metrics
    shared.series([{"a", "set"}], window=HOUR)
    assert len(source.asked) == 1
