"""The report: what is wrong on its first screen, no network, and nothing in it that was only meant to be read."""

import re
import shutil
import subprocess
from datetime import timedelta

import pytest

from runbook_lib.archive.report import render
from runbook_lib.models.record import ActionRecord, CauseRecord, SymptomRecord
from tests.unit.archive.archives import AT, folder, record, shown

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    '<a href="javascript:alert(1)">x</a>',
    '<svg onload="alert(1)"><circle/></svg>',
    '<iframe src="https://evil.example"></iframe>',
    '<form action="https://evil.example"><input name=token></form>',
    '<p style="background:url(https://evil.example/x.png)">x</p>',
    '<link rel="stylesheet" href="https://evil.example/x.css">',
    '<base href="https://evil.example/">',
    '<object data="https://evil.example/x"></object><embed src="https://evil.example/y">',
]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def page(tmp_path, *outputs, **named):
    return render(folder(tmp_path, *outputs, **named).path).read_text()


def own_part(html):
    """The page without the scripts that we ship, whose text speaks of many things."""
    return re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)


@pytest.mark.parametrize("html", HOSTILE)
def test_hostile_html_of_an_output_does_nothing(tmp_path, html):
    shown_html = own_part(page(tmp_path, shown(html=f"<p>before</p>{html}<p>after</p>")))
    assert "before" in shown_html
    assert "after" in shown_html
    assert not re.search(
        r"(?i)evil\.example|onerror|onload|javascript:|<svg|<iframe|<form|<object|<embed|<base|alert\(1\)", shown_html
    )


@pytest.mark.parametrize("html", HOSTILE)
def test_hostile_text_is_read_as_text(tmp_path, html):
    known = record(error=html, service="orders", impact=html, next_steps=(html,))
    stream = {"output_type": "stream", "name": "stdout", "text": html}
    failure = {"output_type": "error", "ename": "E", "evalue": html, "traceback": [html]}
    made = own_part(page(tmp_path, stream, failure, markdown=f"## Look\n{html}", known=known))
    for tag in re.findall(r"<(?!/)[a-z]+[^>]*>", made):
        assert "evil.example" not in tag
        assert not re.search(r"(?i)\son[a-z]+=|javascript:|<(?:svg|iframe|form|object|embed|base|link)\b", tag)


def test_figures_cannot_end_their_script_element(tmp_path):
    figure = {"data": [], "layout": {"title": {"text": "</script><script>alert(1)</script>"}}}
    made = page(tmp_path, shown(plotly=figure, png=PNG, text="errors"))
    assert "</script><script>alert(1)" not in made
    assert 'alt="errors"' in made


def test_nothing_is_fetched_and_no_other_script_may_run(tmp_path):
    made = page(tmp_path, shown(plotly={"data": [], "layout": {}}, png=PNG, text="errors"))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', made)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "unsafe-inline" not in policy[1].split("script-src")[1]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', own_part(made))


def test_the_first_screen_says_what_is_wrong_since_when_why_and_what_to_do(tmp_path):
    known = record(
        summary="Error rate of orders is 31.0%.",
        onset_at=AT,
        impact="31.0% of the requests fail.",
        symptoms=(SymptomRecord(name="error_rate", value=0.31, unit="ratio", threshold=0.05, breached=True),),
        causes=(
            CauseRecord(name="db_pool_exhausted", title="Pool exhausted", verdict="confirmed", confidence=0.9, why="it is full"),
            CauseRecord(name="memory_leak", title="Memory leak", verdict="ruled_out", confidence=0.0, why="memory is level"),
        ),
        actions=(
            ActionRecord(
                name="restart_pods", target="deployment/orders", status="proposed", risk="low", text="Proposed.",
                recommended_for=("db_pool_exhausted",),
            ),
        ),
        next_steps=("Escalate after 30 minutes.",),
    )  # fmt: skip
    summary = page(tmp_path, known=known).partition('<dl class="summary">')[2].partition("</dl>")[0]
    for told in ("31.0%", "2026-03-01T04:00:00Z", "it is full", "estart", "of the requests fail", "Escalate after 30 minutes"):
        assert told in summary
    assert "memory is level" not in summary


def test_what_is_over_is_told_as_past(tmp_path):
    over = record(onset_at=AT, recovered_at=AT + timedelta(minutes=9), impact="31.0% of the requests fail.")
    summary = page(tmp_path, known=over).partition('<dl class="summary">')[2].partition("</dl>")[0]
    assert "What was wrong" in summary
    assert "Impact until then" in summary


def test_code_is_folded_away_but_for_the_cell_that_failed(tmp_path):
    assert '<details class="code"><summary>code</summary>' in page(tmp_path / "well")
    failure = {"output_type": "error", "ename": "E", "evalue": "", "traceback": ["boom"]}
    assert '<details class="code failed" open>' in page(tmp_path / "failed", failure)


def test_a_record_without_a_notebook_still_makes_a_report(tmp_path):
    made = folder(tmp_path, known=record(status="interrupted"))
    made.notebook.write_text("{ half a noteb")
    told = render(made.path).read_text()
    assert "The run was interrupted" in told
    assert "There is no executed notebook" in told


def test_colour_codes_of_a_traceback_are_not_shown(tmp_path):
    failure = {"output_type": "error", "ename": "E", "evalue": "", "traceback": ["\x1b[31mValueError\x1b[0m: no"]}
    assert "ValueError: no" in page(tmp_path, failure)


def test_a_browser_draws_the_figures_without_a_network_and_runs_nothing_else(tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser is installed (apt install chromium)")
    figure = {"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4], "name": "requests"}], "layout": {"title": {"text": "T"}}}
    hostile = shown(html='<p id="mark">seen</p><img src=x onerror="document.title=\'owned\'">')
    made = render(folder(tmp_path, shown(plotly=figure, png=PNG, text="errors"), hostile).path)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=8000", "--dump-dom", made.as_uri()]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    assert "js-plotly-plot" in seen
    assert "<title>owned" not in seen
