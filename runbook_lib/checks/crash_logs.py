"""The last words of containers that crashed: the end of the previous container's log, and what it speaks of."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.analysis.log_patterns import error_kind, error_text
from runbook_lib.analysis.named_settings import names_address, names_setting
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.edits import Edit, settings_changed
from runbook_lib.checks.logs import KIND_WORDS
from runbook_lib.checks.rolled_out import what_was_rolled_out
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame

_LAST_LINES = 15
_MOST_PODS = 5
_SHARE_FOR_LOGS = 0.7  # of the deadline: what a rollout exchanged is looked at then, and only where something crashed
# What programs write when they cannot start as they are configured: CPython, pydantic, Spring, Node, Go, Rust's clap, nginx.
_CONFIGURATION = re.compile(
    r"KeyError: '[A-Z][A-Z0-9_]+'|ValidationError|invalid literal for"
    r"|missing (?:required )?(?:environment|config|option|argument)"
    r"|(?:environment variable|setting|option) \S+ (?:is )?(?:not set|missing|required|invalid)|unknown (?:option|flag|directive)"
    r"|unrecognized argument|could not resolve placeholder|Failed to bind properties"
    r"|InvalidConfiguration|config(?:uration)? error"
    r"|(?:invalid|bad) (?:value|configuration|setting|url|port)|No such file or directory|ModuleNotFoundError|ENOENT"
    r"|cannot find module|executable file not found|ParserError|YAMLException|(?:yaml|json|toml): ",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Crash:
    """The end of one previous container: its last lines, oldest first, and what they speak of."""

    pod: str
    at: datetime
    lines: tuple[str, ...]
    kind: str

    @property
    def last(self) -> str:
        """The line that says it: of a traceback the exception, else the last one that says anything."""
        told = [line for line in self.lines if line.strip()]
        return " ".join(told[-1].split())[:200] if told else ""


@dataclass(frozen=True, slots=True)
class _Changed:
    """The settings that were changed; `unknown`: why these may not be all."""

    edits: Sequence[Edit] = ()
    unknown: str = ""


def crash_logs(context: CheckContext) -> Finding:
    """What did the containers that crashed write last? Their previous logs, and whether these name a setting that was changed."""
    began, cluster, logs = time.monotonic(), context.sources.cluster, context.sources.logs
    lines = context.service.limits.log_lines_per_pod
    answers = ask(
        {
            "logs": Question(logs, lambda: logs.read(context.selector, window=context.window, lines_per_pod=lines)),
            "config": Question(cluster, lambda: settings_changed(context)),
            "history": Question(cluster, lambda: cluster.rollout_history(context.deployment)),
        },
        deadline_seconds=_SHARE_FOR_LOGS * context.deadline_seconds,
    )
    records = answers.get("logs")
    crashes = _crashes(records, context) if records is not None else []
    left = context.deadline_seconds - (time.monotonic() - began)
    changed = _changed(context, answers, seconds=left) if crashes else _Changed()
    named = _named(crashes, changed, lambda text, edit: names_setting(text, edit.path, edit.new, edit.old))
    beside = _named(crashes, changed, lambda text, edit: names_address(text, edit.new, edit.old))
    return Finding(
        name="crash_logs",
        title="Last words of crashed containers",
        summary=_summary(records, crashes, named, answers),
        status=_status(records, crashes),
        command=_command(context, crashes),
        tables=tuple(
            (f"Last lines of {one.pod} before it ended ({_words(one.kind)})", _table(one)) for one in crashes[:_MOST_PODS]
        ),
        signals=(
            *(_about(kind, names, records, crashes, answers) for kind, names in _BEARINGS.items()),
            _names_change("setting", crashes, named, answers.why_missing("logs") or changed.unknown),
            _names_change("address", crashes, beside, answers.why_missing("logs") or changed.unknown),
        ),
        sources=answers.sources,
    )


def _changed(context: CheckContext, answers: Answers, *, seconds: float) -> _Changed:
    """What was changed in config maps, and between those that a rollout exchanged for others: named by their content's hash, none
    of them ever changes."""
    rolled = what_was_rolled_out(context, answers.get("history"), seconds=seconds)
    unknown = answers.why_missing("config") or answers.why_missing("history") or rolled.unread
    return _Changed((*(answers.get("config") or ()), *rolled.exchanged(context)), unknown)


def _crashes(records: Frame, context: CheckContext) -> list[_Crash]:
    """One for each pod whose previous container wrote in the episode, the latest first."""
    if records.empty:
        return []
    focus = context.focus()
    before = records[records["previous"].astype(bool) & (records["time"] >= focus.start)]
    return sorted((_crash(str(pod), part) for pod, part in before.groupby("pod")), key=lambda one: one.at, reverse=True)


def _crash(pod: str, part: pd.DataFrame) -> _Crash:
    ordered = part.sort_values("time", kind="stable")
    texts = [
        error_text(str(message), fields if isinstance(fields, Mapping) else None)
        for message, fields in zip(ordered["message"], ordered["fields"], strict=True)
    ]
    lines = [line for text in texts for line in text.splitlines()][-_LAST_LINES:]
    return _Crash(pod, pd.Timestamp(ordered["time"].iloc[0]).to_pydatetime(), tuple(lines), _kind(lines))


def _kind(lines: Sequence[str]) -> str:
    """What the end of a log speaks of. The error itself stands last, what led to it before."""
    text = "\n".join(lines)
    kind = error_kind(text)
    specific = kind not in ("application", "other")
    return kind if specific and not _CONFIGURATION.search(lines[-1]) else "configuration" if _CONFIGURATION.search(text) else kind


def _named(crashes: Sequence[_Crash], changed: _Changed, names: Callable[[str, Edit], bool]) -> list[tuple[str, datetime | None]]:
    """The changed settings that the last words name, and when they were changed."""
    text = "\n".join(line for one in crashes for line in one.lines)
    return [(f"{edit.where}: {edit.path}", edit.at) for edit in changed.edits if names(text, edit)]


def _words(kind: str) -> str:
    return "how it is configured" if kind == "configuration" else KIND_WORDS[kind]


def _summary(records: Frame | None, crashes: Sequence[_Crash], named: Sequence[tuple[str, Any]], answers: Answers) -> str:
    if records is None:
        return f"The logs of crashed containers could not be read: {answers.why_missing('logs')}."
    if not crashes:
        return "No container has crashed that left a log."
    first = crashes[0]
    setting = f" The setting that was changed is named in it: {named[0][0]}." if named else ""
    return f"{len(crashes)} pods crashed; {first.pod} wrote last ({_words(first.kind)}): {first.last}.{setting}"


def _status(records: Frame | None, crashes: Sequence[_Crash]) -> FindingStatus:
    if records is None:
        return FindingStatus.UNKNOWN
    return FindingStatus.WARNING if crashes else FindingStatus.NORMAL


def _table(one: _Crash) -> Frame:
    return frame([(line,) for line in one.lines], columns=["line"], source="logs")


def _command(context: CheckContext, crashes: Sequence[_Crash]) -> str:
    pod = crashes[0].pod if crashes else f"-l {context.selector}"
    return f"kubectl -n {context.namespace} logs {pod} --previous --tail={_LAST_LINES}"


_BEARINGS = {
    "configuration": ("configuration",),
    "database": ("database", "database_pool"),
    "refusal": ("database_statement",),
    "schema": ("database_schema",),
    "application": ("application", "database_constraint"),
}


def _about(name: str, kinds: Sequence[str], records: Frame | None, crashes: Sequence[_Crash], answers: Answers) -> Signal:
    signal = f"crash_speaks_of_{name}"
    if records is None:
        text = f"what crashed containers wrote is not known: {answers.why_missing('logs')}"
        return Signal(name=signal, presence=Presence.UNKNOWN, text=text)
    matching = [one for one in crashes if one.kind in kinds]
    if not matching:
        return Signal(name=signal, presence=Presence.ABSENT, text=f"no container's last words are about: {_words(kinds[0])}")
    text = f"{len(matching)} pods crashed ({_words(kinds[0])}): {matching[0].last}"
    return Signal(name=signal, presence=Presence.PRESENT, text=text, since=min(one.at for one in matching))


def _names_change(what: str, crashes: Sequence[_Crash], named: Sequence[tuple[str, datetime | None]], unknown: str) -> Signal:
    """unknown: why the logs, or some of what was changed, are not known; what is named all the same is named."""
    name = f"crash_names_changed_{what}"
    if named:
        setting, at = named[0]
        text = f"the last words name what was changed in {setting}: {crashes[0].last}"
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=at, subject=setting.partition(":")[0])
    if unknown:
        text = f"whether a crash names a changed {what} is not known: {unknown}"
        return Signal(name=name, presence=Presence.UNKNOWN, text=text)
    return Signal(name=name, presence=Presence.ABSENT, text=f"no last words of a container name a changed {what}")
