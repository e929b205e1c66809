"""A diagnosis as a card: the ranked causes, and what speaks for, against, or is missing."""

from __future__ import annotations

from collections.abc import Iterable

from runbook_lib.display import html, text
from runbook_lib.display.cells import Table
from runbook_lib.display.theme import BEARINGS
from runbook_lib.models.cause import Cause, Diagnosis, Evidence, Symptom, Verdict
from runbook_lib.models.units import written

__all__ = ["diagnosis_html", "diagnosis_text"]

_HEADS = ("cause", "verdict", "confidence", "since", "because of", "recommended")


def diagnosis_html(diagnosis: Diagnosis) -> str:
    """The headline, the causes with their evidence below each, and the next steps."""
    tone, word = _tone(diagnosis)
    shown = [_cells(cause, diagnosis) for cause in diagnosis.causes]
    used = [place for place in range(len(_HEADS)) if place < 2 or any(row[place] for row in shown)]
    body = [
        (
            "gone" if cause.verdict is Verdict.RULED_OUT else "",
            [_cause_html(cause, diagnosis), _td(html.tag(str(cause.verdict)))]
            + [_td(_code(row[place]) if _HEADS[place] == "recommended" else html.escape(row[place])) for place in used[2:]],
        )
        for cause, row in zip(diagnosis.causes, shown, strict=True)
    ]
    return html.card(
        tone,
        html.heading(f"Causes, as of {text.clock(diagnosis.at, day=None)}", status=tone, word=word),
        html.paragraph(diagnosis.summary, name="say"),
        html.bullets(diagnosis.missing_sources, before="Missing:", name="lost"),
        html.bullets(_symptoms(diagnosis)),
        html.rows("", [_HEADS[place] for place in used], body) if body else html.paragraph("No cause was judged."),
        "<p><strong>Next steps</strong></p>" + html.bullets(diagnosis.next_steps) if diagnosis.next_steps else "",
    )


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """The card as plain text."""
    rows = tuple((cause.name, str(cause.verdict).replace("_", " "), *_cells(cause, diagnosis)[2:]) for cause in diagnosis.causes)
    return text.block(
        f"[{_tone(diagnosis)[1].upper()}] {diagnosis.summary}",
        [f"Missing: {line}" for line in diagnosis.missing_sources],
        _symptoms(diagnosis),
        text.table("Causes", Table(_HEADS, rows, (False,) * len(_HEADS))) if rows else "No cause was judged.",
        *(_evidence_text(cause) for cause in diagnosis.causes),
        "Next steps:" if diagnosis.next_steps else "",
        diagnosis.next_steps,
    )


def _tone(diagnosis: Diagnosis) -> tuple[str, str]:
    """The status whose colour the card has, and the word that says it."""
    if diagnosis.roots:
        return "confirmed", "cause confirmed" if len(diagnosis.roots) == 1 else f"{len(diagnosis.roots)} causes confirmed"
    breached = [symptom.breached for symptom in diagnosis.symptoms]
    if True in breached:
        return "critical", "no cause confirmed"
    return ("unknown", "symptom not known") if None in breached or not breached else ("normal", "symptom within its limit")


def _cells(cause: Cause, diagnosis: Diagnosis) -> tuple[str, ...]:
    return (
        cause.title,
        str(cause.verdict),
        f"{cause.confidence:.0%}" if cause.confidence else "",
        text.clock(cause.since, day=diagnosis.at.date()) if cause.since is not None else "",
        _title_of(cause.because_of, diagnosis) if cause.because_of else "",
        ", ".join(cause.actions),
    )


def _title_of(name: str, diagnosis: Diagnosis) -> str:
    return next((cause.title for cause in diagnosis.causes if cause.name == name), name.replace("_", " "))


def _cause_html(cause: Cause, diagnosis: Diagnosis) -> str:
    """The cause in a sentence, why it is judged so, and the evidence to unfold; open where it matters most."""
    title = f"<strong>{html.escape(cause.title)}</strong>"
    if cause.verdict is Verdict.RULED_OUT:
        title = html.escape(cause.title)
    evidence = "".join(f"<li>{html.tag(line.bearing)}{html.escape(_told(line))}</li>" for line in _ordered(cause.evidence))
    folded = (
        html.details(f"Evidence: {_counted(cause)}", f"<ul>{evidence}</ul>", open_=cause in diagnosis.roots) if evidence else ""
    )
    return f'<td class="long">{title}{html.paragraph(cause.why)}{folded}</td>'


def _td(content: str) -> str:
    return f'<td class="brief">{content}</td>'


def _code(names: str) -> str:
    """What an engineer types to see the plan."""
    calls = [f"<code>incident.resolve.{html.escape(name)}()</code>" for name in names.split(", ") if name]
    return "<br>".join(calls)


def _ordered(evidence: Iterable[Evidence]) -> list[Evidence]:
    places = list(BEARINGS)
    return sorted(evidence, key=lambda line: places.index(line.bearing))


def _told(line: Evidence) -> str:
    return f"{line.text} ({line.finding.replace('_', ' ')})" if line.finding else line.text


def _counted(cause: Cause) -> str:
    counts = {bearing: sum(line.bearing == bearing for line in cause.evidence) for bearing in BEARINGS}
    return ", ".join(f"{count} {bearing}" for bearing, count in counts.items() if count)


def _evidence_text(cause: Cause) -> str:
    """A cause that was ruled out needs its reason only."""
    lines = [] if cause.verdict is Verdict.RULED_OUT else _ordered(cause.evidence)
    return text.block(
        f"{cause.title} ({str(cause.verdict).replace('_', ' ')}): {cause.why}",
        [f"{line.bearing}: {_told(line)}" for line in lines],
    )


def _symptoms(diagnosis: Diagnosis) -> list[str]:
    """The headline tells of one symptom; with several, each has its line."""
    return [_symptom(one, diagnosis) for one in diagnosis.symptoms] if len(diagnosis.symptoms) > 1 else []


def _symptom(symptom: Symptom, diagnosis: Diagnosis) -> str:
    if symptom.value is None:
        return f"{symptom.title} is not known. {symptom.text}".strip()
    since = f", since {text.clock(symptom.onset_at, day=diagnosis.at.date())}" if symptom.onset_at is not None else ""
    value, limit = written(symptom.value, symptom.unit), written(symptom.threshold, symptom.unit)
    return f"{symptom.title}: {value} (limit {limit}){since}"
