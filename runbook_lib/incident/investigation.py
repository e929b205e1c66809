"""Running a playbook's checks: all at once as soon as the incident opens, each with its own deadline."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from runbook_lib.checks.context import CheckContext
from runbook_lib.errors import SourceError, SourceTimeout, UsageError
from runbook_lib.models.cause import Symptom
from runbook_lib.models.finding import Finding, FindingStatus, SourceStatus
from runbook_lib.models.window import Window
from runbook_lib.playbooks.declaration import CheckStep, Playbook
from runbook_lib.service import Service
from runbook_lib.service.instrumentation import Expressions
from runbook_lib.sources.interface import Sources

# In a fresh interpreter the checks begin by importing scipy and the clients, which keeps the interpreter's lock for seconds. The
# symptom needs least of it and is read first, so that it goes ahead - no longer than this, since its source may hang.
_HEAD_START_SECONDS = 0.5
_HEAVY = ("scipy", "kubernetes")
_SECOND_TRY = "Prometheus was too busy to answer the first time: this is a second try, with fewer samples."
_GRACE_SECONDS = 1.0  # a check ends itself at its deadline; this is for making the finding


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What is looked at: a service over a window.

    live: the window ended now when it was asked about, so that the systems' present state belongs to it. replayed: the answers
    are recorded ones.
    """

    service: Service
    sources: Sources
    window: Window
    live: bool
    replayed: bool = False
    discover: Callable[[], Expressions]

    def moved_to_now(self) -> Scope:
        """The same length of time, ending now; a past window and a recorded one stay where they are."""
        return replace(self, window=Window.ending_at(datetime.now(UTC), self.window.duration)) if self.moves else self

    @property
    def moves(self) -> bool:
        """A repeated step may see something new."""
        return self.live and not self.replayed


class Investigation:
    """One round of all checks. Findings are there as soon as their own sources answered."""

    def __init__(self, playbook: Playbook, scope: Scope, *, on_finding: Callable[[Finding], None]) -> None:
        self._playbook = playbook
        self._scope = scope
        self._on_finding = on_finding
        self._findings: dict[str, Future[Finding]] = {step.name: Future() for step in playbook.checks}
        self._expressions: Future[Expressions] = Future()
        self._symptom_seen = threading.Event()
        self._started = 0.0

    @property
    def window(self) -> Window:
        """The window that the checks look at."""
        return self._scope.window

    def start(self) -> Investigation:
        """Begin all checks. Threads are daemons: one that hangs in a C library must not keep the kernel alive."""
        self._started = time.monotonic()
        if all(name in sys.modules for name in _HEAVY):
            self._symptom_seen.set()
        threading.Thread(target=self._discover, daemon=True, name="discover").start()
        for step in self._playbook.checks:
            threading.Thread(target=self._run, args=(step,), daemon=True, name=f"check-{step.name}").start()
        return self

    def finding(self, name: str) -> Finding:
        """The finding of a check: at once when it is there, else when it is or when its time is up.

        Raises UsageError when the playbook has no such check.
        """
        if name not in self._findings:
            raise UsageError(f"a check of this runbook was expected ({', '.join(self._findings)}); found {name!r}")
        try:
            return self._findings[name].result(timeout=self._seconds_left())
        except NotYet:
            return self._overdue(name)

    def findings(self) -> list[Finding]:
        """All findings, in the playbook's order."""
        return [self.finding(step.name) for step in self._playbook.checks]

    def symptom(self) -> Symptom:
        """What the deciding check measured."""
        name = self._playbook.symptom_checks[0]
        return self._playbook.symptom(self._context(), self.finding(name))

    def amid_all_too_busy(self) -> bool:
        """Whether the symptom timed out while all checks asked at once, and Prometheus is there: alone it may be measured.

        Returns once all checks are done.
        """
        first = self._playbook.symptom_checks[0]
        return any(one.name == first and _timed_out(one) for one in self.findings()) and self._prometheus_answers()

    def tolerance(self) -> timedelta:
        """How much later than the symptom a cause may seem to begin."""
        return self._context().tolerance

    def _context(self) -> CheckContext:
        scope = self._scope
        return CheckContext(
            service=scope.service,
            window=scope.window,
            now=scope.window.end,
            live=scope.live,
            sources=scope.sources,
            expressions=self._wait_for_expressions,
            symptom=self.symptom,
            deadline_seconds=scope.service.limits.check_deadline_seconds,
        )

    def _seconds_left(self) -> float:
        """A check may wait for the symptom's, so that it has its deadline twice; all have theirs together."""
        limits = self._scope.service.limits
        allowed = min(2 * limits.check_deadline_seconds + _GRACE_SECONDS, limits.all_checks_deadline_seconds)
        return max(0.0, allowed - (time.monotonic() - self._started))

    def _wait_for_expressions(self) -> Expressions:
        try:
            return self._expressions.result(timeout=self._scope.service.limits.check_deadline_seconds)
        except NotYet as error:
            raise SourceTimeout(self._scope.sources.metrics.name, "no answer to which metrics exist") from error

    def _discover(self) -> None:
        try:
            self._expressions.set_result(self._scope.discover())
        except SourceError as error:
            self._expressions.set_exception(error)
        except Exception as error:  # the checks that wait must learn of it, whatever it is
            self._expressions.set_exception(SourceError(self._scope.sources.metrics.name, f"{type(error).__name__}: {error}"))

    def _run(self, step: CheckStep) -> None:
        if step.name not in self._playbook.symptom_checks:
            self._symptom_seen.wait(_HEAD_START_SECONDS)
        started = time.monotonic()
        finding = self._looked(step)
        if step.name == self._playbook.symptom_checks[0] and _timed_out(finding) and self._prometheus_answers():
            finding = self._looked(step, sparing=True)
            finding = replace(finding, notes=(*finding.notes, _SECOND_TRY))
        finding = replace(finding, at=datetime.now(UTC), seconds=round(time.monotonic() - started, 3))
        self._findings[step.name].set_result(finding)
        if step.name in self._playbook.symptom_checks:
            self._symptom_seen.set()
        self._on_finding(finding)

    def _looked(self, step: CheckStep, *, sparing: bool = False) -> Finding:
        try:
            return step.run(replace(self._context(), sparing=sparing))
        except SourceError as error:
            return _sick(step, error)
        except Exception as error:  # one check that stumbles over an odd answer must not take the incident with it
            return _stumbled(step, error)

    def _prometheus_answers(self) -> bool:
        """Whether it told which metrics exist: then it is there, and busy with the questions of all the checks."""
        return self._expressions.done() and self._expressions.exception() is None

    def _overdue(self, name: str) -> Finding:
        step = next(step for step in self._playbook.checks if step.name == name)
        waited = time.monotonic() - self._started
        text = f"{step.title}: no answer within {waited:.0f} s; what it would have shown is not known."
        states = tuple(
            SourceStatus(name=source, status="timeout", error=f"no answer within {waited:.0f} s") for source in step.needs
        )
        return Finding(name=name, title=step.title, summary=text, status=FindingStatus.UNKNOWN, sources=states)


def _timed_out(finding: Finding) -> bool:
    """Without the symptom nothing can be confirmed: it is worth a second try."""
    return finding.status is FindingStatus.UNKNOWN and any(one.status == "timeout" or _too_much(one) for one in finding.sources)


def _too_much(state: SourceStatus) -> bool:
    """Whether the question was refused for its size (Prometheus' limit of samples) or for how many there are at a time."""
    said = state.error or ""
    return state.sick and (said.startswith("HTTP 429") or "too many samples" in said)


def _sick(step: CheckStep, error: SourceError) -> Finding:
    state = SourceStatus(name=error.source, status=error.status, error=error.reason)
    text = f"{step.title} could not be looked at: {error}."
    return Finding(name=step.name, title=step.title, summary=text, status=FindingStatus.UNKNOWN, sources=(state,))


def _stumbled(step: CheckStep, error: Exception) -> Finding:
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{step.title}: the step failed on an answer that it did not expect ({type(error).__name__}: {error})."
    note = f"Please report it with the evidence folder; it happened in {where.name}, line {where.lineno}."
    return Finding(name=step.name, title=step.title, summary=text, status=FindingStatus.UNKNOWN, notes=(note,))
