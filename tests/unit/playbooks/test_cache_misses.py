"""The cache as the cause of high latency: full, flushed, or with entries that live too short; and whose doing that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runbook_lib.models.cause import Verdict
from runbook_lib.models.finding import Presence
from runbook_lib.models.frame import Frame
from runbook_lib.service.models import CacheComponent
from runbook_lib.testing import (
    PODS,
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
    key_families,
    line,
    looks,
    service,
    slow_commands,
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


def test_a_cache_that_somebody_emptied_says_so() -> None:
    seen = look(cache=FakeCache(used_memory=2**20, emptied=3))
    assert any(note.startswith("Redis was emptied 3 times") for note in seen.findings["cache_health"].notes)


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


def test_without_a_hit_ratio_of_its_own_the_counters_of_redis_speak_and_date_nothing() -> None:
    seen = look(slow(cache_hit_ratio=None), cache=FakeCache(hits_per_second=40.0, misses_per_second=60.0))
    assert seen.verdicts["cache_misses"] is Verdict.SUSPECTED
    assert "it is not known when it began" in seen.cause("cache_misses").why


@pytest.mark.parametrize(
    "cache",
    [
        Sick("refused", "NOPERM", name="redis"),
        FakeCache(hits_per_second=1.0, misses_per_second=1.0),
        FakeCache(hits_per_second=40.0, misses_per_second=60.0, keyspace_hits=40_000, keyspace_misses=60_000),
    ],
    ids=["refused", "few look-ups", "started when it began"],
)
def test_misses_of_which_nobody_can_tell_what_is_usual_are_unknown_not_ruled_out(cache: Any) -> None:
    assert look(slow(cache_hit_ratio=None), cache=cache).verdicts["cache_misses"] is Verdict.UNKNOWN


# --- what Redis says of itself


def test_a_full_redis_is_dated_by_its_history_and_says_who_fills_it() -> None:
    families = key_families(
        {"keys": "reports:*", "sampled": 90, "bytes": 900_000, "without_expiry": 90},
        {"keys": "prices:*", "sampled": 10, "bytes": 1000},
    )
    cache = FakeCache(used_memory=64 * 2**20, maxmemory_policy="noeviction", keys=families)
    seen = look(slow(cache_memory_ratio=line(0.4, 1.0, at=ago(11))), cache=cache)
    signal = seen.findings["cache_health"].signal("cache_full")
    assert signal is not None
    assert signal.since is not None
    assert abs((signal.since - ago(11)).total_seconds()) < 60
    assert "Keys reports:* take 100% of the memory that was sampled: whose are they?" in seen.findings["cache_health"].notes
    assert seen.cause("cache_misses").actions == ("set_eviction_policy",)


def test_a_cache_that_no_pod_can_connect_to_is_not_there_and_not_merely_empty() -> None:
    refused = {pod: {"redis:6379": "Connection refused"} for pod in PODS}
    cluster = FakeCluster(settings={"REDIS_URL": "redis://redis:6379"}, connects=refused)
    seen = look(cache=Sick("unreachable", name="redis"), cluster=cluster)
    assert seen.roots == ["cache_unavailable"]
    assert seen.consequences == {"cache_misses": "cache_unavailable"}
    assert "warm_cache" not in seen.cause("cache_misses").actions


def test_a_cache_that_does_not_answer_us_alone_is_not_called_away() -> None:
    seen = look(cache=Sick("unreachable", name="redis"))
    assert seen.roots == ["cache_misses"]
    assert seen.verdicts["cache_unavailable"] is not Verdict.CONFIRMED


def test_a_pool_that_is_full_of_what_the_cache_did_not_answer_is_no_second_cause() -> None:
    full = {"pool_in_use": each_pod(2.0, 10.0, at=ONSET), "pool_waiting": each_pod(0.0, 5.0, at=ONSET)}
    seen = look(slow(**full))
    assert seen.roots == ["cache_misses"]
    assert seen.consequences == {"db_pool_exhausted": "cache_misses"}


def test_a_redis_whose_maximum_was_lowered_wants_its_memory_back_before_another_policy() -> None:
    cache = FakeCache(used_memory=2**20, maxmemory=2**20, used_memory_peak=3 * 2**20, maxmemory_policy="noeviction")
    seen = look(cache=cache)
    assert seen.roots == ["cache_misses"]
    assert seen.cause("cache_misses").actions == ("raise_cache_memory", "set_eviction_policy")


def test_a_full_redis_that_evicts_has_no_policy_to_change() -> None:
    cache = FakeCache(used_memory=64 * 2**20, evicted_per_second=120.0)
    seen = look(slow(cache_evictions=line(0.0, 120.0, at=ONSET)), cache=cache)
    assert seen.cause("cache_misses").actions == ()
    notes = " ".join(seen.findings["cache_health"].notes)
    assert "More memory, or fewer and smaller entries" in notes
    assert "up to 120 a second" in notes


def test_a_redis_that_may_only_evict_what_expires_and_has_nothing_that_does_refuses_writes() -> None:
    cache = FakeCache(used_memory=64 * 2**20, maxmemory_policy="volatile-lru", db0={"keys": 100, "expires": 0})
    assert look(cache=cache).cause("cache_misses").actions == ("set_eviction_policy",)


def test_entries_that_expire_before_they_are_asked_for_again_want_a_longer_life() -> None:
    seen = look(cache=FakeCache(hits_per_second=40.0, misses_per_second=60.0, expired_per_second=55.0))
    assert seen.roots == ["cache_misses"]
    assert seen.cause("cache_misses").actions == ("set_cache_ttl",)


def test_keys_that_expire_while_few_look_ups_miss_mean_nothing() -> None:
    seen = look(slow(cache_hit_ratio=0.9), cache=FakeCache(misses_per_second=10.0, expired_per_second=10.0))
    signal = seen.findings["cache_health"].signal("cache_expires_early")
    assert signal is not None
    assert signal.presence is Presence.ABSENT


def test_slow_commands_that_block_redis_are_the_cause_and_the_misses_their_consequence() -> None:
    commands = [(ago(10 - number / 6), 2.5, "KEYS", "") for number in range(58)]
    seen = look(cache=FakeCache(slow=slow_commands(*commands)))
    assert seen.roots == ["cache_slow"]
    assert seen.consequences == {"cache_misses": "cache_slow"}
    assert seen.cause("cache_slow").since is not None
    assert abs((seen.cause("cache_slow").since - ONSET).total_seconds()) < 30
    assert "KEYS" in seen.cause("cache_slow").why


def test_a_cache_that_lets_everybody_wait_is_slow_without_any_slow_command_and_needs_no_warming() -> None:
    seen = look(cache=FakeCache(waited=(0.78, 0.8)))
    assert seen.roots == ["cache_slow"]
    assert seen.consequences == {"cache_misses": "cache_slow"}
    assert "780 ms" in seen.cause("cache_slow").why
    assert "warm_cache" not in (*seen.cause("cache_slow").actions, *seen.cause("cache_misses").actions)


def test_a_cache_that_answers_nothing_but_takes_connections_is_slow_and_not_a_cache_that_lacks_entries() -> None:
    class Hanging(FakeCache):
        def traffic(self, *, every_seconds: float = 1.5) -> Any:
            raise Sick("timeout").error(self.name)

    seen = look(cache=Hanging(waited=(1.2, 1.0), slow=Sick("timeout"), keys=Sick("timeout")))
    assert seen.roots == ["cache_slow"]


def test_a_cache_that_lets_everybody_wait_and_misses_nothing_is_slow_when_nothing_else_is() -> None:
    assert look(slow(cache_hit_ratio=0.99), cache=FakeCache(waited=(0.5, 0.6))).roots == ["cache_slow"]


@pytest.mark.parametrize("waited", [(0.3, 0.9), (0.9, 0.1), Sick("timeout")], ids=["a long way", "once", "not tried"])
def test_a_cache_that_is_not_seen_to_let_others_wait_is_not_blamed_for_it(waited: Any) -> None:
    assert look(cache=FakeCache(waited=waited)).roots == ["cache_misses"]


def test_a_cache_that_seemed_late_only_while_all_checks_began_is_not_blamed_for_it() -> None:
    class Once(FakeCache):
        def waits(self, *, again: bool = False) -> Mapping[str, float]:
            return FakeCache(waited=(0.01, 0.02) if again else (0.9, 0.7)).waits()

    assert look(cache=Once(used_memory=2**20)).roots == ["cache_misses"]


@pytest.mark.parametrize(
    ("unanswered", "verdict"), [(0.0, Verdict.UNKNOWN), (1.0, Verdict.CONFIRMED)], ids=["late", "without an answer"]
)
def test_a_late_cache_on_a_machine_that_is_itself_short_of_processors_is_not_blamed_unless_it_never_answers(
    unanswered: float, verdict: Verdict
) -> None:
    class Crowded(FakeCache):
        def waits(self, *, again: bool = False) -> Mapping[str, float]:
            return {**super().waits(again=again), "crowded_ratio": 0.9, "unanswered": unanswered}

    seen = look(cache=Crowded(waited=(0.9, 0.7)))
    assert seen.verdicts["cache_slow"] is verdict


def test_slow_commands_of_which_older_ones_were_dropped_are_counted_over_the_time_that_is_left() -> None:
    commands = [(ago(1 - number / 60), 0.5, "EVALSHA", "") for number in range(60)]
    assert look(cache=FakeCache(slow=slow_commands(*commands, full=True))).verdicts["cache_slow"] is Verdict.SUSPECTED


def test_a_single_slow_command_is_told_and_no_cause() -> None:
    seen = look(slow(cache_hit_ratio=0.99), cache=FakeCache(slow=slow_commands((ago(5), 0.05, "HGETALL", "carts:*"))))
    assert seen.verdicts["cache_slow"] is Verdict.RULED_OUT
    assert "HGETALL" in str(seen.findings["cache_health"].tables)


def test_a_slow_log_that_may_not_be_read_is_said_and_rules_nothing_out() -> None:
    denied = slow_commands(notes=("redis-cli slowlog get 128: this user has no permissions to run the 'slowlog' command",))
    denied.attrs["denied"] = True
    seen = look(slow(cache_hit_ratio=0.99), cache=FakeCache(slow=denied))
    assert seen.verdicts["cache_slow"] is Verdict.UNKNOWN
    assert any("no permissions" in note for note in seen.findings["cache_health"].notes)


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"cluster_enabled": 1}, "one node of a Redis Cluster"),
        ({"role": "slave"}, "This is a replica"),
        ({"maxclients": 100, "connected_clients": 99}, "99 of 100 connections are taken"),
    ],
)
def test_what_is_to_be_known_of_a_redis_is_said(info: dict[str, Any], said: str) -> None:
    assert any(said in note for note in look(cache=FakeCache(**info)).findings["cache_health"].notes)
