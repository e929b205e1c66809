"""Which index the service's statements lack, as EXPLAIN of what they are at says; no statement is executed for it."""

from __future__ import annotations

import math

from runbook_lib.analysis.index_advice import Advised, advise
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.database_sessions import why_unknown
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.index import IndexAdvice
from runbook_lib.models.own_sessions import own_rows
from runbook_lib.models.units import written
from runbook_lib.service import Service

__all__ = ["lacking", "missing_index"]

_NAME, _TITLE = "missing_index", "The index that would help"
_SIGNAL = "index_missing"
_SHOWN = 300  # characters of a statement


def lacking(plans: Frame, service: Service) -> Advised:
    """The indexes that the service's own statements lack, among those that are at work."""
    return advise(own_rows(plans, service))


def missing_index(context: CheckContext) -> Finding:
    """Do the statements that are at work read all of a large table to find a few rows, and which index would find them?"""
    database = context.sources.database
    answers = ask({"plans": Question(database, database.statement_plans)}, deadline_seconds=context.deadline_seconds)
    plans = answers.get("plans") if context.live else None
    if plans is None:
        return _unknown(context, answers)
    own = own_rows(plans, context.service)
    found = advise(own)
    hidden = own[own["plan"].isna()] if len(own) else own
    return Finding(
        name=_NAME,
        title=_TITLE,
        summary=_summary(found, own, hidden),
        status=FindingStatus.WARNING if found.indexes else FindingStatus.UNKNOWN if len(hidden) else FindingStatus.NORMAL,
        command=plans.attrs.get("command", ""),
        tables=_tables(found, own),
        notes=_notes(found),
        signals=(_signal(found, hidden),),
        sources=answers.sources,
    )


def _summary(found: Advised, own: Frame, hidden: Frame) -> str:
    if found.indexes:
        first = found.indexes[0]
        return f"{_told(first)}: an index on {first.subject} would find {'them' if first.explained else 'what it wants'}."
    if len(hidden):
        return f"{len(hidden)} of {len(own)} kinds of statements could not be explained; the others lack no index."
    if own.empty:
        return "No statement of the service was at work in any of the looks: none takes long."
    if len(own) == 1:
        return "The only kind of statement that is at work lacks no index."
    return f"None of the {len(own)} kinds of statements that are at work lacks an index."


def _told(advice: IndexAdvice) -> str:
    what = f"A statement reads all {advice.table.rows:,.0f} rows of {advice.table}"
    if math.isnan(advice.matching_rows):
        return f"{what}, as its text and the catalog say"
    return f"{what} to find about {max(1.0, advice.matching_rows):,.0f}"


def _tables(found: Advised, own: Frame) -> tuple[tuple[str, Frame], ...]:
    if own.empty:
        return ()
    rows = [
        {
            "statement": str(row["statement"])[:_SHOWN],
            "seen": int(row["seen"]),
            "longest seconds": float(row["longest_seconds"]),
            "tables": ", ".join(row["tables"] or ()),
            "not explained, since": row["problem"],
        }
        for row in own.to_dict("records")
    ]
    advised = [
        {
            "index": one.sql,
            "table (rows)": f"{one.table} ({one.table.rows:,.0f})",
            "finds (rows)": None if math.isnan(one.matching_rows) else one.matching_rows,
            "about": written(one.bytes, "bytes"),
            "for": one.statement[:_SHOWN],
        }
        for one in found.indexes
    ]
    pairs = (("Indexes that would help", frame(advised)), ("Statements at work", frame(rows)))
    return tuple((caption, table) for caption, table in pairs if len(table))


def _notes(found: Advised) -> tuple[str, ...]:
    notes = []
    for one in found.indexes[:1]:
        if one.explained and "$" in one.statement:
            notes.append(f"By hand: EXPLAIN (GENERIC_PLAN) {one.statement[:_SHOWN]}")
        if one.leftover is not None:
            notes.append(
                f"{one.leftover.name} on the same columns is INVALID: left behind by an attempt that failed, and used by nobody."
            )
    return (*notes, *(f"{reason[:1].upper()}{reason[1:]}." for reason in found.reasons))


def _signal(found: Advised, hidden: Frame) -> Signal:
    if found.indexes:
        first = found.indexes[0]
        text = f"{_told(first)[:1].lower()}{_told(first)[1:]}, and {', '.join(first.columns)} has no index"
        return Signal(name=_SIGNAL, presence=Presence.PRESENT, text=text, subject=first.subject)
    if len(hidden):
        text = f"{len(hidden)} kinds of statements could not be explained: {hidden.iloc[0]['problem']}"
        return Signal(name=_SIGNAL, presence=Presence.UNKNOWN, text=text)
    return Signal(name=_SIGNAL, presence=Presence.ABSENT, text="no statement that is at work lacks an index")


def _unknown(context: CheckContext, answers: Answers) -> Finding:
    reason = why_unknown(context, answers, "plans")
    return Finding(
        name=_NAME,
        title=_TITLE,
        summary=f"Whether an index is missing is not known: {reason}.",
        status=FindingStatus.UNKNOWN,
        signals=(Signal(name=_SIGNAL, presence=Presence.UNKNOWN, text=f"whether an index is missing is not known: {reason}"),),
        sources=answers.sources,
    )
