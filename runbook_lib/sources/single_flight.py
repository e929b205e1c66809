"""One answer for all who ask the same at the same time: three checks that list the pods of a large cluster list them once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from dataclasses import fields
from typing import Any

import pandas as pd

from runbook_lib.sources.interface import NOT_QUESTIONS, Sources

__all__ = ["single_flight"]


def single_flight(sources: Sources) -> Sources:
    """The same sources, of which no question is asked again while it is on its way.

    An answer is shared by those who were waiting for it and is not kept: whoever asks afterwards wants to know anew, such as a
    check that looks several times. Each gets a frame of its own; an error is raised for all.
    """
    return Sources(**{one.name: _Shared(getattr(sources, one.name)) for one in fields(Sources)})


class _Shared:
    """A source whose questions are shared."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Future[Any]] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._source, name)
        if name.startswith("_") or name in NOT_QUESTIONS or not callable(found):
            return found

        def asked(*arguments: Any, **named: Any) -> Any:
            try:
                question = (name, _frozen(arguments), _frozen(named))
                hash(question)
            except TypeError:  # such as a callable that is shown progress: nobody else asks with the same one
                return found(*arguments, **named)
            return _own(self._answer(question, lambda: found(*arguments, **named)))

        return asked

    def _answer(self, question: Hashable, ask: Callable[[], Any]) -> Any:
        with self._lock:
            waiting = self._under_way.get(question)
            mine = self._under_way.setdefault(question, Future())
        if waiting is not None:
            return waiting.result()
        try:
            mine.set_result(ask())
        except BaseException as error:
            mine.set_exception(error)
        finally:
            with self._lock:
                del self._under_way[question]
        return mine.result()


def _frozen(value: Any) -> Hashable:
    """A value that compares as the given one does and can be a key. Raises TypeError when there is none."""
    if isinstance(value, Mapping):
        return frozenset((name, _frozen(one)) for name, one in value.items())
    if isinstance(value, list | tuple):
        return tuple(_frozen(one) for one in value)
    hash(value)
    return value  # type: ignore[no-any-return]


def _own(answer: Any) -> Any:
    """A frame's provenance may be added to by whoever got it."""
    return answer.copy(deep=False) if isinstance(answer, pd.DataFrame) else answer
