"""How many pods there are against how many there should be, in words that are right also where there are more."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.checks.availability import availability
from runbook_lib.checks.pods import pod_status
from runbook_lib.models.finding import Finding
from runbook_lib.models.frame import frame
from runbook_lib.testing import PODS, FakeCluster, Sick, context, fake_sources, pods, service

ENDPOINT_COLUMNS = ["address", "port", "ready", "pod", "node"]


def look(check: Any, *, minimum: int = 0, **cluster: Any) -> Finding:
    application = {"deployment": "shop", "selector": "app=shop", "kubernetes_service": "shop", "replicas_minimum": minimum}
    known = service(components={"application": application})
    finding: Finding = check(context(known, fake_sources(cluster=FakeCluster(**cluster))))
    return finding


def views(finding: Finding) -> dict[str, str]:
    table = dict(finding.tables)["Availability"]
    return dict(zip(table["seen by"], table["what it says"], strict=True))


@pytest.mark.parametrize(
    ("there", "replicas", "told", "reached"),
    [
        (PODS, 3, "3 of 3 pods are ready", "leads to 3 of 3 pods"),
        (PODS, 1, "3 pods are ready, and 1 is wanted", "leads to 3 pods, and 1 is wanted"),
        (PODS, 2, "3 pods are ready, and 2 are wanted", "leads to 3 pods, and 2 are wanted"),
        (PODS, 0, "3 pods are ready, and none is wanted", "leads to 3 pods, and none is wanted"),
        (PODS[:1], 0, "1 pod is ready, and none is wanted", "leads to 1 pod, and none is wanted"),
        ([], 0, "no pod is ready, and none is wanted", "leads to no pod, and none is wanted"),
        ([], 3, "0 of 3 pods are ready", "leads to 0 of 3 pods"),
    ],
)
def test_more_pods_than_are_wanted_are_no_share_of_them(there: list[str], replicas: int, told: str, reached: str) -> None:
    cluster = {"pods": pods(there), "deployment": {"replicas": replicas}}
    seen = look(availability, **cluster)
    assert views(seen)["pods"] == told
    assert views(seen)["endpoints"] == f"service shop {reached}"
    assert look(pod_status, **cluster).summary == f"{told}."


def test_pods_that_end_are_not_counted_whatever_the_endpoints_say() -> None:
    behind = frame([("10.0.0.1", 8080, True, pod, "node-1") for pod in PODS], columns=ENDPOINT_COLUMNS)
    ending = pods(only="shop-3", ready=True, state="terminating")
    seen = look(availability, pods=ending, deployment={"replicas": 2}, endpoints=behind)
    assert views(seen)["pods"] == "2 of 2 pods are ready"
    assert views(seen)["endpoints"] == "service shop leads to 2 of 2 pods"


def test_pods_that_end_are_not_missed_where_the_deployment_cannot_be_read() -> None:
    ending = pods(only="shop-3", ready=False, state="terminating")
    seen = look(availability, pods=ending, deployment=Sick("refused", "deployments are forbidden"))
    assert views(seen)["pods"] == "2 of 2 pods are ready"
