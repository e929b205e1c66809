"""For how long the cache keeps an entry: changed where it is set, in the form that it has there, and taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.cache_ttl import SET_CACHE_TTL
from runbook_lib.actions.guard import propose
from runbook_lib.actions.interface import ActionContext
from runbook_lib.service import Service
from tests.unit.actions.cluster_api import Cluster, template
from tests.unit.actions.situations import a_context, a_service


def a_service_with(**lifetime: Any) -> Service:
    fields = a_service().model_dump(exclude_unset=True)
    cache = {"lifetime": {"key": "CACHE_TTL", "usual_seconds": 600, **lifetime}}
    return Service.model_validate(fields | {"components": fields["components"] | {"cache": cache}})


def context(tmp_path: Path, api: ApiClient, **lifetime: Any) -> ActionContext:
    return a_context(tmp_path, api_client=api, service=a_service_with(**lifetime))


def data_of(cluster: Cluster) -> dict[str, str]:
    data: dict[str, str] = cluster.objects["configmaps", "orders-config"]["data"]
    return data


@pytest.fixture
def short(cluster: Cluster) -> Cluster:
    """The lifetime is 5 in the config map."""
    data_of(cluster)["CACHE_TTL"] = "5"
    return cluster


def test_entries_get_the_life_that_the_service_is_designed_for_and_their_old_one_back(
    tmp_path: Path, short: Cluster, api: ApiClient
) -> None:
    proposal = propose(SET_CACHE_TTL, context(tmp_path, api))
    plan = proposal.plan
    assert plan is not None, proposal.outcome.text
    assert (plan.before, plan.after) == ("CACHE_TTL: 5", "CACHE_TTL: 600")
    assert "rollout restart deployment/orders" in plan.command
    assert "entries that are kept already live on for as long as they were given" in plan.warnings
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert data_of(short)["CACHE_TTL"] == "600"
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert data_of(short)["CACHE_TTL"] == "5"


@pytest.mark.parametrize(
    ("present", "lifetime", "seconds", "value"),
    [
        ("5s", {}, None, "10m"),
        ("1m30s", {}, 7200, "2h"),
        ("10m", {}, 0.5, "500ms"),
        ("5000", {"unit_seconds": 0.001}, None, "600000"),
        ("1", {"unit_seconds": 60}, None, "10"),
        ("0.5", {"unit_seconds": 60}, 90, "1.5"),
    ],
)
def test_it_is_written_in_the_form_that_it_has(
    tmp_path: Path, short: Cluster, api: ApiClient, present: str, lifetime: dict[str, Any], seconds: float | None, value: str
) -> None:
    data_of(short)["CACHE_TTL"] = present
    plan = propose(SET_CACHE_TTL, context(tmp_path, api, **lifetime), seconds=seconds).plan
    assert plan is not None
    assert plan.after == f"CACHE_TTL: {value}"


@pytest.mark.parametrize(
    ("present", "lifetime", "arguments", "said"),
    [
        ("600", {}, {}, "entries live for 10 min already"),
        ("soon", {}, {}, "should be a number or a duration such as 10m; found 'soon'"),
        ("5", {"usual_seconds": None}, {}, "components.cache.lifetime.usual_seconds"),
        ("5", {}, {"seconds": 0}, "longer than 0 s"),
        ("5", {"unit_seconds": 60}, {"seconds": 90}, "Choose a multiple of 60 s"),
        ("5", {"key": "CACHE_LIFE"}, {}, "has no key CACHE_LIFE"),
    ],
)
def test_what_cannot_be_set_is_refused_with_the_mend(
    tmp_path: Path, short: Cluster, api: ApiClient, present: str, lifetime: dict[str, Any], arguments: dict[str, Any], said: str
) -> None:
    data_of(short)["CACHE_TTL"] = present
    outcome = propose(SET_CACHE_TTL, context(tmp_path, api, **lifetime), **arguments).outcome
    assert outcome.status == "refused"
    assert said in outcome.text


def test_a_variable_of_the_pod_template_wins_over_the_config_map(tmp_path: Path, short: Cluster, api: ApiClient) -> None:
    short.objects["deployments", "orders"]["spec"]["template"] = template(env=[{"name": "CACHE_TTL", "value": "7"}])
    plan = propose(SET_CACHE_TTL, context(tmp_path, api)).plan
    assert plan is not None
    assert plan.command == "kubectl -n shop set env deployment/orders CACHE_TTL=600"
    assert plan.before == "CACHE_TTL: 7"


def test_a_lifetime_that_was_changed_since_is_not_taken_back(tmp_path: Path, short: Cluster, api: ApiClient) -> None:
    proposal = propose(SET_CACHE_TTL, context(tmp_path, api))
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    data_of(short)["CACHE_TTL"] = "900"
    assert proposal.undo is not None
    assert "changed again since" in proposal.undo().text


def test_without_a_lifetime_in_the_service_file_the_field_is_named(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    assert "components.cache.lifetime.key" in propose(SET_CACHE_TTL, a_context(tmp_path, api_client=api)).outcome.text


def test_a_lifetime_that_the_next_sync_takes_back_is_left_to_a_person(tmp_path: Path, short: Cluster, api: ApiClient) -> None:
    short.objects["configmaps", "orders-config"]["metadata"]["labels"] = {"argocd.argoproj.io/instance": "shop"}
    plan = propose(SET_CACHE_TTL, context(tmp_path, api)).plan
    assert plan is not None
    assert "configmap/orders-config is kept by Argo CD" in plan.unattended[0]
