"""db_pool_exhausted: a code path of orders forgets to give its database connection back."""

from __future__ import annotations

import random

from runbook_lab.faults.declaration import PodConditions, Step

_PODS = 3
# A pod uses its database some 10 times a second and has 5 connections: these shares lose them all in about 6 to 25 s.
_LEAST_RATIO, _MORE_RATIO = 0.02, 0.06
_SPREAD = 0.2


def draw(chance: random.Random, intensity: float) -> tuple[str, tuple[Step, ...]]:
    """Draw the share of requests that lose their connection, for each pod."""
    ratio = _LEAST_RATIO + _MORE_RATIO * intensity
    ratios = [round(ratio * chance.uniform(1 - _SPREAD, 1 + _SPREAD), 4) for _ in range(_PODS)]
    text = (
        f"{min(ratios):.1%} to {max(ratios):.1%} of the requests to orders lose their database connection, its transaction open"
    )
    return text, (PodConditions("orders", tuple({"lost_connection_ratio": value} for value in ratios)),)
