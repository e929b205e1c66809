"""Answers kept on disk: written while an incident runs, read when it is looked at again without any system."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from runbook_lib.errors import ArchiveError, SourceAnswerInvalid, SourceError, SourceNotConfigured
from runbook_lib.models.finding import SourceStatus
from runbook_lib.models.window import Window
from runbook_lib.sources.encoding import decoded, encoded
from runbook_lib.sources.interface import NOT_QUESTIONS, Sources

__all__ = ["recording", "replayed"]

_ERRORS: dict[str, type[SourceError]] = {kind.__name__: kind for kind in SourceError.__subclasses__()}
_CLOSING_SECONDS = 20.0
Clean = Callable[[Any], Any]


def recording(sources: Sources, directory: Path, *, clean: Clean) -> Sources:
    """The same sources, whose first answer to each question is also written to `directory`, one file a source.

    `clean` takes secrets and personal data out before anything is written. The writing is done aside, and never fails a question.
    """
    writer = _Writer(directory, clean)
    return Sources(**{one.name: _Recording(one.name, getattr(sources, one.name), writer) for one in fields(Sources)})


def replayed(directory: Path) -> Sources:
    """Sources that give the recorded answers; what was not asked then raises SourceNotConfigured.

    Raises ArchiveError when there is no recording.
    """
    if not directory.is_dir():
        raise ArchiveError(f"no recorded answers at {directory}; replay takes the folder of an incident that was run live")
    return Sources(**{one.name: _Replayed(one.name, directory / f"{one.name}.jsonl") for one in fields(Sources)})


class _Writer:
    """One thread that writes what all sources answered."""

    def __init__(self, directory: Path, clean: Clean) -> None:
        self._directory = directory
        self._clean = clean
        self._waiting: queue.SimpleQueue[tuple[str, str, Mapping[str, Any]] | None] = queue.SimpleQueue()
        self._seen: set[tuple[str, str]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True, name="recording")
        self._thread.start()

    def write(self, source: str, question: str, told: Mapping[str, Any]) -> None:
        """Write the first answer to a question; later ones are those of a loop that waits for a recovery."""
        if (source, question) not in self._seen:
            self._seen.add((source, question))
            self._waiting.put((source, question, told))

    def close(self) -> None:
        """Write what waits, and end."""
        self._waiting.put(None)
        self._thread.join(_CLOSING_SECONDS)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            source, question, told = item
            # Whatever cannot be kept (a full disk is told by the record itself): the copy for later must end neither the
            # investigation nor the copies of other answers.
            with suppress(Exception):
                kept = {name: encoded(self._clean(value)) for name, value in told.items()}
                line = json.dumps({"key": _key(question), "question": self._clean(question), **kept}, ensure_ascii=False)
                with (self._directory / f"{source}.jsonl").open("a", encoding="utf-8") as file:
                    file.write(line + "\n")


class _Recording:
    """A source whose answers are written as they come."""

    def __init__(self, place: str, source: Any, writer: _Writer) -> None:
        self._place = place
        self._source = source
        self._writer = writer

    def close(self) -> None:
        """Close the source, and write what waits."""
        self._source.close()
        self._writer.close()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._source, name)
        if name.startswith("_") or name in NOT_QUESTIONS or not callable(found):
            return found

        def asked(*arguments: Any, **named: Any) -> Any:
            question = _question(name, arguments, named)
            try:
                answer = found(*arguments, **named)
            except SourceError as error:
                told = {"class": type(error).__name__, "source": error.source, "reason": error.reason}
                self._writer.write(self._place, question, {"error": told})
                raise
            # A copy of the provenance, since a check may add to that of its own answer while this waits to be written.
            kept = answer.copy(deep=False) if isinstance(answer, pd.DataFrame) else answer
            self._writer.write(self._place, question, {"answer": kept})
            return answer

        return asked


# A replay names the systems as the incident did: `prometheus` that failed and `metrics` that answered are one source.
_SYSTEMS = {"metrics": "prometheus", "cluster": "kubernetes", "database": "postgres", "cache": "redis"}


class _Replayed:
    """A source made of a file."""

    def __init__(self, place: str, path: Path) -> None:
        self.name = _SYSTEMS.get(place, place)
        self.namespace = ""
        self._path = path
        self._answers = cache(self._read)

    def probe(self) -> SourceStatus:
        """What the system's probe said then."""
        try:
            status: SourceStatus = self._answer(_question("probe", (), {}))
        except SourceError as error:
            return SourceStatus(name=self.name, status="not_configured", error=error.reason)
        return status

    def close(self) -> None:
        """There is nothing to close."""

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *arguments, **named: self._answer(_question(method, arguments, named))

    def _answer(self, question: str) -> Any:
        told = self._answers().get(_key(question))
        if told is None:
            raise SourceNotConfigured(self.name, f"this was not asked when the incident was recorded: {question[:200]}")
        if "error" in told:
            kept = told["error"]
            raise _ERRORS.get(kept["class"], SourceAnswerInvalid)(kept["source"], kept["reason"])
        return decoded(told["answer"])

    def _read(self) -> dict[str, Any]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        answers = {}
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):  # the last line of a recording that a crash cut off
                told = json.loads(line)
                answers[told["key"]] = told
        return answers


def _key(question: str) -> str:
    """What an answer is found by: the question as it is written is cleaned, and may no longer be the one that is asked again."""
    return hashlib.sha256(question.encode()).hexdigest()[:32]


def _question(method: str, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    """A call as text. Times are left out: the replay asks about the same window, a moment later."""
    plain = [encoded(value) for value in arguments if not isinstance(value, Window | datetime)]
    given = {
        name: encoded(value)
        for name, value in sorted(named.items())
        if value is not None and not isinstance(value, Window | datetime)
    }
    return json.dumps([method, plain, given], ensure_ascii=False)
