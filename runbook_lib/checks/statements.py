"""Which statements take the database's time, and whether they take longer than before the symptom began."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from runbook_lib.analysis.episodes import step_up
from runbook_lib.checks.asking import Answers, Question, as_far_as_answered, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.database_sessions import why_unknown
from runbook_lib.checks.measures import over_time
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant

__all__ = ["statements"]

_NAME, _TITLE, _SIGNAL = "statements", "Which statements take the time", "statements_regressed"
_LONGER = 2.0  # times as long as before: less may be the load
_EXTRA_SESSIONS = 0.5  # at work only because statements take longer: what less would come to makes no service slow
_EXTRA_SECONDS = 0.05  # without the number of calls: below it nobody's request is slow by it
_CALLS = 20  # before: a mean of fewer is chance
_SHOWN = 300  # characters of a statement


@dataclass(frozen=True, slots=True)
class _Regression:
    """A statement that takes longer than before. how: by what that is known."""

    statement: str
    before_seconds: float
    now_seconds: float
    since: datetime | None
    how: str

    def __str__(self) -> str:
        now, before = written(self.now_seconds, "seconds"), written(self.before_seconds, "seconds")
        return f"a statement takes {now} on average, {before} before ({self.how})"


def statements(context: CheckContext) -> Finding:
    """Which statements take most of the database's time now, and which take longer than they did before the symptom began?"""
    database = context.sources.database
    answers = ask(
        {"statements": Question(database, database.statements), "history": over_time(context, "statement_latency")},
        deadline_seconds=context.deadline_seconds,
    )
    seen = answers.get("statements") if context.live else None
    history = answers.get("history")
    found = _by_history(context, history, seen) if history is not None and len(history) else None
    if found is None and seen is not None:
        found = _by_looks(context, seen)
    if seen is None and history is None:
        return _unknown(why_unknown(context, answers, "statements"), answers)
    missing = str(seen.attrs.get("missing") or "") if seen is not None else why_unknown(context, answers, "statements")
    if missing and (history is None or history.empty):
        return _unknown(missing, answers, command=seen.attrs.get("command", "") if seen is not None else "")
    return Finding(
        name=_NAME,
        title=_TITLE,
        summary=_summary(found, seen),
        status=FindingStatus.WARNING if found else FindingStatus.NORMAL,
        command=seen.attrs.get("command", "") if seen is not None else "",
        tables=_tables(seen),
        notes=(*_notes(seen, history), *answers.warnings),
        signals=(as_far_as_answered(_signal(found), answers, "history"),),
        sources=answers.sources,
    )


def _by_history(context: CheckContext, history: Frame, seen: Frame | None) -> _Regression | None:
    """From Prometheus: the mean of each statement before the onset against that since."""
    onset = context.symptom().onset_at
    if onset is None or "statement" not in history.columns:
        return None
    texts = dict(zip(seen["query_id"], seen["statement"], strict=True)) if seen is not None and len(seen) else {}
    found = []
    for key, part in history.groupby("statement"):
        series = part.set_index("time")["value"].dropna().sort_index()
        before, after = series[series.index < onset], series[series.index >= onset + context.tolerance]
        if len(before) < 2 or after.empty:
            continue
        was, is_now = float(before.median()), float(after.median())
        if is_now >= _LONGER * was and is_now - was >= _EXTRA_SECONDS:
            since = step_up(series, at_least=(is_now - was) / 2)
            found.append(
                _Regression(str(texts.get(key, f"query id {key}")), was, is_now, since, "from Prometheus, before the onset")
            )
    return max(found, key=lambda one: one.now_seconds - one.before_seconds, default=None)


def _by_looks(context: CheckContext, seen: Frame) -> _Regression | None:
    """From two looks at the counters: their difference against the mean since their reset, which holds the incident, too."""
    if seen.empty:
        return None
    rows = seen[(seen["calls_before"] >= _CALLS) & (seen["mean_seconds"] >= _LONGER * seen["mean_before_seconds"])]
    user = context.service.components.database.user if context.service.components.database is not None else None
    rows = rows[rows["user"] == user] if user else rows
    extra = rows["calls"] * (rows["mean_seconds"] - rows["mean_before_seconds"])
    rows = rows[extra >= _EXTRA_SESSIONS]
    if rows.empty:
        return None
    worst = rows.loc[[extra[rows.index].sort_values().index[-1]]].to_dict("records")[0]
    reset = seen.attrs.get("reset_at")
    how = (
        f"the mean since {format_instant(pd.Timestamp(reset).to_pydatetime())}"
        if reset is not None
        else "the mean since their reset"
    )
    return _Regression(
        str(worst["statement"]),
        float(worst["mean_before_seconds"]),
        float(worst["mean_seconds"]),
        None,
        f"{how}, this incident included",
    )


def _summary(found: _Regression | None, seen: Frame | None) -> str:
    if found is not None:
        text = str(found)
        return f"{text[:1].upper()}{text[1:]}: {found.statement[:_SHOWN]}"
    if seen is None or seen.empty or not float(seen["load"].sum()):
        return "No statement takes longer than before."
    first = seen.iloc[0]
    share = float(first["load"]) / float(seen["load"].sum())
    mean = written(float(first["mean_seconds"]), "seconds")
    return f"No statement takes twice as long as before; {share:.0%} of the time goes to one that takes {mean} on average."


def _tables(seen: Frame | None) -> tuple[tuple[str, Frame], ...]:
    if seen is None or seen.empty:
        return ()
    rows = [
        {
            "statement": str(row["statement"])[:_SHOWN],
            "user": row["user"],
            "sessions at work": row["load"],
            "calls/s": row["calls"],
            "mean seconds": row["mean_seconds"],
            "before": row["mean_before_seconds"],
            "rows/call": row["rows_per_call"],
            "hit ratio": row["hit_ratio"],
        }
        for row in seen[seen["load"] > 0].head(15).to_dict("records")
    ]
    return (("By the time that they take now", frame(rows)),) if rows else ()


def _notes(seen: Frame | None, history: Frame | None) -> tuple[str, ...]:
    notes = list(seen.attrs.get("notes") or ()) if seen is not None else []
    if history is None or history.empty:
        notes.append(
            "Prometheus has no history of single statements (postgres_exporter, stat_statements): 'before' is the mean since the "
            "statistics were reset."
        )
    return tuple(notes)


def _signal(found: _Regression | None) -> Signal:
    if found is None:
        return Signal(name=_SIGNAL, presence=Presence.ABSENT, text="no statement takes twice as long as before")
    return Signal(
        name=_SIGNAL,
        presence=Presence.PRESENT,
        text=f"{found}: {found.statement[:80]}",
        since=found.since,
        value=found.now_seconds,
        unit="seconds",
    )


def _unknown(reason: str, answers: Answers, command: str = "") -> Finding:
    text = f"whether statements take longer than before is not known: {reason}"
    return Finding(
        name=_NAME,
        title=_TITLE,
        summary=f"What statements cost is not known: {reason}.",
        status=FindingStatus.UNKNOWN,
        command=command,
        signals=(Signal(name=_SIGNAL, presence=Presence.UNKNOWN, text=text),),
        sources=answers.sources,
    )
