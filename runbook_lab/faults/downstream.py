"""downstream_timeout: payments answers, but later than orders waits for it (2 s). downstream_slow: late, but in time."""

from __future__ import annotations

import random

from runbook_lab.faults.declaration import PodConditions, Step

_LEAST_SECONDS, _SPREAD_SECONDS, _MORE_SECONDS = 2.4, 0.6, 2.5
_LEAST_RATIO, _MORE_RATIO = 0.3, 0.7
_LEAST_LATE_SECONDS, _MORE_LATE_SECONDS = 1.15, 0.45


def draw(chance: random.Random, intensity: float) -> tuple[str, tuple[Step, ...]]:
    """Draw how long payments holds an answer back, and how many of them."""
    seconds = round(chance.uniform(_LEAST_SECONDS, _LEAST_SECONDS + _SPREAD_SECONDS) + _MORE_SECONDS * intensity, 2)
    ratio = round(_LEAST_RATIO + _MORE_RATIO * intensity, 2)
    text = f"payments holds {ratio:.0%} of its answers back for {seconds:g} s"
    return text, (PodConditions("payments", ({"answer_seconds": seconds, "slow_ratio": ratio},)),)


def draw_late(_: random.Random, intensity: float) -> tuple[str, tuple[Step, ...]]:
    """So that orders still gets its answer, and its customers wait."""
    seconds, ratio = (
        round(_LEAST_LATE_SECONDS + _MORE_LATE_SECONDS * intensity, 2),
        round(_LEAST_RATIO + _MORE_RATIO * intensity, 2),
    )
    text = f"payments holds {ratio:.0%} of its answers back for {seconds:g} s"
    return text, (PodConditions("payments", ({"answer_seconds": seconds, "slow_ratio": ratio},)),)
