"""Search of the catalog that forgives typing errors: every word that is two slips away from the query is tried."""

from __future__ import annotations

import string
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# One search stops looking further away after this much processor time [s], however long its query is.
_EFFORT_SECONDS = 0.035
# So many of them work at a time: the others wait, and orders are served beside them.
_AT_ONCE = 2
_CLOCK_EVERY = 256
_LEAST_PREFIX = 3


class Search:
    """Finds products by words of their names."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def find(self, query: str, products: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Give the products that a query may mean, those that it names as it stands first."""
        words = [(word, product) for product in products for word in product["name"].lower().replace(",", " ").split()]
        with self._places:
            found: dict[str, Mapping[str, Any]] = {}
            for guess in _within_effort(_guesses(query.lower().strip())):
                for word, product in words:
                    if word == guess or (len(guess) >= _LEAST_PREFIX and word.startswith(guess)):
                        found.setdefault(product["sku"], product)
            return list(found.values())


def _guesses(query: str) -> Iterator[str]:
    """The query, and all that one slip and two slips of the finger may have come from."""
    yield query
    once = list(_slips(query))
    yield from once
    for guess in once:
        yield from _slips(guess)


def _slips(word: str) -> Iterator[str]:
    splits = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    yield from (left + right[1:] for left, right in splits if right)
    yield from (left + right[1] + right[0] + right[2:] for left, right in splits if len(right) > 1)
    yield from (left + letter + right[1:] for left, right in splits if right for letter in string.ascii_lowercase)
    yield from (left + letter + right for left, right in splits for letter in string.ascii_lowercase)


def _within_effort(guesses: Iterable[str]) -> Iterator[str]:
    end = time.thread_time() + _EFFORT_SECONDS
    for number, guess in enumerate(guesses):
        if number % _CLOCK_EVERY == 0:
            time.sleep(0)  # lets the interpreter turn to other requests
            if time.thread_time() > end:
                return
        yield guess
