"""How long the node waits before it tries again: Kubernetes' rules, with shorter times."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """The node's waits [s]. A kubelet backs off for 10 s at first and 300 s at most; a lab shows the same within a minute."""

    backoff_first: float = 1.0
    backoff_longest: float = 15.0
    config_retry: float = 1.0
    sample_every: float = 1.0
    # When the whole lab stops, pods get this much time to end by themselves, whatever their manifests say.
    stop_grace: float = 5.0


class Backoff:
    """Doubling delays: none before the first retry, then the first, twice that, … up to the longest; a long run resets them."""

    def __init__(self, timing: Timing, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._timing = timing
        self._clock = clock
        self._failures = 0
        self._last = clock()

    def next(self) -> float:
        """Give the delay before the next try [s], after one more failure."""
        now = self._clock()
        if now - self._last > 2 * self._timing.backoff_longest:
            self._failures = 0
        delay = (
            0.0
            if not self._failures
            else min(self._timing.backoff_first * 2 ** (self._failures - 1), self._timing.backoff_longest)
        )
        self._failures += 1
        self._last = now + delay
        return delay
