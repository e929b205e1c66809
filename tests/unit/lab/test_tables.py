"""What `kubectl get` shows of an autoscaler's metrics."""

from datetime import UTC, datetime

import pytest

from runbook_lab.cluster.tables.table import make_table


def resource(name, side, **value):
    return {"type": "Resource", "resource": {"name": name, side: value}}


_SHARE = resource("cpu", "target", type="Utilization", averageUtilization=80)
_AMOUNT = resource("memory", "target", type="AverageValue", averageValue="100Mi")
_PODS = {"type": "Pods", "pods": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "3"}}}


@pytest.mark.parametrize(
    ("metrics", "current", "shown"),
    [
        ([_SHARE], [], "cpu: <unknown>/80%"),
        ([_SHARE], [resource("cpu", "current", averageUtilization=7, averageValue="3m")], "cpu: 7%/80%"),
        ([_AMOUNT], [resource("memory", "current", averageValue="52428800")], "memory: 52428800/100Mi"),
        ([_PODS], [], "<unknown>/3"),
        ([_SHARE, _AMOUNT, _PODS], [], "cpu: <unknown>/80%,memory: <unknown>/100Mi + 1 more..."),
    ],
)
def test_the_targets_of_an_autoscaler_are_shares_or_amounts(metrics, current, shown):
    reference = {"kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 3, "metrics": metrics}
    scaler = {"metadata": {"name": "web"}, "spec": spec, "status": {"currentMetrics": current}}
    table = make_table("horizontalpodautoscalers", [scaler], list_metadata={}, now=datetime(2026, 1, 2, tzinfo=UTC))

    assert table["rows"][0]["cells"][2] == shown
