"""Importing a library late, on whichever thread needs it first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["importing"]

# Libraries that import parts of the same packages. Two threads that do so for the first time can find each other waiting, which
# Python ends with a _DeadlockError in one of them: a source that is well would be called unreachable, on a busy machine of all
# times. (One imports urllib3, which imports urllib3.exceptions; the other urllib3.exceptions, which first imports urllib3.)
_TOGETHER = ({"kubernetes", "prometheus_api_client", "requests", "urllib3", "websocket"}, {"ruptures", "scipy"})
_first = threading.Lock()
_locks: dict[str, threading.RLock] = {}
_imported: set[str] = set()


@contextmanager
def importing(library: str) -> Iterator[None]:
    """Around each late import of a library: waits for the import of one that shares packages with it, and for no other.

    Nobody waits for what is imported already: scipy takes seconds on a busy machine, longer than Redis has for an answer.
    """
    if library in _imported:
        yield
        return
    with _lock_of(library):
        yield
    _imported.add(library)


def _lock_of(library: str) -> threading.RLock:
    family = next((min(libraries) for libraries in _TOGETHER if library in libraries), library)
    with _first:
        return _locks.setdefault(family, threading.RLock())
