"""Memory of orders that grows: leaks of three kinds, and two kinds of growth that are none."""

from __future__ import annotations

import random

from runbook_lab.faults.declaration import PodConditions, Step

_PODS = 3
_MIB = 1024**2
# From about 70 MiB to the heap's ceiling of 118 MiB in some 12 to 20 s.
_LEAST_BYTES, _MORE_BYTES = 2.4 * _MIB, 1.6 * _MIB
_LEAST_SLOW_BYTES, _MORE_SLOW_BYTES = 0.35 * _MIB, 0.35 * _MIB
_LEAST_CACHED_BYTES, _MORE_CACHED_BYTES = 14 * _MIB, 10 * _MIB
_LEAST_FACTOR, _MORE_FACTOR = 1.5, 0.5
_SPREAD = 0.12
Drawn = tuple[str, tuple[Step, ...]]


def draw(chance: random.Random, intensity: float) -> Drawn:
    """Requests fail once the heap is full; in the end the kernel kills the container."""
    return _leak(chance, _LEAST_BYTES + _MORE_BYTES * intensity)


def draw_slow(chance: random.Random, intensity: float) -> Drawn:
    """So slow that there is time to act before anything fails."""
    return _leak(chance, _LEAST_SLOW_BYTES + _MORE_SLOW_BYTES * intensity)


def draw_killed(chance: random.Random, intensity: float) -> Drawn:
    """Outside of the heap, whose ceiling would hold it up: killed, started anew, and killed again."""
    return _leak(chance, _LEAST_BYTES + _MORE_BYTES * intensity, outside_heap=1.0)


def draw_cache(chance: random.Random, intensity: float) -> Drawn:
    """A cache that fills, and then is full: no leak."""
    sizes = [round(size) for size in _spread(chance, _LEAST_CACHED_BYTES + _MORE_CACHED_BYTES * intensity)]
    text = f"a cache in each pod of orders fills up to {min(sizes) / _MIB:.0f} to {max(sizes) / _MIB:.0f} MiB"
    return text, (PodConditions("orders", tuple({"cached_bytes": float(size)} for size in sizes)),)


def draw_traffic(_: random.Random, intensity: float) -> Drawn:
    """More customers, each with a session: no leak."""
    factor = _LEAST_FACTOR + _MORE_FACTOR * intensity
    return f"{factor:.1f} times as many requests as usual come in", (PodConditions("loadgen", ({"load_factor": factor},)),)


def _leak(chance: random.Random, usual: float, **more: float) -> Drawn:
    """How fast each pod grows. They differ, as pods do that were started at different times."""
    growth = [round(rate) for rate in _spread(chance, usual)]
    text = f"each pod of orders leaks {min(growth) / _MIB:.1f} to {max(growth) / _MIB:.1f} MiB a second"
    return text, (PodConditions("orders", tuple({"leaked_bytes_per_second": float(rate), **more} for rate in growth)),)


def _spread(chance: random.Random, usual: float) -> list[float]:
    return [usual * chance.uniform(1 - _SPREAD, 1 + _SPREAD) for _ in range(_PODS)]
