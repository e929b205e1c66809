"""Enforces limits on processor time as the kernel's scheduler does: who has used up a period's quota stands still for the rest.

Without cgroups the hand that holds a container back is SIGSTOP, and SIGCONT lets it go. What was used too much, because nobody
looked in time, is missing from the next period's quota; so the average is right even where the single period is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from runbook_lab.cluster.node import processes
from runbook_lab.cluster.node.container import Container
from runbook_lab.cluster.node.instance import Instance
from runbook_lab.cluster.node.processes import Process

PERIOD_SECONDS = 0.1
"""The kernel's usual period, in which a quota is counted."""

# What a container does in its first seconds is free: a lab starts faster so, and its programs are no slower once they serve.
_FREE_SECONDS = 3.0
# Who has used less than this share of its quota in a period is looked at once in the next.
_FAR = 0.25
_LEAST_PAUSE_SECONDS = 0.003
_CORES = os.cpu_count() or 1


@dataclass
class Account:
    """The processor time of one container [s]: what is left of this period, and what cpu.stat tells of those that are over.

    is_far: it was far from its quota in the last period.
    """

    quota: float
    left: float = field(init=False)
    spent: float = 0.0
    is_far: bool = True
    periods: int = 0
    throttled_periods: int = 0
    throttled_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.quota

    def spend(self, seconds: float) -> None:
        """Take what was used from what is left."""
        self.left -= seconds
        self.spent += seconds

    def refill(self, periods: int, *, throttled: bool) -> None:
        """Begin the next period, after so many. Nothing is saved up; at most one quota is owed."""
        if self.spent or throttled:
            self.periods += periods
        self.throttled_periods += periods if throttled else 0
        self.is_far = not throttled and self.spent < _FAR * self.quota
        self.left = min(self.quota, max(self.left, -self.quota) + periods * self.quota)
        self.spent = 0.0


class _Limited:
    """One running instance with a limit: its processes, and those of them that stand still by our hand."""

    def __init__(self, instance: Instance, cores: float, *, now: float) -> None:
        self.instance = instance
        self.account = Account(cores * PERIOD_SECONDS)
        self.free_until = now + _FREE_SECONDS
        self._clocks: dict[int, float] = {}
        self._main: list[Process] = []
        self._stopped: list[Process] = []
        self._held_since: float | None = None
        self._was_held = False

    @property
    def is_held(self) -> bool:
        """Whether it stands still now."""
        return self._held_since is not None

    def learn(self, everything: Mapping[int, Process]) -> None:
        """Take notice of its processes. A command that was executed in it counts, and is not held: its terminal would notice."""
        known = self._clocks
        self._clocks = {
            process.pid: known.get(process.pid, processes.cpu_seconds(process.pid) or 0.0)
            for process in processes.members(self.instance.roots(), everything)
        }
        self._main = processes.members({self.instance.pid}, everything)

    def look(self, now: float) -> None:
        """Count what was used since the last look, and hold it back when that was too much."""
        used = 0.0
        for pid, before in self._clocks.items():
            seconds = processes.cpu_seconds(pid)
            if seconds is not None:
                used += max(0.0, seconds - before)
                self._clocks[pid] = seconds
        self.account.spend(used)
        if self.account.left <= 0 and not self.is_held and now >= self.free_until:
            self._hold(now)

    def next_period(self, periods: int, now: float) -> None:
        """Refill the quota, and let it go on when there is some again."""
        if self._held_since is not None:
            self.account.throttled_seconds += now - self._held_since
            self._held_since = now
        self.account.refill(periods, throttled=self._was_held)
        if now < self.free_until:
            self.account.left = self.account.quota
        if self.account.left > 0:
            self.let_go()
        self._was_held = self.is_held

    def _hold(self, now: float) -> None:
        for process in self._main:
            present = processes.read(process.pid)
            # Whoever is stopped already was stopped by somebody else, who will let it go.
            if present and present.started == process.started and not present.stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGSTOP)
                    self._stopped.append(present)
        self._held_since, self._was_held = now, True

    def let_go(self) -> None:
        """Continue what we have stopped, unless somebody else has stopped it as well since."""
        processes.send([one for one in self._stopped if not processes.awaits_stop(one.pid)], signal.SIGCONT)
        self._stopped, self._held_since = [], None


class CpuLimits:
    """Holds containers back that use more processor time than their limit."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limited: dict[str, _Limited] = {}

    def account(self, instance: Instance) -> Account | None:
        """Give the account of a running instance; None for one without a limit."""
        found = self._limited.get(instance.id)
        return found.account if found else None

    def learn(self, running: Iterable[tuple[Container, Instance]], everything: Mapping[int, Process]) -> None:
        """Take notice of what runs now, and of all processes of this machine."""
        present = {}
        for container, instance in running:
            if container.cpu_limit_cores:
                known = self._limited.get(instance.id) or _Limited(instance, container.cpu_limit_cores, now=self._clock())
                known.learn(everything)
                present[instance.id] = known
        for gone in self._limited.keys() - present.keys():
            self._limited[gone].let_go()
        self._limited = present

    async def run(self) -> None:
        """Enforce the limits until cancelled."""
        begun = self._clock()
        try:
            while True:
                while (pause := self._pause(begun + PERIOD_SECONDS)) > 0:
                    await asyncio.sleep(pause)
                    self._look(near_only=True)
                periods = int((self._clock() - begun) / PERIOD_SECONDS)
                begun += periods * PERIOD_SECONDS
                self._look(near_only=False)
                for limited in self._limited.values():
                    limited.next_period(periods, self._clock())
                await asyncio.sleep(0)
        finally:
            for limited in self._limited.values():
                limited.let_go()

    def _pause(self, end: float) -> float:
        """Give the time until somebody's quota may be used up on all cores, or the period is over [s]; 0 when it is."""
        left = end - self._clock()
        near = [limited for limited in self._limited.values() if not limited.account.is_far and not limited.is_held]
        soonest = min((limited.account.left / _CORES for limited in near), default=left)
        return min(left, max(soonest, _LEAST_PAUSE_SECONDS))

    def _look(self, *, near_only: bool) -> None:
        now = self._clock()
        for limited in self._limited.values():
            if not near_only or not (limited.is_held or limited.account.is_far):
                limited.look(now)
