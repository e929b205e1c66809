"""What the service's own logs say of the errors."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pandas as pd

from runbook_lib.analysis.episodes import spans
from runbook_lib.analysis.log_patterns import error_kinds, error_patterns, error_texts
from runbook_lib.checks.asking import Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.models.cache_refusal import refusal_in
from runbook_lib.models.figure import BarFigure
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import Window, format_instant

_MINIMUM_SHARE = 0.1  # of the error records; fewer are a by-product of another error
_MINIMUM_COUNT = 3
_REFUSES, _LOGIN_REFUSED = "log_cache_refuses", "log_database_login_refused"
# What PostgreSQL says to who may not log in. Drivers and pools pass it on, many as a warning of each attempt alone.
_LOGIN_REFUSALS = re.compile(
    r"(?:password|peer|ident|LDAP|GSSAPI|certificate|SCRAM) authentication failed|no pg_hba\.conf entry|not permitted to log in"
    r"|(?:role|database) \S{1,200} does not exist|permission denied for database|is not currently accepting connections"
    r"|no password supplied|\b28P01\b",
    re.IGNORECASE,
)
KIND_WORDS = {
    "database_pool": "no free database connection",
    "memory": "out of memory",
    "database_statement": "the database turns the service down",
    "database_schema": "a table or column that the database does not have",
    "database_constraint": "what the database's constraints do not allow",
    "database": "the connection to the database",
    "cache": "cache errors",
    "downstream": "calls to other services",
    "application": "exceptions in the code",
    "other": "other errors",
}


def error_logs(context: CheckContext) -> Finding:
    """Errors in the logs of all pods, previous containers too, grouped into patterns with counts and first and last seen."""
    lines = context.service.limits.log_lines_per_pod
    answers = ask(
        {
            "logs": Question(
                context.sources.logs,
                lambda: context.sources.logs.read(context.selector, window=context.window, lines_per_pod=lines),
            )
        },
        deadline_seconds=context.deadline_seconds,
    )
    # With a selector kubectl shows ten lines of each pod, unless it is told otherwise.
    options = f"-l {context.selector} --all-containers --prefix --tail=-1 --since={context.since_option()}"
    command = f"kubectl -n {context.namespace} logs {options} | grep -i error"
    records = answers.get("logs")
    if records is None:
        text = f"The logs could not be read: {answers.why_missing('logs')}."
        return Finding(
            name="error_logs",
            title="Errors in the logs",
            summary=text,
            status=FindingStatus.UNKNOWN,
            command=command,
            signals=tuple(
                Signal(name=name, presence=Presence.UNKNOWN, text=text)
                for name in (*(f"log_{kind}_errors" for kind in KIND_WORDS), _REFUSES, _LOGIN_REFUSED)
            ),
            sources=answers.sources,
        )
    errors = errors_in(records, context)
    focus = context.focus()
    kinds = error_kinds(errors)
    recent = _recent(errors, context)
    # A service that goes on without its cache warns of it, and so does a pool that tries again.
    told = Frame(records[records.index.isin(errors.index) | records["level"].eq("warning")])
    refusals = (_refuses(told, context), _login_refused(told, context))
    patterns = error_patterns(recent if len(recent) else errors)
    return Finding(
        name="error_logs",
        title="Errors in the logs",
        summary=_summary(recent, patterns, records, focus),
        status=FindingStatus.WARNING if len(recent) else FindingStatus.NORMAL,
        command=command,
        tables=_tables(patterns, recent),
        figure=_figure(kinds.loc[recent.index]),
        notes=tuple(_notes(records)),
        signals=(
            *(_signal(kind, errors, kinds, recent, context) for kind in KIND_WORDS),
            *refusals,
        ),
        sources=answers.sources,
    )


def errors_in(records: Frame, context: CheckContext) -> Frame:
    """The records at an error level; where a service writes no levels, those whose text reads like an error."""
    if records.empty:
        return records
    levels = context.service.instrumentation.logs.error_levels
    by_level = records["level"].isin(levels)
    unlevelled = records["level"].eq("") & records["message"].str.contains(
        r"\b(?:ERROR|FATAL|CRITICAL|Traceback|panic:|Exception)\b", regex=True, na=False
    )
    return Frame(records[by_level | unlevelled])


def _summary(recent: Frame, patterns: Frame, records: Frame, focus: Window) -> str:
    pods = records["pod"].nunique() if len(records) else 0
    stretch = f"between {format_instant(focus.start)} and {format_instant(focus.end)}"
    if records.empty:
        return f"No log lines at all {stretch}."
    if recent.empty:
        return f"No errors in the logs of {pods} pods {stretch}."
    top = patterns.iloc[0]
    share = top["count"] / len(recent)
    kind = KIND_WORDS[str(top["kind"])]
    example = _first_line(top["example"])
    failing = recent["pod"].nunique()
    return f"{len(recent)} errors in the logs of {failing} of {pods} pods {stretch}; {share:.0%} of them: {example} ({kind})."


def _first_line(message: object) -> str:
    """What a sentence has room for: a traceback stays in the table."""
    said, _, frames = str(message).partition("Traceback (most recent call last)")
    lines = said.strip().splitlines() or frames.strip().splitlines()[-1:]  # of frames alone the last line names the exception
    return " ".join((lines[0] if lines else str(message)).split())[:140]


def _tables(patterns: Frame, recent: Frame) -> tuple[tuple[str, Frame], ...]:
    if patterns.empty:
        return ()
    latest = recent.sort_values("time").tail(20)[["time", "pod", "level", "message"]] if len(recent) else None
    tables = [("Error patterns", patterns)]
    if latest is not None:
        tables.append(("Latest errors", Frame(latest)))
    return tuple(tables)


def _figure(kinds: pd.Series) -> BarFigure | None:
    """How the errors divide into kinds; a single kind needs no figure."""
    counts = kinds.value_counts()
    if len(counts) < 2:
        return None
    rows = frame(
        {"category": [KIND_WORDS[str(kind)] for kind in counts.index], "value": counts.to_numpy(dtype="float64")}, unit="records"
    )
    worst = KIND_WORDS[str(counts.index[0])]
    return BarFigure(title=f"{counts.iloc[0] / counts.sum():.0%} of the errors: {worst}", unit="records", frame=rows)


def _notes(records: Frame) -> list[str]:
    notes = []
    truncated, unread, sampled = (records.attrs.get(name) for name in ("truncated", "unread", "sampled"))
    if sampled:
        notes.append(str(sampled))
    if truncated:
        notes.append(f"Older lines were left out for {len(truncated)} pods, so that first seen is the oldest line read.")
    if unread:
        names = ", ".join(sorted(unread)[:3])
        notes.append(f"{len(unread)} containers could not be read: {names}.")
    return notes


def _signal(kind: str, errors: Frame, kinds: pd.Series, recent: Frame, context: CheckContext) -> Signal:
    name = f"log_{kind}_errors"
    matching = recent[kinds.loc[recent.index] == kind] if len(recent) else recent
    words = KIND_WORDS[kind]
    if len(matching) < _MINIMUM_COUNT or len(matching) < _MINIMUM_SHARE * len(recent):
        return Signal(name=name, presence=Presence.ABSENT, text=_too_few(len(matching), len(recent), words))
    since = _began(errors[kinds == kind], context.gap)
    example = _first_line(matching["message"].iloc[-1])
    return Signal(
        name=name,
        presence=Presence.PRESENT,
        text=f"{len(matching)} of {len(recent)} errors in the logs: {words}, such as: {example}",
        since=since,
        subject=_dependency(matching, context) if kind == "downstream" else None,
        value=len(matching) / len(recent),
        unit="ratio",
    )


def _refuses(records: Frame, context: CheckContext) -> Signal:
    """Whether the cache answers the service with a refusal, its password or its user's rights included."""
    told = [refusal_in(text) for text in error_texts(records)]
    said = pd.Series([refusal.text if refusal else "" for refusal in told], index=records.index, dtype="object")
    refusals, now = _those(records, said, context)
    if len(now) < _MINIMUM_COUNT or len(now) < _MINIMUM_SHARE * len(_recent(records, context)):
        text = "the logs do not show that the cache refuses what it is asked"
        return Signal(name=_REFUSES, presence=Presence.ABSENT, text=text)
    return Signal(
        name=_REFUSES,
        presence=Presence.PRESENT,
        text=f"{len(now)} lines in the logs tell that the cache refuses the service ({said[now.index[-1]]})",
        since=_began(refusals, context.gap),
    )


def _login_refused(records: Frame, context: CheckContext) -> Signal:
    """Whether the database does not let the service log in."""
    found = [_LOGIN_REFUSALS.search(text) for text in error_texts(records)]
    said = pd.Series([match[0] if match else "" for match in found], index=records.index, dtype="object")
    refusals, now = _those(records, said, context)
    if len(now) < _MINIMUM_COUNT:
        text = "the logs do not show that the database refuses the service's logins"
        return Signal(name=_LOGIN_REFUSED, presence=Presence.ABSENT, text=text)
    return Signal(
        name=_LOGIN_REFUSED,
        presence=Presence.PRESENT,
        text=f"{len(now)} lines in the logs tell that the database does not let the service log in ({said[now.index[-1]]})",
        since=_began(refusals, context.gap),
    )


def _those(records: Frame, said: pd.Series, context: CheckContext) -> tuple[Frame, Frame]:
    """The records that say anything, and those of the focus among them."""
    saying = Frame(records[said != ""])
    return saying, _recent(saying, context)


def _recent(records: Frame, context: CheckContext) -> Frame:
    focus = context.focus()
    return Frame(records[(records["time"] >= focus.start) & (records["time"] <= focus.end)])


def _too_few(matching: int, errors: int, words: str) -> str:
    """Stands as evidence against: a bare count of errors would read like evidence for."""
    if not matching:
        return f"the logs show no errors of the kind: {words}"
    if matching < _MINIMUM_COUNT:
        return f"too few errors in the logs to tell ({matching} of {errors}): {words}"
    return f"only {matching} of {errors} errors in the logs: {words}"


def _began(matching: Frame, gap: timedelta) -> datetime | None:
    """The begin of the latest burst: the same error an hour ago, since cured, must not date this one."""
    if matching.empty:
        return None
    flags = pd.Series(True, index=pd.DatetimeIndex(matching["time"]).sort_values())
    return spans(flags, gap=gap)[-1][0]


def _dependency(matching: Frame, context: CheckContext) -> str | None:
    """The dependency that most of these errors name."""
    names = [downstream.name for downstream in context.service.dependencies.downstream]
    counts = {name: int(matching["message"].str.contains(name, case=False, regex=False).sum()) for name in names}
    best = max(counts, key=lambda name: counts[name], default=None)
    return best if best is not None and counts[best] else None
