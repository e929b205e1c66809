"""A write whose answer was lost: looked for, told as what it is, and taken back when it was not meant to stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.guard import propose
from runbook_lib.actions.interface import Action
from runbook_lib.actions.pool_size import RAISE_POOL_SIZE
from runbook_lib.actions.restart import RESTART_PODS
from runbook_lib.actions.rollback import ROLLBACK_DEPLOYMENT
from runbook_lib.models.plan import Outcome, Proposal
from tests.unit.actions.cluster_api import Cluster
from tests.unit.actions.situations import Clock, a_context, a_diagnosis

BLAMED = a_diagnosis(action="rollback_deployment", subject="deployment/orders revision 14")


def image(cluster: Cluster) -> str:
    spec = cluster.objects["deployments", "orders"]["spec"]["template"]["spec"]
    return str(spec["containers"][0]["image"])


def pool_size(cluster: Cluster) -> str:
    return str(cluster.objects["configmaps", "orders-config"]["data"]["DATABASE_POOL_SIZE"])


def restarted(cluster: Cluster) -> bool:
    metadata = cluster.objects["deployments", "orders"]["spec"]["template"]["metadata"]
    return bool(metadata.get("annotations"))


def lands(cluster: Cluster, clock: Clock, *, after: int) -> Any:
    """A sleep during whose `after`th call a held write arrives."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        slept.append(seconds)
        if len(slept) == after:
            cluster.held.pop()()

    return sleep


def approved(action: Action, context: Any, cluster: Cluster, *, how: str) -> tuple[Proposal, Outcome]:
    proposal = propose(action, context)
    cluster.fails["PATCH deployments"] = how
    assert proposal.approve is not None
    return proposal, proposal.approve(None)


def test_a_write_that_lands_some_seconds_after_its_answer_was_lost_is_done(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    clock = Clock()
    context = a_context(tmp_path, api_client=api, clock=clock, diagnosis=BLAMED)
    context = replace(context, sleep=lands(cluster, clock, after=3))
    _, outcome = approved(ROLLBACK_DEPLOYMENT, context, cluster, how="late")
    assert (outcome.status, outcome.effect) == ("executed", "better")
    assert image(cluster) == "orders:2"
    assert len(cluster.writes()) == 1


def test_a_write_that_is_not_seen_to_land_is_not_known_and_never_called_not_done(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    clock = Clock()
    context = a_context(tmp_path, api_client=api, clock=clock, diagnosis=BLAMED)
    started = clock.now
    proposal, outcome = approved(ROLLBACK_DEPLOYMENT, context, cluster, how="late")
    assert 5 < (clock.now - started).total_seconds() < 60
    assert (outcome.status, outcome.effect) == ("failed", "unknown")
    assert "unfinished at its first step" in outcome.text
    assert "not done" not in outcome.text
    assert "the change may have been made, and may still be" in outcome.effect_text
    told = context.audit.entries()[-1]
    assert (told.event, told["effect"], told["unfinished"]) == ("outcome", "unknown", True)
    again = propose(ROLLBACK_DEPLOYMENT, context).plan
    assert again is not None
    assert "what came of it is not known" in again.warnings[-1]
    cluster.held.pop()()
    assert image(cluster) == "orders:2"
    del cluster.fails["PATCH deployments"]
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert image(cluster) == "orders:3"


def test_a_step_that_may_still_land_is_told_as_unfinished_and_those_before_it_are_taken_back(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    _, outcome = approved(RAISE_POOL_SIZE, a_context(tmp_path, api_client=api), cluster, how="late")
    assert outcome.status == "failed"
    assert "unfinished at step 2 of 2" in outcome.text
    assert outcome.text.endswith("look at it by hand; what was done before was taken back")
    assert "could not be taken back: it was not seen to arrive, and may still" in outcome.steps[2]
    assert pool_size(cluster) == "10"


def test_a_step_that_landed_after_all_is_taken_back_with_those_before_it(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    def lands_and_is_interrupted(_: float) -> None:
        cluster.held.pop()()
        assert restarted(cluster)
        cluster.fails.clear()
        raise KeyboardInterrupt

    context = replace(a_context(tmp_path, api_client=api), sleep=lands_and_is_interrupted)
    proposal, outcome = approved(RAISE_POOL_SIZE, context, cluster, how="late")
    assert outcome.text.endswith("it had arrived, and was taken back; what was done before was taken back")
    assert not restarted(cluster)
    assert pool_size(cluster) == "10"
    assert proposal.undo is None


def test_a_lost_answer_of_what_cannot_be_taken_back_is_not_known_either(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    context = a_context(tmp_path, api_client=api)
    proposal, outcome = approved(RESTART_PODS, context, cluster, how="late")
    assert outcome.text.endswith("look at it by hand")
    assert context.audit.entries()[-1]["unfinished"]
    assert proposal.undo is None


@pytest.mark.parametrize(("how", "status"), [("500", "failed"), ("429", "refused")])
def test_what_the_server_itself_says_it_did_not_do_is_not_done(
    tmp_path: Path, cluster: Cluster, api: ApiClient, how: str, status: str
) -> None:
    context = a_context(tmp_path, api_client=api)
    _, outcome = approved(RESTART_PODS, context, cluster, how=how)
    assert outcome.status == status
    assert "not known" not in outcome.text + outcome.effect_text
    assert not context.audit.entries()[-1]["unfinished"]


def test_a_write_that_was_never_sent_is_refused_and_nothing_is_waited_for(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    clock = Clock()

    def away(_: str) -> None:
        api.configuration.host = "http://127.0.0.1:1"

    context = replace(a_context(tmp_path, api_client=api, clock=clock), progress=away)
    started = clock.now
    _, outcome = approved(RESTART_PODS, context, cluster, how="")
    assert outcome.status == "refused"
    assert "does not accept connections" in outcome.text
    assert clock.now == started
