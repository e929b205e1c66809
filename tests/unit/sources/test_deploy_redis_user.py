"""The Redis user that docs/safety.md gives, on a real server: it sees what the checks need, and no value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from runbook_lib.service.models import RedisConnection
from runbook_lib.sources.redis import RedisCache
from runbook_lib.sources.redis_operator import RedisOperator
from tests.unit.sources.redis_fixtures import running

PAGE = Path(__file__).parents[3] / "docs" / "safety.md"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with running(tmp_path) as (server, port):
        command = re.search(r"ACL SETUSER runbook .*", PAGE.read_text(encoding="utf-8"))
        assert command is not None
        server.execute_command(*command[0].split())
        server.set("carts:1", "of somebody", ex=60)
        monkeypatch.setenv("CACHE_PASSWORD", "PASSWORD")
        yield f"redis://127.0.0.1:{port}/0"


def connection(url: str) -> RedisConnection:
    return RedisConnection.model_validate({"url": url, "username": "runbook", "password": "env:CACHE_PASSWORD"})


def test_it_sees_what_the_checks_and_the_actions_need(url: str) -> None:
    cache = RedisCache(connection(url))
    assert cache.probe().status == "ok"
    assert "emptied" in cache.traffic(every_seconds=0.01)
    for found in (cache.slow_log(), cache.latency_events(), cache.key_sample()):
        assert not found.attrs.get("denied"), found.attrs
    assert list(cache.key_sample()["keys"]) == ["carts:*"]
    assert cache.waits()["longest_seconds"] < 0.3
    operator = RedisOperator(connection(url))
    assert not operator.holds_writes()
    operator.set("maxmemory-policy", "allkeys-lru")
    assert operator.setting("maxmemory-policy") == "allkeys-lru"


def test_it_sees_that_writes_are_paused(url: str) -> None:
    short = connection(url).model_copy(update={"timeout_seconds": 1.0})
    with redis.Redis.from_url(url, protocol=2) as client:
        client.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
        try:
            found = RedisCache(short).waits()
            assert RedisOperator(short).holds_writes()
        finally:
            client.execute_command("CLIENT", "UNPAUSE")
    assert found["unanswered"] == 1.0
    assert found["longest_ping_seconds"] < 0.3


def test_it_reads_no_value_and_empties_nothing(url: str) -> None:
    with redis.Redis.from_url(url, username="runbook", password="PASSWORD", protocol=2) as client:
        for command in ("GET carts:1", "FLUSHALL", "DEL carts:1", "KEYS *", "SHUTDOWN NOSAVE", "ACL LIST"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command.split())
