"""A test pod asks the service once, says what it was told, and is gone afterwards, whatever happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.guard import propose
from runbook_lib.actions.test_pod import LABEL, RUN_TEST_POD
from runbook_lib.models.plan import Outcome, Proposal
from tests.unit.actions.cluster_api import Cluster
from tests.unit.actions.situations import a_context, a_service

ASKED = "http://orders:8080/health"


def ended(code: int, message: str = "") -> dict[str, Any]:
    times = {"startedAt": "2026-03-01T04:00:01Z", "finishedAt": "2026-03-01T04:00:03Z"}
    state = {"terminated": {"exitCode": code, "message": message, **times}}
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"name": "test", "state": state}]}


def proposed(folder: Path, api: ApiClient, url: str | None = None, **fields: Any) -> Proposal:
    context = a_context(folder, api_client=api, **{"service": a_service(kubernetes_service="orders"), **fields})
    return propose(RUN_TEST_POD, context, url=url)


def done(folder: Path, api: ApiClient) -> Outcome:
    proposal = proposed(folder, api)
    assert proposal.approve is not None, proposal.outcome.text
    return proposal.approve(None)


def left(cluster: Cluster) -> list[str]:
    pods = [(name, one) for (kind, name), one in cluster.objects.items() if kind == "pods"]
    return [name for name, one in pods if LABEL in one["metadata"].get("labels", {})]


@pytest.fixture(autouse=True)
def a_service_with_a_name(cluster: Cluster) -> None:
    cluster.put("services", "orders", spec={"ports": [{"name": "metrics", "port": 9100}, {"name": "http", "port": 8080}]})


def test_it_asks_the_health_behind_the_name_of_the_service(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = proposed(tmp_path, api)
    assert proposal.plan is not None
    assert proposal.plan.risk == "low"
    assert proposal.plan.command.startswith("kubectl -n shop run runbook-test-") and ASKED in proposal.plan.command  # noqa: PT018
    assert left(cluster) == []


def test_an_answer_is_told_and_the_pod_removed(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.becomes = ended(0)
    outcome = done(tmp_path, api)
    assert outcome.status == "executed", outcome.text
    assert f"was answered by {ASKED} within 2 s; the pod is removed" in " ".join(outcome.steps)
    assert left(cluster) == []


@pytest.mark.parametrize("code", [0, 1])
def test_a_proxy_that_a_mesh_puts_beside_it_changes_nothing(tmp_path: Path, cluster: Cluster, api: ApiClient, code: int) -> None:
    proxy = {"name": "istio-proxy", "state": {"running": {}}}
    once = {"name": "istio-validation", "state": {"terminated": {"exitCode": 1 - code}}}
    cluster.becomes = ended(code) | {"phase": "Running"}
    cluster.becomes["containerStatuses"][:0] = [proxy, once]
    told = " ".join(done(tmp_path, api).steps)
    assert f"was {'not ' if code else ''}answered by {ASKED}" in told
    assert "no answer within" not in told
    assert left(cluster) == []


def test_no_answer_is_a_result_with_the_last_words_and_no_failure(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.becomes = ended(1, "wget: download timed out\n")
    outcome = done(tmp_path, api)
    assert outcome.status == "executed", outcome.text
    assert "was not answered" in " ".join(outcome.steps)
    assert "wget: download timed out (exit 1)" in " ".join(outcome.steps)
    assert left(cluster) == []


def test_a_pod_that_does_not_start_is_given_up_and_removed(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    cluster.becomes = {"phase": "Pending", "containerStatuses": [{"name": "test", "state": {"waiting": waiting}}]}
    outcome = done(tmp_path, api)
    assert "no answer within 30 s: ImagePullBackOff: no such image" in " ".join(outcome.steps)
    assert left(cluster) == []


def test_a_pod_is_removed_when_the_waiting_is_broken_off(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    proposal = proposed(tmp_path, api, progress=interrupted)
    assert proposal.approve is not None
    with pytest.raises(KeyboardInterrupt):
        proposal.approve(None)
    assert left(cluster) == []


def test_what_an_earlier_test_left_is_shown_and_removed_but_no_running_one(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    for name, phase in (("runbook-test-old", "Failed"), ("runbook-test-running", "Running")):
        cluster.put("pods", name, metadata={"labels": {LABEL: "orders"}}, spec={"containers": []}, status={"phase": phase})
    cluster.becomes = ended(0)
    proposal = proposed(tmp_path, api)
    assert proposal.plan is not None
    assert "runbook-test-old" in proposal.plan.before
    assert proposal.approve is not None
    proposal.approve(None)
    assert left(cluster) == ["runbook-test-running"]


def test_a_quota_refuses_it_before_anything_is_made(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.fails["POST pods"] = "quota"
    outcome = proposed(tmp_path, api).outcome
    assert outcome.status == "refused"
    assert "exceeded quota" in outcome.text
    assert left(cluster) == []


def test_a_service_without_a_name_in_the_cluster_has_to_be_told_what_to_ask(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    outcome = proposed(tmp_path, api, service=a_service()).outcome
    assert "names no kubernetes_service" in outcome.text
    assert proposed(tmp_path, api, ASKED, service=a_service()).plan is not None


def test_the_pod_is_one_that_a_restricted_namespace_takes(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    plan = proposed(tmp_path, api).plan
    assert plan is not None
    spec = plan.arguments["manifest"]["spec"]
    [container] = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert spec["activeDeadlineSeconds"] == 60
    assert container["resources"]["limits"]


def test_in_istio_the_request_waits_for_the_proxy(tmp_path: Path, api: ApiClient) -> None:
    plan = proposed(tmp_path, api).plan
    assert plan is not None
    told = plan.arguments["manifest"]["metadata"]["annotations"]["proxy.istio.io/config"]
    assert json.loads(told) == {"holdApplicationUntilProxyStarts": True}
