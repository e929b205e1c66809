"""A real Redis that refuses: a script that runs on, a disk that is full, no connection left, a user without PING."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from runbook_lib.errors import SourceError, SourceRefused
from runbook_lib.models.cache import cannot_save
from runbook_lib.models.cache_refusal import refusal_in
from runbook_lib.service.models import RedisConnection
from runbook_lib.sources.redis import RedisCache
from tests.unit.sources.redis_fixtures import running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[redis.Redis, int]]:
    with running(tmp_path) as found:
        yield found


def cache(port: int, **connection: object) -> RedisCache:
    return RedisCache(RedisConnection.model_validate({"url": f"redis://127.0.0.1:{port}/0", "timeout_seconds": 2, **connection}))


def word_of(source: RedisCache) -> str:
    with pytest.raises(SourceError) as caught:
        source.info()
    refusal = refusal_in(caught.value.reason)
    assert refusal is not None, caught.value.reason
    return refusal.word


def refuses(port: int) -> bool:
    try:
        cache(port).info()
    except SourceError:
        return True
    return False


def without_a_disk(server: redis.Redis, directory: Path) -> None:
    directory.mkdir()
    server.config_set("save", "3600 1")
    server.config_set("dir", str(directory))
    directory.rmdir()
    with suppress(redis.ResponseError):
        server.bgsave()
    ends = time.monotonic() + 10
    while server.info()["rdb_last_bgsave_status"] != "err" and time.monotonic() < ends:
        time.sleep(0.05)


def test_a_script_that_runs_on_is_told_by_its_word_and_is_answered_at_once(server: tuple[redis.Redis, int]) -> None:
    found, port = server
    found.config_set("lua-time-limit", "100")

    def script() -> None:
        with redis.Redis(port=port) as client, suppress(redis.ResponseError):
            client.eval("while true do end", 0)

    running = threading.Thread(target=script)
    running.start()
    try:
        ends = time.monotonic() + 10
        while not refuses(port) and time.monotonic() < ends:
            time.sleep(0.05)
        assert word_of(cache(port)) == "BUSY"
        assert cache(port).waits()["waited_ratio"] < 0.3
    finally:
        found.script_kill()
        running.join()


def test_a_redis_that_cannot_save_refuses_ping_and_still_tells_of_itself(server: tuple[redis.Redis, int], tmp_path: Path) -> None:
    found, port = server
    without_a_disk(found, tmp_path / "gone")
    told = cache(port).traffic(every_seconds=0.01)
    refusal = refusal_in(told["ping_refused"])
    assert refusal is not None
    assert refusal.word == "MISCONF"
    assert "ping_seconds" not in told
    assert told["used_memory"] > 0
    assert "rdb_last_bgsave_status" in cannot_save(told)


def test_a_snapshot_that_failed_stops_no_write_where_none_is_made_by_itself(
    server: tuple[redis.Redis, int], tmp_path: Path
) -> None:
    found, port = server
    without_a_disk(found, tmp_path / "gone")
    found.config_set("save", "")
    told = cache(port).info()
    assert told["stops_writes"] == 0
    assert not cannot_save(told)


def test_a_redis_without_a_connection_left_says_so(server: tuple[redis.Redis, int]) -> None:
    found, port = server
    found.config_set("maxclients", "1")
    assert word_of(cache(port)) == "max number of clients"


def test_a_changed_password_is_told_as_what_concerns_our_user_alone(server: tuple[redis.Redis, int]) -> None:
    found, port = server
    found.config_set("requirepass", "new")
    with pytest.raises(SourceRefused) as caught:
        cache(port).info()
    refusal = refusal_in(caught.value.reason)
    assert refusal is not None
    assert not refusal.of_everybody


def test_a_user_without_ping_loses_the_round_trip_and_nothing_else(
    server: tuple[redis.Redis, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, port = server
    found.execute_command("ACL", "SETUSER", "mon", "on", ">p", "~*", "+info", "+@read")
    monkeypatch.setenv("CACHE_PASSWORD", "p")
    told = cache(port, username="mon", password="env:CACHE_PASSWORD").traffic(every_seconds=0.01)
    assert told["used_memory"] > 0
    assert "ping_seconds" not in told
