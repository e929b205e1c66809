"""How IPython shows our models.

Each is published as a card (HTML and plain text); a figure follows as an output of its own, interactive and as a picture, so
that a viewer takes what it can: JupyterLab the interactive one, a report either, a viewer without scripts the picture.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pandas as pd

from runbook_lib.display import frames
from runbook_lib.display.buttons import Clean, buttons
from runbook_lib.display.chart import bars_of, chart_of
from runbook_lib.display.diagnosis import diagnosis_html, diagnosis_text
from runbook_lib.display.findings import finding_html, finding_text
from runbook_lib.display.interactive import MIME, plotly_json
from runbook_lib.display.proposals import outcome_html, outcome_text, proposal_html, proposal_text
from runbook_lib.display.still import png
from runbook_lib.models.cause import Diagnosis
from runbook_lib.models.figure import BarFigure, Figure
from runbook_lib.models.finding import Finding
from runbook_lib.models.frame import Frame
from runbook_lib.models.plan import Outcome, Proposal
from runbook_lib.models.units import written

__all__ = ["register"]


def register(shell: Any = None, *, clean: Clean = lambda value: value) -> None:
    """Let the running IPython show our models; does nothing where there is none. May be called again, with another `clean`.

    clean: takes secrets and personal data out of a model before it is shown, since what is shown is saved.
    """
    if shell is None:
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
    if shell is None:
        return
    formatter = shell.display_formatter.ipython_display_formatter
    shown: dict[type[Any], Callable[[Any, Clean], None]] = {
        Finding: _finding,
        Diagnosis: _diagnosis,
        Proposal: _proposal,
        Outcome: _outcome,
        Frame: _frame,
    }
    for model, show in shown.items():
        formatter.for_type(model, lambda value, show=show: show(value, clean))


def _finding(finding: Finding, clean: Clean) -> None:
    finding = clean(finding)
    about = {"kind": "finding", "name": finding.name, "status": str(finding.status)}
    _publish(finding_html(finding), finding_text(finding), about)
    if finding.figure is not None and len(finding.figure.frame):
        _publish_figure(finding.figure)


def _diagnosis(diagnosis: Diagnosis, clean: Clean) -> None:
    diagnosis = clean(diagnosis)
    _publish(diagnosis_html(diagnosis), diagnosis_text(diagnosis), {"kind": "diagnosis"})


def _proposal(proposal: Proposal, clean: Clean) -> None:
    # The buttons are functions and stay as they are; only what is read is cleaned.
    seen = Proposal(
        action=proposal.action,
        plan=clean(proposal.plan),
        outcome=clean(proposal.outcome),
        recommended_for=proposal.recommended_for,
        recommended_titles=proposal.recommended_titles,
    )
    about = {"kind": "action", "name": proposal.action, "status": proposal.outcome.status}
    _publish(proposal_html(seen), proposal_text(seen), about)
    if proposal.approve is not None and proposal.plan is not None:
        from IPython.display import display

        display(buttons(proposal, clean=clean))  # type: ignore[no-untyped-call]


def _outcome(outcome: Outcome, clean: Clean) -> None:
    outcome = clean(outcome)
    about = {"kind": "action", "name": outcome.action, "status": outcome.status}
    _publish(outcome_html(outcome), outcome_text(outcome), about)


def _frame(frame: pd.DataFrame, clean: Clean) -> None:
    frame = clean(frame)
    _publish(frames.frame_html(frame), frames.frame_text(frame), {"kind": "frame"})
    figure = frames.figure_of(frame)
    if figure is not None:
        _publish_figure(figure)


def _publish(html: str, text: str, about: dict[str, str]) -> None:
    from IPython.display import publish_display_data

    bundle = {"text/html": html, "text/plain": text}
    publish_display_data(bundle, metadata={"runbook": about})  # type: ignore[no-untyped-call]


def _publish_figure(figure: Figure) -> None:
    from IPython.display import publish_display_data

    picture = base64.b64encode(png(figure)).decode("ascii")
    bundle = {MIME: plotly_json(figure), "image/png": picture, "text/plain": _figure_text(figure)}
    publish_display_data(bundle, metadata={"runbook": {"kind": "figure"}})  # type: ignore[no-untyped-call]


def _figure_text(figure: Figure) -> str:
    if isinstance(figure, BarFigure):
        amounts, unit = bars_of(figure)
        return "\n".join([figure.title, *(f"  {name}: {value:,.4g} {unit}" for name, value in amounts)])
    chart = chart_of(figure)
    lines = [figure.title]
    for name, part in figure.frame.groupby("series", sort=False):
        values = part["value"].dropna()
        if len(values):
            low, high, last = (written(float(value), figure.unit) for value in (values.min(), values.max(), values.iloc[-1]))
            lines.append(f"  {name}: last {last}, lowest {low}, highest {high}")
    return "\n".join(lines[: len(chart.lines) + 1])
