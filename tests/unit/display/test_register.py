"""What IPython shows of our models: HTML that does nothing, plain text, figures live and still."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from runbook_lib.display import register
from runbook_lib.models.figure import BarFigure
from runbook_lib.models.frame import frame
from tests.unit.display.shown import (
    AT,
    HOSTILE,
    Elements,
    diagnosis,
    figure,
    finding,
    lines,
    outcome,
    proposal,
    published,
)

PLOTLY = "application/vnd.plotly.v1+json"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    running = InteractiveShell()
    register(running)
    yield running
    InteractiveShell.clear_instance()


def show(shell: InteractiveShell, value: Any) -> list[dict[str, Any]]:
    with published(shell) as seen:
        InteractiveShell._instance = shell
        formatted, _ = shell.display_formatter.format(value)
    assert not formatted, "what we show ourselves must not be shown a second time"
    return seen


MODELS = {
    "finding": finding,
    "diagnosis": diagnosis,
    "action": lambda text: outcome(text=text),
    "frame": lambda text: frame({text: [text, None]}, command=text),
    **{
        f"proposal, {status}": lambda text, status=status: proposal(text, status)
        for status in ("proposed", "executed", "refused")
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_shown_as_html_and_as_text_and_says_what_it_is(shell: InteractiveShell, name: str) -> None:
    make = MODELS[name]
    (card,) = show(shell, make("31% of 200 fail"))
    assert set(card["data"]) == {"text/html", "text/plain"}
    assert card["metadata"]["runbook"]["kind"] == ("action" if name.startswith("proposal") else name)
    for kind in ("text/html", "text/plain"):
        assert "31% of 200 fail" in card["data"][kind], kind


@pytest.mark.parametrize("name", MODELS)
def test_text_from_outside_is_read_and_does_nothing(shell: InteractiveShell, name: str) -> None:
    (card,) = show(shell, MODELS[name](HOSTILE))
    html, text = card["data"]["text/html"], card["data"]["text/plain"]
    seen = Elements(html)
    assert "script" not in seen.names
    assert not seen.open
    assert "<script>alert(1)</script>" in seen.text
    for shown in (seen.text, text):
        assert not {"\x1b", "\x07", "\u202e", "\ud800"} & set(shown)
        assert "日本語 🔥" in shown
    json.dumps(card).encode("utf-8")


def test_a_finding_with_a_figure_shows_it_live_still_and_as_text(shell: InteractiveShell) -> None:
    _, drawn = show(shell, finding(figure=figure(lines(2), text="memory <b>")))
    assert set(drawn["data"]) == {PLOTLY, "image/png", "text/plain"}
    assert base64.b64decode(drawn["data"]["image/png"]).startswith(PNG)
    assert len(drawn["data"][PLOTLY]["data"]) == 2
    assert drawn["data"][PLOTLY]["layout"]["title"]["text"] == "memory &lt;b&gt;"
    assert "pod-1: last 1 B, lowest 1 B, highest 1 B" in drawn["data"]["text/plain"]


@pytest.mark.parametrize(
    "values",
    [[math.nan] * 60, [math.inf] * 60, [-math.inf, *[1.0] * 59], [math.nan, *[2.0] * 59], [0.0] * 60, [1e300] * 60, [-5.0] * 60],
    ids=["nan", "inf", "one -inf", "one nan", "zero", "huge", "negative"],
)
@pytest.mark.parametrize("unit", ["ratio", "seconds", "bytes", "connections"])
def test_odd_values_are_drawn_and_sent_as_json_that_browsers_read(
    shell: InteractiveShell, values: list[float], unit: str
) -> None:
    _, drawn = show(shell, finding(figure=figure(lines(values=values), unit=unit)))
    json.dumps(drawn["data"][PLOTLY], allow_nan=False)
    assert base64.b64decode(drawn["data"]["image/png"]).startswith(PNG)


def test_a_single_sample_is_a_point_and_no_sample_is_no_figure(shell: InteractiveShell) -> None:
    _, drawn = show(shell, finding(figure=figure(lines(samples=1))))
    assert drawn["data"][PLOTLY]["data"][0]["mode"] == "markers"
    assert len(show(shell, finding(figure=figure(lines(0))))) == 1


def test_a_thousand_series_become_twelve_lines_and_say_so(shell: InteractiveShell) -> None:
    _, drawn = show(shell, finding(figure=figure(lines(1000))))
    layout = drawn["data"][PLOTLY]["layout"]
    assert len(drawn["data"][PLOTLY]["data"]) == 12
    assert "and 988 more lines" in layout["title"]["text"]
    assert len(json.dumps(drawn)) < 400_000


def test_ten_thousand_samples_are_thinned_and_keep_their_peak(shell: InteractiveShell) -> None:
    values = np.ones(10_000)
    values[7_003] = 99.0
    _, drawn = show(shell, finding(figure=figure(lines(samples=10_000, values=values), unit="connections")))
    heights = drawn["data"][PLOTLY]["data"][0]["y"]
    assert len(heights) <= 410
    assert max(value for value in heights if value is not None) == 99.0


def test_a_hole_in_the_data_is_a_hole_in_the_line(shell: InteractiveShell) -> None:
    whole = lines(samples=60)
    holed = frame(whole[(whole.index < 20) | (whole.index > 40)])
    _, drawn = show(shell, finding(figure=figure(holed)))
    assert drawn["data"][PLOTLY]["data"][0]["y"].count(None) == 1


def test_bars_are_sorted_and_named(shell: InteractiveShell) -> None:
    amounts = frame({"category": ["a <i>", "b"], "value": [1.0, 3.0]})
    _, drawn = show(shell, finding(figure=BarFigure(title="errors", unit="errors", frame=amounts)))
    assert drawn["data"][PLOTLY]["data"][0]["x"] == [3.0, 1.0]
    assert drawn["data"]["text/plain"].splitlines()[1] == "  b: 3 errors"


@pytest.mark.parametrize("values", [[math.nan, 1.0], [math.inf, 1.0], [0.0, 0.0]], ids=["nan", "inf", "zero"])
def test_odd_bars_are_drawn(shell: InteractiveShell, values: list[float]) -> None:
    amounts = frame({"category": ["a", "b"], "value": values})
    _, drawn = show(shell, finding(figure=BarFigure(title="sizes", unit="bytes", frame=amounts)))
    json.dumps(drawn["data"][PLOTLY], allow_nan=False)


# --- frames


def test_ten_thousand_rows_are_cut_and_counted(shell: InteractiveShell) -> None:
    (card,) = show(shell, frame({"pod": [f"pod-{number}" for number in range(10_000)]}))
    assert "10,000 rows" in card["data"]["text/plain"]
    assert "9,980 more rows" in card["data"]["text/html"]
    assert len(card["data"]["text/html"]) < 20_000


def test_an_empty_frame_is_shown_as_such(shell: InteractiveShell) -> None:
    for empty in (frame([]), frame([], columns=["pod", "time", "value"])):
        (card,) = show(shell, empty)
        assert "0 rows" in card["data"]["text/plain"]


def test_cells_are_read_with_their_units(shell: InteractiveShell) -> None:
    rows = frame(
        {
            "pid": [41207, None],
            "port": [54321, 5432],
            "used bytes": [134217728, None],
            "share of limit": [0.5, math.nan],
            "waiting seconds": [0.25, math.inf],
            "ready": [True, False],
            "at": pd.to_datetime([AT, None]),
            "labels": [{"app": "orders"}, []],
        }
    )
    (card,) = show(shell, rows)
    text = card["data"]["text/plain"]
    for told in ("41207", "54321", "128 MiB", "50.0%", "250 ms", "unlimited", "yes", "no", "04:00:00Z", '{"app": "orders"}'):
        assert told in text, told


def test_a_series_over_time_is_also_drawn(shell: InteractiveShell) -> None:
    shown = lines(3).rename(columns={"series": "pod"})
    _, drawn = show(shell, frame(shown, unit="bytes"))
    assert [line["name"] for line in drawn["data"][PLOTLY]["data"]] == ["pod-0", "pod-1", "pod-2"]


# --- registering


def test_registering_again_shows_once_and_with_the_new_cleaner(shell: InteractiveShell) -> None:
    secret = "hunter2"
    assert secret in show(shell, outcome(text=secret))[0]["data"]["text/plain"]
    register(shell, clean=lambda _: outcome(text="[hidden]"))
    (card,) = show(shell, outcome(text=secret))
    assert secret not in json.dumps(card)


def test_registering_without_ipython_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: None)
    register()
