"""The cache as the cause of high latency: full, flushed, or with entries that live too short; and whose doing that is."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.models.cause import Verdict
from runbook_lib.models.frame import Frame
from runbook_lib.service.models import CacheComponent
from runbook_lib.testing import (
    Examination,
    FakeCache,
    FakeCluster,
    FakeDatabase,
    FakeMetrics,
    Sick,
    ago,
    config_edit,
    each_pod,
    examine,
    line,
    looks,
    service,
)

ISSUE = "high_latency"
ONSET = ago(10)
MISSED = line(0.99, 0.4, at=ONSET)
LIFETIME = {"lifetime": {"key": "PRICE_TTL", "usual_seconds": 600}}


def slow(**measured: Any) -> FakeMetrics:
    return FakeMetrics({"latency_quantile": line(0.2, 1.6, at=ONSET), "cache_hit_ratio": MISSED, **measured})


def look(metrics: FakeMetrics | None = None, *, cache: Any = None, edits: Frame | None = None, **sources: Any) -> Examination:
    if edits is not None:
        sources["cluster"] = FakeCluster(config=edits)
    components = service().components.model_copy(update={"cache": CacheComponent.model_validate(LIFETIME)})
    known = service().model_copy(update={"components": components})
    cache = cache if cache is not None else FakeCache(used_memory=2**20)
    return examine(ISSUE, metrics=metrics or slow(), known=known, cache=cache, **sources)


def test_a_lifetime_that_was_shortened_is_the_setting_and_not_the_cache() -> None:
    seen = look(edits=config_edit("PRICE_TTL", "600", "5", at=ago(10.5)))
    assert seen.roots == ["bad_deployment"]
    assert seen.consequences == {"cache_misses": "bad_deployment"}
    assert seen.cause("bad_deployment").actions == ("restore_configuration",)


def test_entries_of_before_live_on_so_that_the_misses_come_later_than_the_shorter_lifetime() -> None:
    seen = look(edits=config_edit("PRICE_TTL", "10m", "5s", at=ago(22)))
    assert seen.roots == ["bad_deployment"]
    assert seen.consequences == {"cache_misses": "bad_deployment"}


@pytest.mark.parametrize(("old", "new"), [("600", "1200"), ("", "600"), ("", "some")])
def test_a_lifetime_that_was_not_shortened_explains_no_miss_that_came_later(old: str, new: str) -> None:
    assert look(edits=config_edit("PRICE_TTL", old, new, at=ago(22))).roots == ["cache_misses"]


def test_a_lifetime_of_which_is_not_known_what_it_was_is_held_against_the_usual_one() -> None:
    assert look(edits=config_edit("PRICE_TTL", "", "5", at=ago(10.5))).roots == ["bad_deployment"]


def test_an_address_of_the_cache_that_was_changed_just_before_is_the_setting() -> None:
    assert look(edits=config_edit("REDIS_URL", "redis://a", "redis://b", at=ago(10.2))).roots == ["bad_deployment"]


def test_a_full_cache_is_not_the_doing_of_a_setting_for_its_address() -> None:
    full = FakeCache(used_memory=64 * 2**20, maxmemory_policy="noeviction")
    seen = look(cache=full, edits=config_edit("REDIS_POOL", "5", "10", at=ago(10.2)))
    assert seen.roots == ["cache_misses"]
    assert seen.cause("cache_misses").actions == ("set_eviction_policy",)


def test_misses_beside_waiting_statements_are_both_told() -> None:
    waiting = {"wait_event": "Lock: tuple", "state_seconds": 1.2, "blocked_by": [7], "query": "insert into orders"}
    blocker = {"pid": 7, "application": "batch", "user": "batch", "state": "active", "transaction_start": ago(11)}
    database = FakeDatabase(activity=looks(4, others=(blocker,), **waiting))
    seen = look(slow(pool_in_use=each_pod(1.0, 4.0, at=ONSET)), database=database)
    assert set(seen.roots) == {"cache_misses", "lock_contention"}


def test_without_redis_the_misses_are_still_seen_in_the_metrics_of_the_service() -> None:
    seen = look(cache=Sick("timeout", name="redis"))
    assert seen.roots == ["cache_misses"]


def test_without_a_hit_ratio_the_misses_are_unknown_not_ruled_out() -> None:
    seen = look(slow(cache_hit_ratio=None))
    assert seen.verdicts["cache_misses"] is Verdict.UNKNOWN
