"""Findings as cards: HTML, and the same as plain text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from runbook_lib.display import html, text
from runbook_lib.display.cells import Table, as_table
from runbook_lib.models.finding import Finding, SourceState, SourceStatus
from runbook_lib.models.frame import Frame

__all__ = ["finding_html", "finding_text"]

_SICK: dict[SourceState, str] = {
    "unreachable": "cannot be reached",
    "timeout": "did not answer in time",
    "refused": "refused access",
    "invalid_answer": "answered what cannot be read",
}


def finding_html(finding: Finding) -> str:
    """The sentence, what is missing, the tables, the command that asks the same, and whom it was asked of."""
    as_rows = _rows_of(finding)
    main, others = finding.tables[:1], finding.tables[1:]
    return html.card(
        str(finding.status),
        html.heading(finding.title, status=str(finding.status)),
        html.paragraph(finding.summary, name="say"),
        html.bullets(_missing(finding), before="Missing:", name="lost"),
        html.bullets(finding.notes),
        *(html.table(caption, as_rows(frame)) for caption, frame in main),
        *(html.details(_counted(caption, frame), html.table("", as_rows(frame))) for caption, frame in others),
        html.details("The same by hand", html.command(finding.command)),
        html.paragraph(_seen(finding), name="soft"),
    )


def finding_text(finding: Finding) -> str:
    """The card as plain text."""
    as_rows = _rows_of(finding)
    return text.block(
        f"[{str(finding.status).upper()}] {finding.title}: {finding.summary}",
        [f"Missing: {line}" for line in _missing(finding)],
        finding.notes,
        *(text.table(caption, as_rows(frame)) for caption, frame in finding.tables),
        f"$ {finding.command}" if finding.command else "",
        _seen(finding),
    )


def _rows_of(finding: Finding) -> Callable[[Frame], Table]:
    day = _day(finding)
    return lambda frame: as_table(frame, day=day)


def _day(finding: Finding) -> date | None:
    return finding.at.date() if finding.at is not None else None


def _counted(caption: str, frame: Frame) -> str:
    return f"{caption} ({len(frame):,} {'row' if len(frame) == 1 else 'rows'})"


def _missing(finding: Finding) -> list[str]:
    """The sources that gave nothing. The connection's own table lists each source already."""
    if finding.name == "connection":
        return []
    return [_complaint(source) for source in finding.sources if source.status in _SICK]


def _complaint(source: SourceStatus) -> str:
    said = f"{source.name} {_SICK[source.status]}"
    return f"{said}: {source.error}" if source.error else f"{said}."


def _took(seconds: float) -> str:
    """What was asked before is answered from memory, in microseconds that nobody wants to read."""
    return f"{seconds:.2g} s" if seconds >= 0.001 else "less than 1 ms"


def _seen(finding: Finding) -> str:
    """When it was seen, and which sources answered in what time."""
    answered = [
        source.name if source.seconds is None else f"{source.name} in {_took(source.seconds)}"
        for source in finding.sources
        if source.status == "ok"
    ]
    at = text.clock(finding.at, day=None) if finding.at is not None else ""
    who = f"answered by {', '.join(answered)}" if answered and finding.name != "connection" else ""
    return ", ".join(part for part in (f"Seen at {at}" if at else "", who) if part)
