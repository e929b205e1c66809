"""How long a Redis lets its clients wait: a real one that is well and one that is paused, one that hangs, and none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis

from runbook_lib.errors import SourceRefused, SourceUnreachable
from runbook_lib.service.models import RedisConnection
from runbook_lib.sources import redis_waits
from runbook_lib.sources.redis import RedisCache
from tests.unit.sources.redis_fixtures import running


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        yield free.getsockname()[1]


def cache(port: int, *, timeout_seconds: float = 2.0) -> RedisCache:
    return RedisCache(RedisConnection.model_validate({"url": f"redis://127.0.0.1:{port}/0", "timeout_seconds": timeout_seconds}))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[redis.Redis, int]]:
    with running(tmp_path) as found:
        yield found


def test_a_server_that_is_well_lets_nobody_wait(server: tuple[redis.Redis, int]) -> None:
    assert cache(server[1]).waits()["longest_seconds"] < 0.3


def test_a_server_that_is_paused_lets_everybody_wait_though_it_takes_connections(server: tuple[redis.Redis, int]) -> None:
    server[0].client_pause(600)
    found = cache(server[1]).waits()
    assert found["longest_seconds"] > 0.4
    assert found["waited_ratio"] > 0.3
    assert found["connect_seconds"] < 0.3


def test_a_server_whose_writes_are_paused_answers_each_ping_and_lets_writes_wait(
    server: tuple[redis.Redis, int],
) -> None:
    server[0].execute_command("CLIENT", "PAUSE", "60000", "WRITE")
    found = cache(server[1]).waits()
    server[0].execute_command("CLIENT", "UNPAUSE")
    assert found["longest_seconds"] > 0.4
    assert found["waited_ratio"] > 0.3
    assert found["longest_ping_seconds"] < 0.3
    missed = server[0].info()["keyspace_misses"]
    cache(server[1]).waits()
    assert server[0].info()["keyspace_misses"] - missed < 5


@pytest.mark.parametrize("allowed", ["+ping", "+pfcount"])
def test_a_user_who_may_ask_one_of_both_is_told_of_that(
    server: tuple[redis.Redis, int], allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server[0].execute_command("ACL", "SETUSER", "mon", "on", ">p", "~*", allowed)
    monkeypatch.setenv("CACHE_PASSWORD", "p")
    connection = {"url": f"redis://127.0.0.1:{server[1]}/0", "username": "mon", "password": "env:CACHE_PASSWORD"}
    found = RedisCache(RedisConnection.model_validate({**connection, "timeout_seconds": 2.0})).waits()
    assert found["longest_seconds"] < 0.3
    assert ("longest_ping_seconds" in found) is (allowed == "+ping")


def test_a_user_who_may_ask_neither_knows_nothing(server: tuple[redis.Redis, int], monkeypatch: pytest.MonkeyPatch) -> None:
    server[0].execute_command("ACL", "SETUSER", "mon", "on", ">p", "~*", "+info")
    monkeypatch.setenv("CACHE_PASSWORD", "p")
    connection = {"url": f"redis://127.0.0.1:{server[1]}/0", "username": "mon", "password": "env:CACHE_PASSWORD"}
    with pytest.raises(SourceRefused):
        RedisCache(RedisConnection.model_validate(connection)).waits()


class Busy:
    """A process that gets the interpreter late, whatever it does, and a Redis that answers at once."""

    def __init__(self, late_seconds: float) -> None:
        self.late_seconds, self._now = late_seconds, 0.0
        self.connection_pool = SimpleNamespace(connection_kwargs={})

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds + self.late_seconds

    def ping(self) -> None:
        self._now += 3 * self.late_seconds

    def pfcount(self, key: str) -> int:
        del key
        self.ping()
        return 0


def test_who_is_busy_itself_does_not_call_redis_late(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Busy(0.2)
    monkeypatch.setattr(redis_waits, "time", busy)
    found = redis_waits.waits(busy, seconds=1.5)  # type: ignore[arg-type]
    assert found["longest_seconds"] > 0.4
    assert found["waited_ratio"] < 0.1


def test_what_other_processes_of_its_machine_waited_for_a_processor_is_told_of_a_redis_on_it(
    server: tuple[redis.Redis, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counted = iter([1_000_000, 1_900_000])

    class Pressure:
        def read_text(self) -> str:
            return f"some avg10=0.00 avg60=0.74 avg300=0.81 total={next(counted)}\nfull avg10=0.00 total=7\n"

    monkeypatch.setattr(redis_waits, "_PRESSURE", Pressure())
    found = cache(server[1]).waits()  # which looks for a second
    assert 0.5 < found["crowded_ratio"] <= 0.9
    assert found["unanswered"] == 0.0
    monkeypatch.setattr(redis_waits, "_PRESSURE", tmp_path / "absent")
    assert cache(server[1]).waits()["crowded_ratio"] == 0.0


def test_a_server_that_never_answers_has_let_us_wait_all_the_time(port: int) -> None:
    found = cache(port, timeout_seconds=1.0).waits()
    assert found["waited_ratio"] > 0.9
    assert found["longest_seconds"] > 0.3
    assert found["unanswered"] == 1.0


def test_a_server_that_is_not_there_is_unreachable_and_not_slow() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        gone = free.getsockname()[1]
    with pytest.raises(SourceUnreachable, match="no connection"):
        cache(gone).waits()
