"""Names out of metrics and logs are text in a figure, and no markup."""

from datetime import UTC, datetime

from runbook_lib.display.interactive import plotly_json
from runbook_lib.models.figure import BarFigure, LineFigure
from runbook_lib.models.frame import frame

LINK = '<a href="https://evil.example/login">log in</a>'
SHOWN = '&lt;a href="https://evil.example/login"&gt;log in&lt;/a&gt;'


def test_a_series_whose_name_holds_markup_is_shown_as_text():
    rows = [{"time": datetime(2026, 3, 1, tzinfo=UTC), "series": LINK, "value": 1.0}]
    assert plotly_json(LineFigure(title="t", unit="ratio", frame=frame(rows)))["data"][0]["name"] == SHOWN


def test_a_category_whose_name_holds_markup_is_shown_as_text():
    assert plotly_json(BarFigure(title="t", unit="x", frame=frame([{"category": LINK, "value": 1.0}])))["data"][0]["y"] == [SHOWN]
