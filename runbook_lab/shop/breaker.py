"""A circuit breaker in front of a service that is called."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any


class State(Enum):
    """As the metric `circuit_breaker_state` gives it."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2

    @property
    def word(self) -> str:
        """As the status endpoint gives it."""
        return self.name.lower()


class CircuitOpenError(Exception):
    """The call was not made: the breaker of this service is open."""


@dataclass(frozen=True)
class BreakerSettings:
    """When a breaker opens and tries again.

    It opens when at least `minimum_calls` calls of the last `window_seconds` have ended and `threshold_ratio` of them failed.
    After `open_seconds` it lets `trial_calls` through, one at a time, and closes when all of them succeed.
    """

    threshold_ratio: float
    minimum_calls: int = 100
    window_seconds: float = 10.0
    open_seconds: float = 15.0
    trial_calls: int = 3


class CircuitBreaker:
    """Counts how calls end, and stops making them while too many fail. `force_open` is the switch for people."""

    def __init__(self, name: str, settings: BreakerSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: deque[tuple[float, bool]] = deque()
        self._state = State.CLOSED
        self._forced = False
        self._since = clock()
        self._opened_at: datetime | None = None
        self._trials_begun = self._trials_passed = 0

    def before_call(self) -> None:
        """Ask whether a call may be made. Raises CircuitOpenError; else `after_call` has to follow."""
        with self._lock:
            if self._state is State.OPEN and not self._forced and self._clock() - self._since >= self._settings.open_seconds:
                self._become(State.HALF_OPEN)
            if self._state is State.OPEN or (self._state is State.HALF_OPEN and self._trials_begun > self._trials_passed):
                raise CircuitOpenError(f"circuit breaker of {self.name} is {self._state.word}")
            self._trials_begun += 1

    def after_call(self, *, succeeded: bool) -> None:
        """Take in how a call ended."""
        with self._lock:
            self._calls.append((self._clock(), succeeded))
            if self._state is State.HALF_OPEN:
                self._after_trial(succeeded=succeeded)
            elif self._state is State.CLOSED and self._too_many_fail():
                self._become(State.OPEN)

    def force_open(self) -> None:
        """Open it until somebody closes it: the calls of an ailing service are spared, whatever the counts say."""
        with self._lock:
            self._forced = True
            if self._state is not State.OPEN:
                self._become(State.OPEN)

    def close(self) -> None:
        """Let calls through again, and begin to count anew."""
        with self._lock:
            self._forced = False
            self._calls.clear()
            self._become(State.CLOSED)

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    def status(self) -> dict[str, Any]:
        """Give state, failure ratio of the window, time of opening (ISO 8601, None when closed), whether a person opened it."""
        with self._lock:
            return {
                "state": self._state.word,
                "failure_ratio": round(self._failure_ratio(), 4),
                "opened_at": self._opened_at.isoformat().replace("+00:00", "Z") if self._opened_at else None,
                "forced": self._forced,
            }

    def _after_trial(self, *, succeeded: bool) -> None:
        if not succeeded:
            self._become(State.OPEN)
            return
        self._trials_passed += 1
        if self._trials_passed >= self._settings.trial_calls:
            self._calls.clear()
            self._become(State.CLOSED)

    def _too_many_fail(self) -> bool:
        ratio = self._failure_ratio()
        return len(self._calls) >= self._settings.minimum_calls and ratio >= self._settings.threshold_ratio

    def _failure_ratio(self) -> float:
        oldest = self._clock() - self._settings.window_seconds
        while self._calls and self._calls[0][0] < oldest:
            self._calls.popleft()
        return sum(not succeeded for _, succeeded in self._calls) / len(self._calls) if self._calls else 0.0

    def _become(self, state: State) -> None:
        if state is State.OPEN and self._opened_at is None:
            self._opened_at = datetime.now(UTC)
        elif state is State.CLOSED:
            self._opened_at = None
        self._state = state
        self._since = self._clock()
        self._trials_begun = self._trials_passed = 0
