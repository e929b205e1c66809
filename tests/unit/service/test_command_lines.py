"""The commands that a report shows reach the service's own systems when they are typed, and hold no password."""

from __future__ import annotations

import pytest

from runbook_lib.service.connections import RedisConnection


@pytest.mark.parametrize(
    ("url", "fields", "told"),
    [
        ("redis://cache:6380/2", {}, "redis-cli -h cache -p 6380 -n 2"),
        ("rediss://cache", {"username": "ops", "password": "env:P"}, "redis-cli -h cache -p 6379 --tls --user ops --askpass"),
        ("unix:///run/redis.sock", {}, "redis-cli -s /run/redis.sock"),
        ("env:NOT_SET_ANYWHERE", {}, "redis-cli"),
    ],
)
def test_a_command_for_redis_has_its_address(url: str, fields: dict[str, str], told: str) -> None:
    assert RedisConnection.model_validate({"url": url, **fields}).command_line() == told


def test_a_password_in_the_url_is_asked_for_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_URL", "redis://:hunter2@cache/0")
    assert RedisConnection.model_validate({"url": "env:CACHE_URL"}).command_line() == "redis-cli -h cache -p 6379 --askpass"
