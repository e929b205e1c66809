"""The cache: what it throws out when it is full, and filling it by the service's own endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.actions.cache_memory import RAISE_CACHE_MEMORY
from runbook_lib.actions.cache_warming import WARM_CACHE
from runbook_lib.actions.eviction_policy import SET_EVICTION_POLICY
from runbook_lib.actions.guard import propose
from runbook_lib.errors import SourceRefused
from runbook_lib.models.frame import Frame
from runbook_lib.service import Service
from runbook_lib.testing import key_families
from tests.unit.actions.admin_server import TOKEN, Pod, listening
from tests.unit.actions.situations import a_context, a_service


@dataclass
class Redis:
    """Its settings, what INFO adds to them, and its keys; `closed` refuses CONFIG SET, `hosted` all of CONFIG, `paused` holds
    writes up; `sick`: what it says instead of INFO."""

    settings: dict[str, str] = field(default_factory=lambda: {"maxmemory-policy": "noeviction"})
    told: dict[str, Any] = field(default_factory=dict)
    keys: Frame | None = None
    closed: bool = False
    hosted: bool = False
    paused: bool = False
    sick: str = ""

    def setting(self, name: str) -> str:
        if self.hosted:
            raise SourceRefused("redis", "this Redis has no command CONFIG, as hosted ones have none")
        return self.settings[name]

    def set(self, name: str, value: str) -> None:
        if self.closed:
            raise SourceRefused("redis", "this user has no permissions to run the 'config|set' command")
        self.settings[name] = value

    def info(self) -> dict[str, Any]:
        if self.sick:
            raise SourceRefused("redis", self.sick)
        full = {"used_memory": 64 * 2**20, "maxmemory": 64 * 2**20, "used_memory_startup": 2**20}
        return {**full, "maxmemory_policy": self.settings["maxmemory-policy"], **self.told}

    def holds_writes(self) -> bool:
        return self.paused

    def key_sample(self) -> Frame:
        if self.keys is None:
            raise SourceRefused("redis", "NOPERM")
        return self.keys


def test_a_full_cache_evicts_the_least_used_and_not_for_ever(tmp_path: Path) -> None:
    redis = Redis()
    proposal = propose(SET_EVICTION_POLICY, a_context(tmp_path, cache=redis))
    assert proposal.plan is not None
    assert (proposal.plan.before, proposal.plan.after) == ("maxmemory-policy: noeviction", "maxmemory-policy: allkeys-lru")
    assert any("is this Redis a cache only?" in warning for warning in proposal.plan.warnings)
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert redis.settings["maxmemory-policy"] == "allkeys-lru"
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert redis.settings["maxmemory-policy"] == "noeviction"


@pytest.mark.parametrize(
    ("policy", "said"), [("lru", "there is no policy 'lru'"), ("noeviction", "Redis evicts by noeviction already")]
)
def test_a_policy_that_changes_nothing_is_refused(tmp_path: Path, policy: str, said: str) -> None:
    assert said in propose(SET_EVICTION_POLICY, a_context(tmp_path, cache=Redis()), policy=policy).outcome.text


def test_without_a_cache_the_field_is_named(tmp_path: Path) -> None:
    assert "connections.redis" in propose(SET_EVICTION_POLICY, a_context(tmp_path)).outcome.text


def test_a_user_who_may_not_set_it_changes_nothing_and_is_told_what_to_do(tmp_path: Path) -> None:
    proposal = propose(SET_EVICTION_POLICY, a_context(tmp_path, cache=Redis(closed=True)))
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "refused"
    assert "no permissions" in outcome.text
    assert "Let this user run CONFIG" in outcome.text


def test_a_hosted_redis_is_changed_at_its_provider(tmp_path: Path) -> None:
    outcome = propose(SET_EVICTION_POLICY, a_context(tmp_path, cache=Redis(hosted=True))).outcome
    assert outcome.status == "refused"
    assert "aws elasticache modify-cache-parameter-group" in outcome.text


LOWERED = {"used_memory": 2**20, "maxmemory": 2**20, "used_memory_peak": 3 * 2**20, "total_system_memory": 2**33}


def test_a_maximum_that_was_lowered_is_raised_to_twice_what_was_held_and_lowered_again(tmp_path: Path) -> None:
    redis = Redis(settings={"maxmemory": str(2**20), "maxmemory-policy": "noeviction"}, told=LOWERED)
    proposal = propose(RAISE_CACHE_MEMORY, a_context(tmp_path, cache=redis))
    assert proposal.plan is not None
    assert proposal.plan.command == f"redis-cli config set maxmemory {6 * 2**20}"
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert redis.settings["maxmemory"] == str(6 * 2**20)
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert redis.settings["maxmemory"] == str(2**20)


@pytest.mark.parametrize(
    ("told", "megabytes", "said"),
    [
        ({"maxmemory": 0}, None, "no maximum of memory"),
        ({}, 32, "would not be more"),
        ({"total_system_memory": 100 * 2**20}, None, "more than half of the machine"),
    ],
)
def test_a_maximum_that_cannot_be_raised_is_refused(tmp_path: Path, told: dict[str, Any], megabytes: int, said: str) -> None:
    redis = Redis(settings={"maxmemory": str(64 * 2**20), "maxmemory-policy": "noeviction"}, told=told)
    assert said in propose(RAISE_CACHE_MEMORY, a_context(tmp_path, cache=redis), megabytes=megabytes).outcome.text


CACHED = {"keys": "prices:*", "sampled": 60, "bytes": 600_000}
QUEUE = {"keys": "jobs:*", "sampled": 20, "bytes": 200_000, "without_expiry": 20, "types": "stream"}
FOREIGN = {"keys": "reports:*", "sampled": 100, "bytes": 9_000_000, "without_expiry": 100}


def warnings_of(tmp_path: Path, redis: Redis, **arguments: str) -> str:
    plan = propose(SET_EVICTION_POLICY, a_context(tmp_path, cache=redis), **arguments).plan
    assert plan is not None
    return "; ".join(plan.warnings)


def test_where_what_expires_makes_room_enough_the_rest_is_spared(tmp_path: Path) -> None:
    redis = Redis(keys=key_families(CACHED, QUEUE), told={"db0": {"keys": 80, "expires": 60}})
    plan = propose(SET_EVICTION_POLICY, a_context(tmp_path, cache=redis)).plan
    assert plan is not None
    assert plan.after == "maxmemory-policy: volatile-lru"
    assert not any("never expire" in warning for warning in plan.warnings)


def test_keys_that_never_expire_and_queues_are_told_with_numbers(tmp_path: Path) -> None:
    redis = Redis(keys=key_families(FOREIGN, CACHED, QUEUE), told={"db0": {"keys": 18_000, "expires": 6_000}})
    told = warnings_of(tmp_path, redis)
    assert "12,000 of 18,000 keys never expire (reports:*: string, jobs:*: stream)" in told
    assert "jobs:* hold lists or streams" in told
    assert "queue" not in warnings_of(tmp_path, redis, policy="volatile-lru")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"config_file": "/etc/redis.conf"}, "`redis-cli config rewrite` would keep it in /etc/redis.conf"),
        ({"config_file": ""}, "no configuration file to keep it in"),
        ({"cluster_enabled": 1}, "one node of a Redis Cluster"),
    ],
)
def test_for_how_long_and_for_whom_it_holds_is_told(tmp_path: Path, told: dict[str, Any], said: str) -> None:
    assert said in warnings_of(tmp_path, Redis(told=told))


@pytest.mark.parametrize(
    ("told", "policy", "said"),
    [
        ({"role": "slave"}, None, "this Redis is a replica"),
        ({"db0": {"keys": 9, "expires": 0}}, "volatile-ttl", "none of the 9 keys expires"),
        ({"maxmemory": 1000}, None, "an empty Redis uses 1 MiB and maxmemory is 1000 B: nothing makes room"),
    ],
)
def test_a_policy_that_would_make_no_room_is_refused(tmp_path: Path, told: dict[str, Any], policy: str | None, said: str) -> None:
    outcome = propose(SET_EVICTION_POLICY, a_context(tmp_path, cache=Redis(told=told)), policy=policy).outcome
    assert outcome.status == "refused"
    assert said in outcome.text


# --- warming


@pytest.fixture
def pod() -> Iterator[Pod]:
    with listening(Pod()) as found:
        yield found


def warmed(pod: Pod) -> Service:
    fields = a_service(url=f"http://127.0.0.1:{pod.port}").model_dump(exclude_unset=True)
    components = fields["components"] | {"cache": {"warm_path": "/admin/features/cache/enable"}}
    connections = fields["connections"] | {"http": {"bearer_token": "env:ORDERS_ADMIN_TOKEN"}}
    return Service.model_validate(fields | {"components": components, "connections": connections})


def test_the_service_is_asked_once_to_fill_its_cache(tmp_path: Path, pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_ADMIN_TOKEN", TOKEN)
    proposal = propose(WARM_CACHE, a_context(tmp_path, service=warmed(pod)))
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert pod.posts == ["/admin/features/cache/enable"]
    assert proposal.undo is None


def test_a_cache_that_would_keep_nothing_is_not_filled(tmp_path: Path, pod: Pod) -> None:
    outcome = propose(WARM_CACHE, a_context(tmp_path, service=warmed(pod), cache=Redis())).outcome
    assert outcome.status == "refused"
    assert "Let it evict first: set_eviction_policy" in outcome.text
    assert pod.posts == []


ROOMY = {"used_memory": 2**20}


@pytest.mark.parametrize(
    ("redis", "said"),
    [
        (
            Redis(told={**ROOMY, "role": "slave", "master_host": "10.0.0.7"}),
            "Redis is a replica of 10.0.0.7, which takes no writes",
        ),
        (Redis(told={**ROOMY, "rdb_last_bgsave_status": "err", "stops_writes": 1}), "Redis cannot save"),
        (Redis(told={**ROOMY, "ping_refused": "MISCONF Redis is configured to save"}), "Redis refuses what it is asked (MISCONF"),
        (Redis(told=ROOMY, paused=True), "client unpause"),
        (Redis(sick="ResponseError: BUSY Redis is busy running a script"), "Redis refuses what it is asked (BUSY"),
    ],
)
def test_a_cache_that_takes_no_writes_is_not_filled(tmp_path: Path, pod: Pod, redis: Redis, said: str) -> None:
    outcome = propose(WARM_CACHE, a_context(tmp_path, service=warmed(pod), cache=redis)).outcome
    assert outcome.status == "refused"
    assert said in outcome.text
    assert pod.posts == []


def test_a_cache_that_refuses_our_user_alone_may_be_filled_by_the_service(
    tmp_path: Path, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_ADMIN_TOKEN", TOKEN)
    plan = propose(WARM_CACHE, a_context(tmp_path, service=warmed(pod), cache=Redis(sick="Authentication required."))).plan
    assert plan is not None
    assert any("how full the cache is is not known" in warning for warning in plan.warnings)


def test_without_a_path_the_field_is_named(tmp_path: Path) -> None:
    assert "components.cache.warm_path" in propose(WARM_CACHE, a_context(tmp_path)).outcome.text
