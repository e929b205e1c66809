"""Systems that are well, and systems that are down in every way in which a system can be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from runbook_lib.errors import SourceAnswerInvalid, SourceError, SourceRefused, SourceTimeout, SourceUnreachable
from runbook_lib.models.finding import SourceStatus
from runbook_lib.sources.interface import HttpAnswer

__all__ = ["Fake", "Hanging", "Sick", "Sickness"]

Sickness = Literal["timeout", "unreachable", "refused", "invalid_answer"]

_ERRORS: dict[str, type[SourceError]] = {
    "timeout": SourceTimeout,
    "unreachable": SourceUnreachable,
    "refused": SourceRefused,
    "invalid_answer": SourceAnswerInvalid,
}


class Fake:
    """What every fake can do."""

    name = "fake"

    def probe(self) -> SourceStatus:
        """Well."""
        return SourceStatus(name=self.name, status="ok", seconds=0.0)

    def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True, slots=True)
class Sick:
    """A whole source, or a single answer of a fake, that is not there: `Sick("timeout")`, `Sick("refused", "permission denied")`.

    Every question raises the SourceError of this sickness; an HTTP GET answers without a status, as the real source does.
    """

    sickness: Sickness = "unreachable"
    reason: str = "it is sick in this test"
    name: str = "sick"
    namespace: str = ""

    def error(self, source: str = "") -> SourceError:
        """The error that the real source would raise. `source` names it when this sickness has no name of its own."""
        return _ERRORS[self.sickness](source or self.name, self.reason)

    def get(self, url: str, *, timeout_seconds: float | None = None) -> HttpAnswer:
        """No answer; an HTTP source never raises for the server that it asks."""
        return HttpAnswer(url=url, status=None, seconds=timeout_seconds or 0.0, error=self.reason, state=self.sickness)

    def probe(self) -> SourceStatus:
        """Sick."""
        return SourceStatus(name=self.name, status=self.sickness, error=self.reason)

    def close(self) -> None:
        """Nothing to close."""

    def __getattr__(self, method: str) -> Callable[..., NoReturn]:
        if method.startswith("_"):
            raise AttributeError(method)

        def asked(*arguments: Any, **named: Any) -> NoReturn:
            del arguments, named
            raise self.error()

        return asked


@dataclass(slots=True)
class Hanging:
    """A source that accepts a question and answers none, until `release` is called: for deadlines. End a test with `release`."""

    name: str = "hanging"
    namespace: str = ""
    asked: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let everything that waits go, with a time-out."""
        self._released.set()

    def close(self) -> None:
        """Let everything go."""
        self.release()

    def __getattr__(self, method: str) -> Callable[..., NoReturn]:
        if method.startswith("_"):
            raise AttributeError(method)

        def wait(*arguments: Any, **named: Any) -> NoReturn:
            del arguments, named
            self.asked.set()
            self._released.wait()
            raise SourceTimeout(self.name, "it never answered")

        return wait


def given(answer: Any, source: str) -> Any:
    """An answer as the test gave it; one that is Sick is raised."""
    if isinstance(answer, Sick):
        raise answer.error(source)
    return answer
