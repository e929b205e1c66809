"""Measures what containers use, and kills those that use more memory than their limit."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from runbook_lab.cluster.metadata import utc_now
from runbook_lab.cluster.node import processes
from runbook_lab.cluster.node.container import Container
from runbook_lab.cluster.node.instance import Instance
from runbook_lab.cluster.node.interface import Usage

# The cores that a container uses are averaged over this many samples, so that `kubectl top` does not flicker.
_SAMPLES = 10
# A container above this share of its limit is looked at more often: a leak may fill the rest within a second.
_CLOSE_TO_LIMIT = 0.75
_HURRY = 0.25


@dataclass(frozen=True)
class Reading:
    """A container's last sample, with the processor time of its instance so far."""

    sample: processes.Sample
    usage: Usage
    at: datetime
    window_seconds: float


class _Series:
    """The samples of one instance. Processor time never goes back, also when a process ends that nobody waited for."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)
        self._cpu_seconds = 0.0

    def add(self, sample: processes.Sample, at: float) -> tuple[processes.Sample, float, float]:
        """Take a sample in; give it with its steady processor time, and cores and window [s] of the recent samples."""
        self._cpu_seconds = max(self._cpu_seconds, sample.cpu_seconds)
        self._samples.append((at, self._cpu_seconds))
        (first_at, first_cpu), (last_at, last_cpu) = self._samples[0], self._samples[-1]
        window = last_at - first_at
        steady = processes.Sample(self._cpu_seconds, sample.memory_bytes, sample.processes, sample.threads)
        return steady, (last_cpu - first_cpu) / window if window else 0.0, window


Seen = Callable[[Iterable[tuple[Container, Instance]], Mapping[int, processes.Process]], None]


class Sampler:
    """Reads /proc once for all containers, every `every` seconds; `seen` is told what runs, and all processes of the machine."""

    def __init__(
        self,
        containers: Callable[[], Iterable[Container]],
        *,
        every: float,
        over_limit: Callable[[Container, processes.Sample], None],
        seen: Seen = lambda *_: None,
    ) -> None:
        self._containers = containers
        self._every = every
        self._over_limit = over_limit
        self._seen = seen
        self._series: dict[str, _Series] = {}
        self._readings: dict[str, Reading] = {}

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            hurry = self.sample()
            await asyncio.sleep(self._every * (_HURRY if hurry else 1.0))

    def reading(self, container: Container) -> Reading | None:
        """Give the last reading of a container's running instance."""
        return self._readings.get(container.instance.id) if container.instance else None

    def sample(self) -> bool:
        """Read all containers once, and tell whether one is close to its memory limit."""
        running = [(entry, entry.instance) for entry in self._containers() if entry.instance]
        everything = processes.snapshot() if running else {}
        at, now, close = time.monotonic(), utc_now(), False
        readings = {}
        for container, instance in running:
            series = self._series.setdefault(instance.id, _Series())
            sample, cores, window = series.add(processes.measure(processes.members(instance.roots(), everything)), at)
            readings[instance.id] = Reading(sample, Usage(cores, sample.memory_bytes), now, window)
            limit = container.memory_limit_bytes
            if limit and sample.memory_bytes > limit and not instance.out_of_memory:
                self._over_limit(container, sample)
            close = close or bool(limit and sample.memory_bytes > _CLOSE_TO_LIMIT * limit)
        self._seen(running, everything)
        self._readings = readings
        self._series = {name: self._series[name] for name in readings}
        return close
