"""Lists in chunks: what remains of a list waits here, as it was when the list began."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runbook_lab.cluster.errors import Gone

_KEPT_SECONDS = 300
_KEPT_LISTS = 64


@dataclass(frozen=True)
class Page:
    """A part of a list; `continue_token` fetches the next (None: this was the last), `remaining` counts what comes after it."""

    items: list[dict[str, Any]]
    version: int
    continue_token: str | None
    remaining: int


class Pages:
    """The lists that clients are reading in chunks."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: OrderedDict[str, tuple[float, int, list[dict[str, Any]]]] = OrderedDict()

    def first(self, items: list[dict[str, Any]], *, version: int, limit: int) -> Page:
        """Give the first `limit` items (0: all), and keep the others for some minutes."""
        if not limit or len(items) <= limit:
            return Page(items, version, None, 0)
        token, rest = secrets.token_urlsafe(24), items[limit:]
        self._waiting[token] = (self._clock(), version, rest)
        while len(self._waiting) > _KEPT_LISTS:
            self._waiting.popitem(last=False)
        return Page(items[:limit], version, token, len(rest))

    def next(self, token: str, *, limit: int) -> Page:
        """Give the page that a token stands for; Gone when it has expired."""
        since, version, items = self._waiting.get(token, (float("-inf"), 0, []))
        if self._clock() - since > _KEPT_SECONDS:
            raise Gone(
                "The provided continue parameter is too old to display a consistent list result. "
                "You must start a new list without the continue parameter."
            )
        return self.first(items, version=version, limit=limit)
