"""Ending what takes too long, whatever it hangs in: name resolution, a login helper, a server that drips."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["Deadline", "DeadlineError", "UnansweredError", "gather", "within"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class DeadlineError(Exception):
    """The time was used up before the answer was complete."""


class Deadline:
    """The moment by which an answer must be complete: `seconds` from now."""

    __slots__ = ("_end", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; raises DeadlineError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineError
        return left

    def __bool__(self) -> bool:
        """There is time left."""
        return time.monotonic() < self._end


class _Call(Generic[_Result]):
    """One call on a thread of its own. The thread is a daemon: what hangs inside a C library must not keep Python from ending."""

    def __init__(self, call: Callable[[], _Result]) -> None:
        self._call = call
        self._done = threading.Event()
        self._result: _Result | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, daemon=True, name="bounded-call").start()

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def result(self, seconds: float) -> _Result:
        if not self._done.wait(seconds):
            raise DeadlineError
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


def within(deadline: Deadline, call: Callable[[], _Result], *, abandon: Callable[[], None] | None = None) -> _Result:
    """Run `call` and wait for it no longer than the deadline; then raise DeadlineError and run `abandon`, which should end it.

    Timeouts of sockets alone do not bound a call: each byte that drips in begins them anew, and neither the resolver nor a
    login helper knows them.
    """
    running = _Call(call)
    try:
        return running.result(deadline.left())
    except DeadlineError:
        if abandon is not None:
            abandon()
        raise


class UnansweredError(Exception):
    """Stands for the result of a call that was not begun or not finished when the time was up."""


def gather(
    items: Sequence[_Item], work: Callable[[_Item], _Result], *, workers: int, deadline: Deadline
) -> list[_Result | Exception]:
    """Do `work` on every item, `workers` at a time. One result per item, in their order: what it returned, the exception that it
    raised, or UnansweredError. Returns at the deadline at the latest."""
    results: list[Any] = [UnansweredError() for _ in items]
    todo = iter(range(len(items)))
    lock = threading.Lock()

    def drain() -> None:
        while deadline:
            with lock:
                index = next(todo, None)
            if index is None:
                return
            try:
                results[index] = work(items[index])
            except Exception as error:
                results[index] = error

    threads = [threading.Thread(target=drain, daemon=True, name="bounded-worker") for _ in range(min(workers, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline.left() if deadline else 0.0))
    return list(results)
