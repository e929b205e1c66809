"""Asking several sources at once, so that a sick one costs its own answer and nobody else's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runbook_lib.errors import SourceError
from runbook_lib.models.finding import Presence, Signal, SourceStatus
from runbook_lib.models.frame import Frame
from runbook_lib.sources.interface import Source

_RESERVE_SECONDS = 0.5  # left of a check's deadline for making the finding, but never more than a quarter of it


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one source."""

    source: Source
    ask: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back: `values` by question, without those that failed; the state of every source that was asked."""

    values: Mapping[str, Any]
    errors: Mapping[str, SourceStatus]
    sources: tuple[SourceStatus, ...]

    def get(self, name: str) -> Any:
        """The answer, or None when its source was sick."""
        return self.values.get(name)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the frames may lack, in the words of their sources, once each: a store behind Prometheus that does not answer."""
        return self.lacking(*self.values)

    def lacking(self, *names: str) -> tuple[str, ...]:
        """The same of some of the answers only."""
        frames = (value for name in names if isinstance(value := self.values.get(name), Frame))
        return tuple(dict.fromkeys(str(note) for one in frames for note in one.attrs.get("unanswered") or ()))

    def why_missing(self, name: str) -> str:
        """Why a question has no answer, in words."""
        status = self.errors.get(name)
        return f"{status.name} {status.status.replace('_', ' ')}: {status.error}" if status else ""


def as_far_as_answered(signal: Signal, answers: Answers, *names: str) -> Signal:
    """The signal, from the answers of these names; what is absent from answers in part is not known to be absent."""
    lacking = answers.lacking(*names)
    if signal.presence is not Presence.ABSENT or not lacking:
        return signal
    text = f"{signal.text}, and not all was asked: {'; '.join(lacking)}"
    return replace(signal, presence=Presence.UNKNOWN, text=text)


def ask(questions: Mapping[str, Question], *, deadline_seconds: float) -> Answers:
    """Ask all at once; wait no longer than the deadline. A question that is still open then counts as timed out.

    The threads are daemons: a call that hangs inside a C library must not keep the kernel from ending.
    """
    results: dict[str, tuple[Any, SourceStatus]] = {}
    threads: dict[str, threading.Thread] = {}
    started, allowed = time.monotonic(), deadline_seconds - min(_RESERVE_SECONDS, deadline_seconds / 4)
    for name, question in questions.items():
        thread = threading.Thread(target=_answer, args=(name, question, results), daemon=True, name=f"ask-{name}")
        threads[name] = thread
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, allowed - (time.monotonic() - started)))
    done = dict(results)
    values = {name: value for name, (value, status) in done.items() if status.status == "ok"}
    errors = {name: status for name, (_, status) in done.items() if status.status != "ok"}
    for name, question in questions.items():
        if name not in done:
            errors[name] = SourceStatus(
                name=question.source.name, status="timeout", error=f"no answer within {deadline_seconds:.3g} s", seconds=None
            )
    return Answers(values=values, errors=errors, sources=_by_source(questions, done, errors))


def _answer(name: str, question: Question, results: dict[str, tuple[Any, SourceStatus]]) -> None:
    started = time.monotonic()
    source = question.source.name
    try:
        value = question.ask()
    except SourceError as error:
        seconds = time.monotonic() - started
        results[name] = None, SourceStatus(name=error.source or source, status=error.status, error=error.reason, seconds=seconds)
    except Exception as error:  # a sick system may answer in ways that nobody planned; the run must go on
        seconds = time.monotonic() - started
        reason = f"{type(error).__name__}: {error}"
        results[name] = None, SourceStatus(name=source, status="invalid_answer", error=reason, seconds=seconds)
    else:
        results[name] = value, SourceStatus(name=source, status="ok", seconds=time.monotonic() - started)


def _by_source(
    questions: Mapping[str, Question], done: Mapping[str, tuple[Any, SourceStatus]], errors: Mapping[str, SourceStatus]
) -> tuple[SourceStatus, ...]:
    """One state for each source: the first error, else its slowest answer."""
    states: dict[str, SourceStatus] = {}
    for name in questions:
        status = errors.get(name) or done[name][1]
        known = states.get(status.name)
        if known is None or _gravity(status) > _gravity(known):
            states[status.name] = status
    return tuple(states.values())


def _gravity(status: SourceStatus) -> tuple[bool, bool, float]:
    """Trouble before what is merely not there, and that before the slower answer."""
    return status.sick, status.status != "ok", (status.seconds or 0) if status.status == "ok" else 0
