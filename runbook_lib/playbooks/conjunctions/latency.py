"""What two signs of high latency say together: which of them a change or the cache or the network explains."""

from __future__ import annotations

from runbook_lib.models.cause import Conjunction
from runbook_lib.playbooks.shared import DIFF_EXPLAINS_CPU, NEW_CODE_BROUGHT_STATEMENTS, NEW_CODE_BURNS_CPU

__all__ = ["LATENCY_CONJUNCTIONS"]

_DIFF_EXPLAINS_CALLS = Conjunction(
    name="diff_explains_calls",
    all_of=("diff_touches_downstream", "downstream_takes_time"),
    text="calls take long since a change to where or how they are made",
    close_in_time=True,
)
_DIFF_EXPLAINS_CACHE = Conjunction(
    name="diff_explains_cache",
    all_of=("diff_touches_cache", "cache_misses_high"),
    none_of=("cache_full",),
    text="the cache answers less since a change to how it is used",
    close_in_time=True,
)
# Not close in time: entries that were written before live on for as long as they were given then.
_LIFETIME_EXPLAINS_CACHE = Conjunction(
    name="lifetime_explains_cache",
    all_of=("diff_shortens_cache", "cache_misses_high"),
    none_of=("cache_full",),
    text="the cache answers less since its entries live for a shorter time",
)
_NEW_VERSION_IS_SLOW = Conjunction(
    name="new_version_is_slow",
    all_of=("rollout_before_onset", "latency_differs_by_version"),
    text="one version is slow and the other is not",
)
# Nothing that requests wait for takes longer than before: what is left is the time of the code itself.
_NEW_CODE_IS_SLOW = Conjunction(
    name="new_code_is_slow",
    all_of=("diff_changes_code", "latency_high"),
    none_of=(
        "downstream_takes_time",
        "statements_wait_for_locks",
        "statements_slow",
        "statements_regressed",
        "pool_saturated",
        "cache_misses_high",
        "connects_slow",
    ),
    text="requests take long since the code was changed, and nothing that they wait for does",
    close_in_time=True,
)
# What a PING shows at present is tied to the symptom by the look-ups that fail for it, or by nothing else being slow.
_CACHE_LETS_MISS = Conjunction(
    name="late_cache_misses",
    all_of=("cache_answers_late", "cache_misses_high"),
    text="look-ups fail, and the cache lets whoever asks it wait",
)
_CACHE_LETS_WAIT = Conjunction(
    name="late_cache_delays",
    all_of=("cache_answers_late", "latency_high"),
    none_of=(
        "downstream_takes_time",
        "connects_slow",
        "statements_wait_for_locks",
        "statements_slow",
        "statements_regressed",
        "cpu_short",
    ),
    text="the cache lets whoever asks it wait, and nothing else that requests need takes long",
)
# What a try shows at present is tied to the symptom by what is measured all the time: the calls, or the answers of each pod.
_NETWORK_OF_ALL_CALLS = Conjunction(
    name="network_slows_calls",
    all_of=("connects_slow", "all_calls_take_longer"),
    text="connecting takes long, and calls take longer to every service alike",
)
_NETWORK_OF_SOME_PODS = Conjunction(
    name="network_slows_pods",
    all_of=("connects_slow", "slow_pods_answer_late"),
    text="connecting takes long from just the pods that answer late",
)

LATENCY_CONJUNCTIONS = (
    _DIFF_EXPLAINS_CALLS,
    _DIFF_EXPLAINS_CACHE,
    _LIFETIME_EXPLAINS_CACHE,
    DIFF_EXPLAINS_CPU,
    NEW_CODE_BURNS_CPU,
    NEW_CODE_BROUGHT_STATEMENTS,
    _NEW_VERSION_IS_SLOW,
    _NEW_CODE_IS_SLOW,
    _CACHE_LETS_MISS,
    _CACHE_LETS_WAIT,
    _NETWORK_OF_ALL_CALLS,
    _NETWORK_OF_SOME_PODS,
)
