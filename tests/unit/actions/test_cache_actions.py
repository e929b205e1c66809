"""The cache: what it throws out when it is full, and filling it by the service's own endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runbook_lib.actions.cache_warming import WARM_CACHE
from runbook_lib.actions.eviction_policy import SET_EVICTION_POLICY
from runbook_lib.actions.guard import propose
from runbook_lib.errors import SourceAnswerInvalid
from runbook_lib.service import Service
from tests.unit.actions.admin_server import TOKEN, Pod, listening
from tests.unit.actions.situations import a_context, a_service


@dataclass
class Redis:
    """Its settings; `closed` refuses CONFIG SET, as hosted ones do."""

    settings: dict[str, str] = field(default_factory=lambda: {"maxmemory-policy": "noeviction"})
    closed: bool = False

    def setting(self, name: str) -> str:
        return self.settings[name]

    def set(self, name: str, value: str) -> None:
        if self.closed:
            raise SourceAnswerInvalid("redis", "unknown command CONFIG")
        self.settings[name] = value


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


def test_a_redis_without_config_fails_and_says_so(tmp_path: Path) -> None:
    proposal = propose(SET_EVICTION_POLICY, a_context(tmp_path, cache=Redis(closed=True)))
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "failed"
    assert "unknown command CONFIG" in outcome.text


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


def test_without_a_path_the_field_is_named(tmp_path: Path) -> None:
    assert "components.cache.warm_path" in propose(WARM_CACHE, a_context(tmp_path)).outcome.text
