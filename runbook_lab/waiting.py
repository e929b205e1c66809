"""Waiting for something to become true, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_LOOK_SECONDS = 0.25
_T = TypeVar("_T")


def wait_for(what: str, probe: Callable[[], _T], *, seconds: float, every: float = _LOOK_SECONDS) -> _T:
    """Ask until the answer is true, and give it. Raises TimeoutError, which says what was waited for and the last answer.

    An OSError of the probe (a server that does not answer yet) counts as an answer that is not true.
    """
    end = time.monotonic() + seconds
    while True:
        last: object
        try:
            last = found = probe()
            if found:
                return found
        except OSError as error:
            last = error
        if time.monotonic() >= end:
            raise TimeoutError(f"waited {seconds:g} s in vain for {what}; last seen: {last}")
        time.sleep(every)
