"""Findings and diagnoses as cards: HTML, and the same as plain text."""

from __future__ import annotations

from datetime import datetime

from runbook_lib.display import html, text
from runbook_lib.display.cells import Table, as_table
from runbook_lib.display.theme import BEARINGS
from runbook_lib.models.cause import Cause, Diagnosis, Verdict
from runbook_lib.models.finding import Finding, SourceStatus
from runbook_lib.models.window import format_instant

__all__ = ["diagnosis_html", "diagnosis_text", "finding_html", "finding_text"]


def finding_html(finding: Finding) -> str:
    """The sentence, what is missing, the tables, and the command that asks the same."""
    tables = [html.table(caption, as_table(frame)) for caption, frame in finding.tables]
    return html.card(
        str(finding.status),
        html.paragraph(finding.summary, before=html.tag(str(finding.status)), name="say"),
        html.bullets(_missing(finding)),
        html.bullets(finding.notes),
        tables[0] if tables else "",
        *(html.details(caption, html.table("", as_table(frame))) for caption, frame in finding.tables[1:]),
        html.details("The same by hand", html.command(finding.command)),
    )


def finding_text(finding: Finding) -> str:
    """The card as plain text."""
    return text.block(
        f"[{finding.status}] {finding.title}: {finding.summary}",
        _missing(finding),
        finding.notes,
        *(text.table(caption, as_table(frame)) for caption, frame in finding.tables),
        f"$ {finding.command}" if finding.command else "",
    )


def _missing(finding: Finding) -> list[str]:
    return [
        f"{source.name} is missing ({source.status.replace('_', ' ')}): {source.error}"
        for source in finding.sources
        if _is_sick(source) and finding.name != "connection"
    ]


def _is_sick(source: SourceStatus) -> bool:
    return source.status not in ("ok", "not_configured")


def diagnosis_html(diagnosis: Diagnosis) -> str:
    """The headline, the ranked causes, and for each the evidence for, against and missing."""
    heads = ("cause", "verdict", "confidence", "since", "because of", "recommended")
    rows = "".join(f"<tr>{_cause_cells(cause)}</tr>" for cause in diagnosis.causes)
    table = "".join(f"<th>{head}</th>" for head in heads)
    return html.card(
        _tone(diagnosis),
        html.paragraph(diagnosis.summary, name="say"),
        html.bullets(f"{missing}: what it would have shown is not known" for missing in diagnosis.missing_sources),
        f'<div class="box"><table><thead><tr>{table}</tr></thead><tbody>{rows}</tbody></table></div>',
        *(_evidence_html(cause) for cause in diagnosis.causes),
        html.paragraph("Next steps") + html.bullets(diagnosis.next_steps) if diagnosis.next_steps else "",
    )


def _tone(diagnosis: Diagnosis) -> str:
    if diagnosis.roots:
        return "confirmed"
    breached = [symptom.breached for symptom in diagnosis.symptoms]
    return "critical" if True in breached else "unknown" if None in breached else "normal"


def _cause_cells(cause: Cause) -> str:
    named = html.paragraph(cause.title) + html.paragraph(cause.why)
    cells = [named, html.tag(str(cause.verdict))]
    cells += [
        html.paragraph(one) for one in (_confidence(cause), _since(cause), cause.because_of or "", ", ".join(cause.actions))
    ]
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _evidence_html(cause: Cause) -> str:
    if not cause.evidence:
        return ""
    rows = tuple((line.bearing, line.text, line.finding.replace("_", " ")) for line in cause.evidence)
    shown = html.table("", Table(("", "evidence", "seen in"), rows, (False, False, False)))
    return html.details(f"{cause.title}: the evidence ({_counted(cause)})", shown, open_=cause.verdict is Verdict.CONFIRMED)


def _counted(cause: Cause) -> str:
    counts = {bearing: sum(line.bearing == bearing for line in cause.evidence) for bearing in BEARINGS}
    return ", ".join(f"{count} {bearing}" for bearing, count in counts.items() if count)


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """The card as plain text."""
    rows = tuple(
        (
            cause.name,
            str(cause.verdict).replace("_", " "),
            _confidence(cause),
            _since(cause),
            cause.because_of or "",
            ", ".join(cause.actions),
        )
        for cause in diagnosis.causes
    )
    table = Table(("cause", "verdict", "confidence", "since", "because of", "recommended"), rows, (False,) * 6)
    evidence = [
        text.block(f"{cause.name}: {cause.why}", [f"{BEARINGS[line.bearing]} {line.text}" for line in cause.evidence])
        for cause in diagnosis.causes
        if cause.verdict is not Verdict.RULED_OUT
    ]
    return text.block(
        diagnosis.summary,
        text.table("Causes", table),
        *evidence,
        "Next steps" if diagnosis.next_steps else "",
        diagnosis.next_steps,
    )


def _confidence(cause: Cause) -> str:
    return f"{cause.confidence:.0%}" if cause.confidence else ""


def _since(cause: Cause) -> str:
    return format_instant(cause.since) if isinstance(cause.since, datetime) else ""
