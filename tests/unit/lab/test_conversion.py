"""Autoscalers between `autoscaling/v1` and `autoscaling/v2`."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lab.cluster.conversion import to_served, to_stored
from runbook_lab.cluster.errors import BadRequest
from runbook_lab.cluster.resources import BY_PLURAL

_V1 = replace(BY_PLURAL["horizontalpodautoscalers"], version="v1")


def resource(name, **target):
    return {"type": "Resource", "resource": {"name": name, "target": target}}


_METRICS = st.lists(
    st.one_of(
        st.builds(lambda share: resource("cpu", type="Utilization", averageUtilization=share), st.integers(1, 100)),
        st.builds(lambda share: resource("memory", type="Utilization", averageUtilization=share), st.integers(1, 100)),
        st.just(resource("memory", type="AverageValue", averageValue="100Mi")),
        st.just({"type": "Pods", "pods": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "3"}}}),
    ),
    max_size=1,
)


@given(
    _METRICS, st.sampled_from([{}, {"scaleDown": {"stabilizationWindowSeconds": 5}}]), st.dictionaries(st.just("note"), st.text())
)
def test_nothing_is_lost_by_way_of_the_older_version(metrics, behavior, annotations):
    spec = {"maxReplicas": 3} | ({"metrics": metrics} if metrics else {}) | ({"behavior": behavior} if behavior else {})
    metadata = {"name": "web"} | ({"annotations": annotations} if annotations else {})
    status = {"currentReplicas": 2, "conditions": [{"type": "AbleToScale", "status": "True"}]}
    stored = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }

    assert to_stored(_V1, to_served(_V1, stored)) == stored


def test_the_share_of_the_cpu_is_a_field_and_all_else_an_annotation():
    metrics = [
        resource("memory", type="AverageValue", averageValue="1Gi"),
        resource("cpu", type="Utilization", averageUtilization=7),
    ]
    served = to_served(_V1, {"metadata": {"name": "web"}, "spec": {"maxReplicas": 3, "metrics": metrics}})

    assert served["spec"] == {"maxReplicas": 3, "targetCPUUtilizationPercentage": 7}
    assert served["metadata"]["annotations"] == {
        "autoscaling.alpha.kubernetes.io/metrics": '[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}}]'
    }


def test_an_annotation_that_cannot_be_read_is_refused():
    broken = {"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/metrics": "["}}, "spec": {}}
    with pytest.raises(BadRequest, match="cannot be read"):
        to_stored(_V1, broken)
