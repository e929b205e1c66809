"""Raising the memory limit: by how much, with a note to take it back, and taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.guard import propose
from runbook_lib.actions.memory_limit import NOTE, RAISE_MEMORY_LIMIT
from runbook_lib.models.plan import Proposal
from tests.unit.actions.cluster_api import Cluster
from tests.unit.actions.situations import a_context


@pytest.fixture(autouse=True)
def limited(cluster: Cluster) -> None:
    give(cluster, {"limits": {"memory": "256Mi", "cpu": "1"}, "requests": {"memory": "128Mi"}})


def give(cluster: Cluster, resources: dict[str, Any]) -> None:
    cluster.objects["deployments", "orders"]["spec"]["template"]["spec"]["containers"][0]["resources"] = resources


def limit_of(cluster: Cluster) -> str:
    container = cluster.objects["deployments", "orders"]["spec"]["template"]["spec"]["containers"][0]
    return str(container["resources"]["limits"]["memory"])


def note_of(cluster: Cluster) -> dict[str, str]:
    annotations = cluster.objects["deployments", "orders"]["metadata"]["annotations"]
    found: dict[str, str] = json.loads(annotations.get(NOTE, "{}"))
    return found


def proposed(tmp_path: Path, api: ApiClient, **arguments: Any) -> Proposal:
    return propose(RAISE_MEMORY_LIMIT, a_context(tmp_path, api_client=api), **arguments)


def test_half_as_much_again_with_who_did_it_and_until_when(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = proposed(tmp_path, api)
    assert proposal.plan is not None
    assert (proposal.plan.before, proposal.plan.after) == ("limits.memory: 256Mi", "limits.memory: 384Mi")
    assert any("take it back by" in warning for warning in proposal.plan.warnings)
    assert any("scheduled by their request (128Mi)" in warning for warning in proposal.plan.warnings)
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert limit_of(cluster) == "384Mi"
    note = note_of(cluster)
    assert (note["from"], note["to"]) == ("256Mi", "384Mi")
    assert note["by"]
    assert note["at"] < note["until"]


def test_undo_gives_the_former_limit_back_and_takes_the_note_away(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = proposed(tmp_path, api, limit="512Mi")
    assert proposal.approve is not None
    proposal.approve(None)
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert limit_of(cluster) == "256Mi"
    assert note_of(cluster) == {}


def test_what_somebody_else_has_set_since_is_not_taken_back(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = proposed(tmp_path, api)
    assert proposal.approve is not None
    proposal.approve(None)
    give(cluster, {"limits": {"memory": "1Gi"}})
    assert proposal.undo is not None
    assert "changed again since" in proposal.undo().text
    assert limit_of(cluster) == "1Gi"


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("a lot", "a limit is a quantity"),
        ("128Mi", "would not raise it"),
        ("256Mi", "would not raise it"),
        ("2Gi", "more than four times"),
        ("-1Gi", "a limit is a quantity"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(
    tmp_path: Path, cluster: Cluster, api: ApiClient, limit: str, reason: str
) -> None:
    outcome = proposed(tmp_path, api, limit=limit).outcome
    assert outcome.status == "refused"
    assert reason in outcome.text
    assert cluster.writes() == []


def test_a_container_without_a_limit_has_none_to_raise(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    give(cluster, {})
    assert "has no memory limit to raise" in proposed(tmp_path, api).outcome.text


def test_a_service_that_is_down_may_be_rolled_out_whole(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    deployment = cluster.objects["deployments", "orders"]
    deployment["spec"]["strategy"] = {"type": "Recreate"}
    deployment["status"] = {"observedGeneration": deployment["metadata"]["generation"], "replicas": 3}
    plan = proposed(tmp_path, api).plan
    assert plan is not None
    assert (plan.risk, plan.uses["pods_at_once"]) == ("medium", 0)
    assert "none of which serves now" in plan.affects
