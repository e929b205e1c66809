"""The loop under every controller: something changed, so look again at what it may concern."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from runbook_lab.cluster.errors import Forbidden
from runbook_lab.cluster.following import follow
from runbook_lab.cluster.metadata import Key, Object, controller_of, key_of
from runbook_lab.cluster.store import Conflict, Store

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
# After so long a controller tries again what was refused.
REFUSED_SECONDS = 5.0


class Controller(ABC):
    """Brings objects of one resource to what their spec asks for, each time a watched object changes.

    `reconcile` reads the store afresh and runs without interruption: it never acts on what another controller has just changed.
    """

    plural: ClassVar[str]
    watched: ClassVar[tuple[str, ...]]

    def __init__(self, store: Store) -> None:
        self.store = store
        self._due: dict[Key, None] = {}
        self._work = asyncio.Event()

    @abstractmethod
    def reconcile(self, key: Key) -> float | None:
        """Bring one object a step nearer to its spec; give the seconds after which to look again, or None."""

    def concerned(self, plural: str, obj: Object) -> Iterable[Key]:
        """Give the objects to look at after a change of `obj`: itself, or the owner of this controller's kind."""
        if plural == self.plural:
            yield key_of(obj)
        elif owner := controller_of(obj):
            yield obj["metadata"].get("namespace", ""), owner["name"]

    def enqueue(self, key: Key) -> None:
        """Look at an object soon; once, however often it is asked for before that."""
        self._due[key] = None
        self._work.set()

    async def run(self) -> None:
        """Follow the watched resources and reconcile, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for plural in self.watched:
                tasks.create_task(self._follow(plural))
            tasks.create_task(self._drain())

    async def _follow(self, plural: str) -> None:
        async for _, obj in follow(self.store, plural):
            try:
                concerned = list(self.concerned(plural, obj))
            except Exception:
                _log.exception("%s: cannot tell whom %s %s/%s concerns", type(self).__name__, plural, *key_of(obj))
                continue
            for key in concerned:
                self.enqueue(key)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            self._work.clear()
            while self._due:
                key = next(iter(self._due))
                del self._due[key]
                if (again := self._attempt(key)) is not None:
                    loop.call_later(again, self.enqueue, key)
                await asyncio.sleep(0)

    def _attempt(self, key: Key) -> float | None:
        try:
            return self.reconcile(key)
        except Conflict:
            return 0.0
        except Forbidden:
            # The controller has told it in an event; what is missing may come.
            return REFUSED_SECONDS
        except Exception:
            # One object that cannot be handled must not stop the others; it is tried again like in a real controller.
            _log.exception("%s: cannot reconcile %s/%s", type(self).__name__, *key)
            return _RETRY_SECONDS
