"""Rules that several playbooks have in common."""

from __future__ import annotations

from runbook_lib.models.cause import Conjunction

__all__ = ["CONFIGURATION_SHRANK_POOL", "DIFF_EXPLAINS_POOL", "ROLLOUT_SHRANK_POOL"]

DIFF_EXPLAINS_POOL = Conjunction(
    name="diff_explains_pool",
    all_of=("diff_shrinks_pool", "pool_saturated"),
    text="the pool is full since a change made it smaller",
    close_in_time=True,
)
ROLLOUT_SHRANK_POOL = Conjunction(
    name="rollout_shrank_pool",
    all_of=("rollout_before_onset", "pool_shrank", "pool_saturated"),
    text="the pool is full since a rollout made it smaller",
    close_in_time=True,
)
CONFIGURATION_SHRANK_POOL = Conjunction(
    name="configuration_shrank_pool",
    all_of=("configuration_changed", "pool_shrank", "pool_saturated"),
    text="the pool is full since the configuration made it smaller",
    close_in_time=True,
)
