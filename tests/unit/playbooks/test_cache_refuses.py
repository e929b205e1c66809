"""A cache that answers with a refusal: whose it is, what is done about it, and that filling it is not."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.models.cause import Verdict
from runbook_lib.models.finding import Presence
from runbook_lib.testing import Examination, FakeCache, FakeLogs, FakeMetrics, Sick, ago, examine, line, log_lines

ONSET = ago(10)
BUSY = "ResponseError: BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
MISCONF = "MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk. Commands that"


def look(cache: Any, *, logged: str = "", level: str = "error", hit_ratio: Any = None) -> Examination:
    hits = line(0.99, 0.1, at=ONSET) if hit_ratio is None else hit_ratio
    metrics = FakeMetrics({"latency_quantile": line(0.2, 1.6, at=ONSET), "cache_hit_ratio": hits})
    logs = {"logs": FakeLogs(log_lines(logged, since=ONSET, level=level))} if logged else {}
    return examine("high_latency", metrics=metrics, cache=cache, **logs)


@pytest.mark.parametrize(
    ("cache", "word", "mend"),
    [
        (Sick("invalid_answer", BUSY, name="redis"), "BUSY", "script kill"),
        (FakeCache(ping_refused=MISCONF), "MISCONF", "stop-writes-on-bgsave-error"),
        (FakeCache(rdb_last_bgsave_status="err", stops_writes=1), "MISCONF", "bgsave"),
        (FakeCache(aof_enabled=1, aof_last_write_status="err"), "MISCONF", "room on the disk"),
        (FakeCache(loading=1), "LOADING", "wait"),
        (Sick("unreachable", "no connection: Redis is loading the dataset in memory", name="redis"), "LOADING", "wait"),
        (
            Sick("unreachable", "no connection: max number of clients reached", name="redis"),
            "max number of clients",
            "maxclients",
        ),
        (FakeCache(keys=Sick("invalid_answer", "Link with MASTER is down and replica-")), "MASTERDOWN", "replicaof no one"),
    ],
)
def test_a_cache_that_refuses_whoever_asks_is_the_cause_and_its_word_says_what_to_do(cache: Any, word: str, mend: str) -> None:
    seen = look(cache)
    assert seen.roots == ["cache_unavailable"]
    assert seen.consequences == {"cache_misses": "cache_unavailable"}
    assert word in seen.cause("cache_unavailable").why
    assert f"{word}: " in seen.cause("cache_unavailable").by_hand
    assert mend in seen.findings["cache_health"].notes[0]
    assert "warm_cache" not in seen.cause("cache_misses").actions


@pytest.mark.parametrize("said", ["Authentication required.; see connections.redis", "no permissions to run the 'info' command"])
def test_that_our_own_user_is_refused_says_nothing_of_the_service(said: str) -> None:
    seen = look(Sick("refused", said, name="redis"))
    assert seen.roots == ["cache_misses"]
    signal = seen.findings["cache_health"].signal("cache_refuses")
    assert signal is not None
    assert signal.presence is Presence.UNKNOWN
    assert "nothing of the service's" in signal.text


@pytest.mark.parametrize("level", ["error", "warning"])  # a service that does without its cache only warns
def test_that_the_service_is_refused_its_own_logs_tell(level: str) -> None:
    cache = Sick("refused", "Authentication required.", name="redis")
    seen = look(cache, logged="prices: WRONGPASS invalid password", level=level)
    assert seen.roots == ["cache_unavailable"]
    assert "WRONGPASS" in seen.cause("cache_unavailable").why
    assert "put back" in seen.cause("cache_unavailable").by_hand
    assert "warm_cache" not in seen.cause("cache_misses").actions


def test_a_cache_that_is_not_reached_is_not_one_that_refuses() -> None:
    seen = look(FakeCache(), logged="redis at cache:6379: Connection refused")
    assert seen.roots == ["cache_misses"]
    signal = seen.findings["error_logs"].signal("log_cache_refuses")
    assert signal is not None
    assert signal.presence is Presence.ABSENT


def test_a_snapshot_that_failed_and_stops_nobody_is_no_refusal() -> None:
    assert look(FakeCache(rdb_last_bgsave_status="err", stops_writes=0)).roots == ["cache_misses"]


def test_a_cache_that_refuses_while_look_ups_are_answered_is_no_cause() -> None:
    seen = look(FakeCache(ping_refused=MISCONF), hit_ratio=0.99)
    assert seen.verdicts["cache_unavailable"] is not Verdict.CONFIRMED


def test_errors_of_a_service_whose_cache_refuses_lead_to_what_its_word_asks_for() -> None:
    metrics = FakeMetrics({"request_rate": 20.0, "error_ratio": line(0.0, 0.4, at=ONSET)})
    seen = examine("high_error_rate", metrics=metrics, logs=FakeLogs(log_lines(f"POST /orders: {MISCONF}", since=ONSET)))
    assert seen.roots == ["cache_unavailable"]
    assert "MISCONF: " in seen.cause("cache_unavailable").by_hand


# --- one that takes no writes

REPLICA = {"role": "slave", "master_host": "10.0.0.7", "master_link_status": "down"}


@pytest.mark.parametrize("memory", [{}, {"used_memory": 64 * 2**20, "maxmemory_policy": "allkeys-lru"}], ids=["room", "full"])
def test_a_replica_that_look_ups_miss_is_no_cache_to_fill(memory: dict[str, Any]) -> None:
    seen = look(FakeCache(**REPLICA, **memory))
    assert seen.roots == ["cache_misses"]
    assert seen.cause("cache_misses").actions == ()
    assert "replicaof no one" in seen.cause("cache_misses").by_hand
    signal = seen.findings["cache_health"].signal("cache_refuses_writes")
    assert signal is not None
    assert signal.presence is Presence.PRESENT
    assert "a replica of 10.0.0.7, to which its link is down: a replica takes no writes" in signal.text


def test_a_replica_that_answers_may_be_read_from_on_purpose() -> None:
    seen = look(FakeCache(**REPLICA), hit_ratio=0.99)
    for name in ("cache_refuses_writes", "cache_is_replica"):
        signal = seen.findings["cache_health"].signal(name)
        assert signal is not None
        assert signal.presence is Presence.ABSENT


def test_a_full_cache_that_cannot_save_either_has_no_policy_to_change() -> None:
    full = {"used_memory": 64 * 2**20, "maxmemory_policy": "noeviction"}
    seen = look(FakeCache(**full, rdb_last_bgsave_status="err", stops_writes=1))
    assert "set_eviction_policy" not in seen.cause("cache_misses").actions


@pytest.mark.parametrize(("ping", "paused"), [(0.001, True), (0.8, False), (None, False)], ids=["writes", "all", "of before"])
def test_a_cache_whose_writes_are_paused_is_slow_and_says_so(ping: float | None, paused: bool) -> None:
    class Paused(FakeCache):
        def waits(self, *, again: bool = False) -> Any:
            return {**super().waits(again=again), **({} if ping is None else {"longest_ping_seconds": ping})}

    seen = look(Paused(waited=(0.8, 0.9)))
    assert seen.roots == ["cache_slow"]
    assert ("its writes are paused" in seen.cause("cache_slow").why) is paused
    assert "warm_cache" not in seen.cause("cache_misses").actions
