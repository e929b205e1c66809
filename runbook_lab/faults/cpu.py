"""Orders that are short of processor time: customers who search much, and a limit that somebody lowered."""

from __future__ import annotations

import random

from runbook_lab.faults.declaration import PodConditions, Step
from runbook_lab.faults.deployment import container_rollout

# Three pods may search some 12 times a second beside what else they do; five of them 22 times.
_LEAST_SEARCHES, _MORE_SEARCHES = 13.5, 3.0
_LIMITS = ("20m", "24m", "28m")  # on a fast machine 40m is just about enough
_REASONS = (
    "requests and limits as measured over the weekend",
    "limits as advised by the cost review",
    "same limits as in staging",
)
Drawn = tuple[str, tuple[Step, ...]]


def draw_load(_: random.Random, intensity: float) -> Drawn:
    """More searches than the pods have processor time for: they are held back, and everything in them takes long."""
    searches = round(_LEAST_SEARCHES + _MORE_SEARCHES * intensity, 1)
    text = f"customers search {searches:g} times a second, each time for the processor time of ten orders"
    return text, (PodConditions("loadgen", ({"searches_per_second": searches},)),)


def draw_limit(chance: random.Random, _: float) -> Drawn:
    """Less processor time for each pod than its usual requests need."""
    limit = chance.choice(_LIMITS)
    resources = {"limits": {"cpu": limit}, "requests": {"cpu": "20m"}}
    return f"a rollout lets each pod of orders use {limit} of a core", (
        container_rollout({"resources": resources}, chance.choice(_REASONS)),
    )
