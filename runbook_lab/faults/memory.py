"""memory_leak: orders keeps buffers for good. Requests fail once the heap is full; in the end the kernel kills it."""

from __future__ import annotations

import random

from runbook_lab.faults.declaration import PodConditions, Step

_PODS = 3
# From about 45 MiB to the heap's ceiling of 118 MiB in some 18 to 35 s.
_LEAST_BYTES, _MORE_BYTES = 2.4 * 1024**2, 1.6 * 1024**2
_SPREAD = 0.12


def draw(chance: random.Random, intensity: float) -> tuple[str, tuple[Step, ...]]:
    """Draw how fast each pod grows. They differ, as pods do that were started at different times."""
    usual = _LEAST_BYTES + _MORE_BYTES * intensity
    growth = [round(usual * chance.uniform(1 - _SPREAD, 1 + _SPREAD)) for _ in range(_PODS)]
    text = f"each pod of orders leaks {min(growth) / 1024**2:.1f} to {max(growth) / 1024**2:.1f} MiB a second"
    return text, (PodConditions("orders", tuple({"leaked_bytes_per_second": float(value)} for value in growth)),)
