"""Which pods the taints of a node drive out, and when."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook_lab.cluster.controllers.taints import TaintEviction, untolerated
from runbook_lab.cluster.store import NotFound, Store

_TAINT = {"key": "disk", "value": "full", "effect": "NoExecute"}


@pytest.mark.parametrize(
    "toleration",
    [
        {"operator": "Exists"},
        {"key": "disk", "operator": "Exists"},
        {"key": "disk", "value": "full"},
        {"key": "disk", "operator": "Equal", "value": "full", "effect": "NoExecute"},
    ],
)
def test_a_toleration_matches_by_key_value_and_effect(toleration):
    pod = {"spec": {"tolerations": [toleration]}}

    assert untolerated(pod, {"spec": {"taints": [_TAINT]}}, effects=["NoExecute"]) is None
    other = {**_TAINT, "key": "other"}
    if toleration.get("key"):
        assert untolerated(pod, {"spec": {"taints": [_TAINT, other]}}, effects=["NoExecute"]) == other
    assert untolerated({"spec": {}}, {"spec": {"taints": [_TAINT]}}, effects=["NoSchedule"]) is None


@pytest.mark.parametrize(
    ("toleration", "gone_after"),
    [(None, 0), ({"key": "disk", "value": "empty"}, 0), ({"key": "disk", "operator": "Exists", "tolerationSeconds": 30}, 30)],
)
def test_a_pod_is_driven_out_when_it_no_longer_tolerates_the_taint(toleration, gone_after):
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    store = Store(seed=1)
    eviction = TaintEviction(store, clock=lambda: moment)
    store.create("nodes", {"metadata": {"name": "node"}, "spec": {"taints": [_TAINT]}})
    spec = {"nodeName": "node", "containers": [{"name": "web", "image": "web:1"}], "terminationGracePeriodSeconds": 0}
    spec["tolerations"] = [toleration] if toleration else []
    store.create("pods", {"metadata": {"name": "web"}, "spec": spec}, namespace="shop")

    if gone_after:
        assert eviction.reconcile(("shop", "web")) == gone_after
        moment += timedelta(seconds=gone_after)
    assert eviction.reconcile(("shop", "web")) is None
    with pytest.raises(NotFound):
        store.get("pods", "web", namespace="shop")
    assert [event["reason"] for event in store.list("events")] == ["TaintManagerEviction"]
