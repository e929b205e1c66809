"""Circuit breakers and feature flags: every pod is told, and each that was is taken back when one cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.circuit_breaker import CLOSE_CIRCUIT_BREAKER, OPEN_CIRCUIT_BREAKER, breaker_state
from runbook_lib.actions.feature_flag import DISABLE_FEATURE_FLAG, flag_state
from runbook_lib.actions.guard import propose
from runbook_lib.actions.interface import ActionContext
from runbook_lib.models.plan import Plan, Proposal
from runbook_lib.service import Service
from tests.unit.actions.admin_server import TOKEN, Pod, listening
from tests.unit.actions.cluster_api import Cluster
from tests.unit.actions.situations import a_context, a_diagnosis, a_service


@pytest.fixture
def pods(cluster: Cluster) -> Iterator[list[Pod]]:
    """Three pods of the deployment, each listening on a port of its own."""
    with ExitStack() as stack:
        found = [stack.enter_context(listening(Pod())) for _ in range(3)]
        names = [name for plural, name in cluster.objects if plural == "pods"]
        for name, pod in zip(names, found, strict=True):
            cluster.objects["pods", name]["spec"]["containers"][0]["ports"] = [{"containerPort": pod.port}]
        yield found


@pytest.fixture
def context(tmp_path: Path, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> ActionContext:
    monkeypatch.setenv("ORDERS_ADMIN_TOKEN", TOKEN)
    return a_context(tmp_path, api_client=api, service=with_breaker())


def with_breaker(*names: str) -> Service:
    fields = a_service(feature_flag_path="/admin/features/{name}/disable").model_dump(exclude_unset=True)
    breaker = {
        "status_path": "/admin/circuit-breaker-status",
        "open_path": "/admin/circuit-breaker/open?name={name}",
        "close_path": "/admin/circuit-breaker/close?name={name}",
        "token": "env:ORDERS_ADMIN_TOKEN",
    }
    downstream = [{"name": name, "circuit_breaker": breaker} for name in names or ("payments",)]
    connections = fields["connections"] | {"http": {"bearer_token": "env:ORDERS_ADMIN_TOKEN"}}
    return Service.model_validate(fields | {"dependencies": {"downstream": downstream}, "connections": connections})


def plan_of(proposal: Proposal) -> Plan:
    assert proposal.plan is not None, proposal.outcome.text
    return proposal.plan


def test_the_breaker_is_opened_on_every_pod_and_closed_again(context: ActionContext, pods: list[Pod]) -> None:
    proposal = propose(OPEN_CIRCUIT_BREAKER, context)
    plan = plan_of(proposal)
    assert 'curl -fsS -X POST -H "Authorization: Bearer $TOKEN" \'http://127.0.0.1:' in plan.command
    assert TOKEN not in plan.command
    assert plan.before.count(": closed") == 3
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert [pod.breaker for pod in pods] == ["open", "open", "open"]
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert [pod.breaker for pod in pods] == ["closed", "closed", "closed"]
    assert TOKEN not in context.audit.path.read_text()


def test_when_one_pod_cannot_be_told_the_others_are_taken_back(context: ActionContext, pods: list[Pod]) -> None:
    proposal = propose(OPEN_CIRCUIT_BREAKER, context)
    pods[2].dead = True
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "failed"
    assert [pod.breaker for pod in pods] == ["closed", "closed", "closed"]
    assert [step.rpartition(" ")[2] for step in outcome.steps[-2:]] == ["back", "back"]
    assert outcome.steps[-2:] == tuple(reversed([step.replace("done", "taken back") for step in outcome.steps[:2]]))


def test_a_breaker_that_is_open_already_is_not_opened(context: ActionContext, pods: list[Pod]) -> None:
    for pod in pods:
        pod.breaker = "open"
    assert "open already" in propose(OPEN_CIRCUIT_BREAKER, context).outcome.text
    assert plan_of(propose(CLOSE_CIRCUIT_BREAKER, context)).risk == "low"


def test_a_state_or_pod_that_changed_since_the_plan_makes_it_stale(
    context: ActionContext, pods: list[Pod], cluster: Cluster
) -> None:
    proposal = propose(OPEN_CIRCUIT_BREAKER, context)
    pods[0].breaker = "open"
    assert proposal.approve is not None
    assert "the plan saw closed" in proposal.approve(None).text
    pods[0].breaker = "closed"
    name = next(name for plural, name in cluster.objects if plural == "pods")
    cluster.objects["pods", name]["metadata"]["uid"] = "another"
    assert "not the same" in proposal.approve(None).text
    assert not any(pod.posts for pod in pods)


def test_the_dependency_that_the_confirmed_cause_names_is_meant(
    tmp_path: Path, api: ApiClient, pods: list[Pod], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_ADMIN_TOKEN", TOKEN)
    service = with_breaker("inventory", "payments")
    unclear = propose(OPEN_CIRCUIT_BREAKER, a_context(tmp_path, api_client=api, service=service)).outcome
    assert "with one: inventory, payments" in unclear.text
    diagnosis = a_diagnosis(action="open_circuit_breaker", subject="payments")
    clear = propose(OPEN_CIRCUIT_BREAKER, a_context(tmp_path, api_client=api, service=service, diagnosis=diagnosis))
    assert str(plan_of(clear).target) == "circuit-breaker/payments"
    named = propose(OPEN_CIRCUIT_BREAKER, a_context(tmp_path, api_client=api, service=service), name="payments")
    assert str(plan_of(named).target) == "circuit-breaker/payments"


def test_a_feature_is_switched_off_and_on_again(context: ActionContext, pods: list[Pod]) -> None:
    proposal = propose(DISABLE_FEATURE_FLAG, context, name="discounts")
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert [pod.features["discounts"] for pod in pods] == [False, False, False]
    assert "disabled already" in propose(DISABLE_FEATURE_FLAG, context, name="discounts").outcome.text
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert [pod.features["discounts"] for pod in pods] == [True, True, True]


def test_without_a_name_the_features_that_are_on_are_named(context: ActionContext, pods: list[Pod]) -> None:
    outcome = propose(DISABLE_FEATURE_FLAG, context).outcome
    assert (outcome.status, pods[0].features) == ("refused", {"discounts": True})
    assert "on are: discounts" in outcome.text
    assert 'disable_feature_flag(name="discounts")' in outcome.text


def test_a_token_that_is_not_set_refuses_and_says_which(
    context: ActionContext, pods: list[Pod], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORDERS_ADMIN_TOKEN")
    outcome = propose(OPEN_CIRCUIT_BREAKER, context).outcome
    assert outcome.status == "refused"
    assert "ORDERS_ADMIN_TOKEN" in outcome.text


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"payments": {"state": "closed"}}, "closed"),
        ({"payments": "HALF-OPEN"}, "half_open"),
        ({"circuitBreakers": {"payments": {"state": "FORCED_OPEN"}}}, "open"),
        ({"inventory": {"state": "open"}}, None),
        ("<html>", None),
    ],
)
def test_the_state_of_a_breaker_is_found_in_the_usual_answers(answer: Any, state: str | None) -> None:
    assert breaker_state(answer, "payments") == state


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"discounts": True}, "enabled"),
        ({"features": {"discounts": {"enabled": False}}}, "disabled"),
        ({"other": True}, None),
        ([], None),
    ],
)
def test_the_state_of_a_feature_is_found_in_the_usual_answers(answer: Any, state: str | None) -> None:
    assert flag_state(answer, "discounts") == state
