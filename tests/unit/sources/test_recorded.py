"""Answers are written while an incident runs, without its secrets, and give the same answers and errors afterwards."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from runbook_lib import errors
from runbook_lib.archive.redaction import Redaction
from runbook_lib.errors import ArchiveError, SourceError, SourceNotConfigured
from runbook_lib.models.frame import frame
from runbook_lib.models.window import Window
from runbook_lib.sources.recorded import recording, replayed
from runbook_lib.testing import Sick, fake_sources

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ERRORS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SourceError) and kind is not SourceError
]


class Counting:
    """A source that answers with how often it was asked."""

    name = "prometheus"

    def __init__(self, failing=None):
        self.count = 0
        self._failing = failing
        self.threads = set()

    def instant(self, promql, *, at=None):
        self.threads.add(threading.get_ident())
        self.count += 1
        if self._failing:
            raise self._failing
        return frame({"time": pd.DatetimeIndex([NOW]), "value": [float(self.count)]}, source="prometheus", query=promql)

    def range(self, promql, *, window, step_seconds=None):
        return self.instant(promql)

    def close(self):
        pass


def recorded(tmp_path, source, ask, clean=lambda value: value):
    """Ask a recorded source, and give the sources that replay it."""
    sources = recording(replace(fake_sources(), metrics=source), tmp_path, clean=clean)
    ask(sources.metrics)
    sources.close()
    return replayed(tmp_path)


def test_a_replay_gives_the_same_answer(tmp_path):
    answers = []
    again = recorded(tmp_path, Counting(), lambda metrics: answers.append(metrics.instant("up")))
    pd.testing.assert_frame_equal(again.metrics.instant("up"), answers[0])
    assert again.metrics.instant("up").attrs == answers[0].attrs


def test_the_first_answer_counts_since_later_ones_wait_for_the_recovery(tmp_path):
    again = recorded(tmp_path, Counting(), lambda metrics: [metrics.instant("up") for _ in range(3)])
    assert again.metrics.instant("up")["value"].tolist() == [1.0]
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1


def test_the_same_question_about_another_moment_is_the_same_question(tmp_path):
    later = Window.ending_at(NOW.replace(hour=13), "60m")
    again = recorded(tmp_path, Counting(), lambda metrics: metrics.range("up", window=Window.ending_at(NOW, "60m")))
    assert again.metrics.range("up", window=later)["value"].tolist() == [1.0]
    assert again.metrics.range("up", window=later, step_seconds=None)["value"].tolist() == [1.0]
    with pytest.raises(SourceNotConfigured):
        again.metrics.range("up", window=later, step_seconds=5)


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_comes_back_with_its_class_and_reason(tmp_path, kind):
    def ask(metrics):
        with pytest.raises(kind):
            metrics.instant("up")

    again = recorded(tmp_path, Counting(kind("prometheus", "it was so")), ask)
    with pytest.raises(kind) as raised:
        again.metrics.instant("up")
    assert (raised.value.source, raised.value.reason, raised.value.status) == ("prometheus", "it was so", kind.status)


def test_what_was_not_asked_then_is_not_known_now(tmp_path):
    again = recorded(tmp_path, Counting(), lambda metrics: metrics.instant("up"))
    with pytest.raises(SourceNotConfigured, match="not asked when the incident was recorded"):
        again.metrics.instant("down")
    with pytest.raises(SourceNotConfigured):
        again.database.connections()
    assert again.cluster.probe().status == "not_configured"
    again.close()


def test_the_state_of_a_source_is_replayed_too(tmp_path):
    sources = recording(
        fake_sources(database=Sick("refused", "no permission", name="postgres")), tmp_path, clean=lambda value: value
    )
    live = [sources.database.probe(), sources.metrics.probe()]
    sources.close()
    again = replayed(tmp_path)
    assert [again.database.probe(), again.metrics.probe()] == live


def test_secrets_are_taken_out_before_anything_is_written(tmp_path):
    class Leaking(Counting):
        def instant(self, promql, *, at=None):
            told = super().instant(promql)
            told["message"] = ["postgres://orders:hunter2secret@db/shop"]
            told.attrs["command"] = "curl -H 'Authorization: Bearer abcdefghij0123456789'"
            return told

    question = 'up{password="hunter2secret"}'
    again = recorded(tmp_path, Leaking(), lambda metrics: metrics.instant(question), clean=Redaction(["hunter2secret"]).value)
    written = (tmp_path / "metrics.jsonl").read_text()
    assert "hunter2secret" not in written
    assert "abcdefghij0123456789" not in written
    assert again.metrics.instant(question)["value"].tolist() == [1.0]  # found again all the same


def test_a_line_that_a_crash_cut_off_costs_only_itself(tmp_path):
    recorded(tmp_path, Counting(), lambda metrics: (metrics.instant("up"), metrics.instant("down")))
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text()[:-20])
    again = replayed(tmp_path)
    assert again.metrics.instant("up")["value"].tolist() == [1.0]
    with pytest.raises(SourceNotConfigured):
        again.metrics.instant("down")


def test_a_question_waits_neither_for_the_cleaning_nor_for_the_disk(tmp_path):
    held = threading.Event()

    def slow(value):
        held.wait(30)
        return value

    sources = recording(replace(fake_sources(), metrics=Counting()), tmp_path, clean=slow)
    began = time.monotonic()
    sources.metrics.instant("up")
    assert time.monotonic() - began < 10
    assert not (tmp_path / "metrics.jsonl").exists()
    held.set()
    sources.close()
    assert (tmp_path / "metrics.jsonl").exists()


def test_a_disk_that_is_full_ends_no_investigation(tmp_path):
    sources = recording(replace(fake_sources(), metrics=Counting()), tmp_path / "missing", clean=lambda value: value)
    assert len(sources.metrics.instant("up")) == 1
    sources.close()


def test_an_answer_that_cannot_be_cleaned_or_kept_costs_only_itself(tmp_path):
    def broken(value):
        if isinstance(value, pd.DataFrame) and value.attrs["query"] == "up":
            raise RuntimeError("a cleaner with a bug")
        return value

    again = recorded(tmp_path, Counting(), lambda metrics: (metrics.instant("up"), metrics.instant("down")), clean=broken)
    assert again.metrics.instant("down")["value"].tolist() == [2.0]


def test_a_folder_without_a_recording_is_told(tmp_path):
    with pytest.raises(ArchiveError, match="no recorded answers"):
        replayed(tmp_path / "answers")
