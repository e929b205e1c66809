"""An incident looked at again, from what its sources answered, comes to the same verdicts without any system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.sources.recorded import recording, replayed
from runbook_lib.testing import FakeDatabase, FakeMetrics, Sick, fake_sources
from tests.unit.incident.opened import Situation, last_hour, opened


def verdicts(found: Any) -> list[tuple[str, str, float, str | None, str]]:
    return [(cause.name, str(cause.verdict), cause.confidence, cause.because_of, cause.why) for cause in found.causes]


@pytest.mark.parametrize(
    "others",
    [{}, {"logs": Sick("timeout", name="logs")}, {"database": FakeDatabase(chains=Sick("refused", "permission denied"))}],
)
def test_the_replay_comes_to_the_verdicts_of_the_live_run(tmp_path: Path, others: dict[str, Any]) -> None:
    situation = Situation()
    live_sources = situation.sources(**others)
    expressions = live_sources.metrics.expressions  # type: ignore[attr-defined]
    recorded = tmp_path / "answers"
    recorded.mkdir()
    sources = recording(live_sources, recorded, clean=lambda value: value)
    live, _ = opened(tmp_path / "live", sources, window=situation.window, discover=expressions)
    found = live.causes()
    live.connection()
    live.close()
    again, journal = opened(tmp_path / "again", replayed(recorded), window=situation.window, replayed=True, discover=expressions)
    assert verdicts(again.causes()) == verdicts(found)
    assert again.causes().summary == found.summary
    assert again.check.database_connections().summary == live.check.database_connections().summary
    again.close()
    assert journal.records[-1].onset_at == found.symptoms[0].onset_at


def test_what_was_recorded_is_lines_of_json_that_name_the_question(tmp_path: Path) -> None:
    window = last_hour()
    sources = recording(fake_sources(metrics=FakeMetrics(window=window)), tmp_path, clean=lambda value: value)
    sources.metrics.range("error_ratio", window=window)
    sources.close()
    told = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert "error_ratio" in told[0]["question"]
