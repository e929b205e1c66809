"""What the container may use and asks for: set within reason, only where a node has room, told to whom it concerns, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.container_resources import quality_of_service, requested
from runbook_lib.actions.guard import propose
from runbook_lib.actions.places import meant_for
from runbook_lib.actions.resources import SET_RESOURCES
from runbook_lib.models.plan import Plan, Proposal
from tests.unit.actions.cluster_api import Cluster
from tests.unit.actions.situations import a_context, a_service


def proposed(folder: Path, api: ApiClient, **arguments: Any) -> Proposal:
    return propose(SET_RESOURCES, a_context(folder, api_client=api), **arguments)


def planned(folder: Path, api: ApiClient, **arguments: Any) -> Plan:
    proposal = proposed(folder, api, **arguments)
    assert proposal.plan is not None, proposal.outcome.text
    return proposal.plan


def resources(cluster: Cluster) -> Any:
    return cluster.objects["deployments", "orders"]["spec"]["template"]["spec"]["containers"][0].get("resources")


@pytest.fixture
def limited(cluster: Cluster) -> Cluster:
    """A quarter of a core at most, 50m asked for; one node of two cores."""
    container = cluster.objects["deployments", "orders"]["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"cpu": "250m", "memory": "128Mi"}, "requests": {"cpu": "50m", "memory": "64Mi"}}
    cluster.put("nodes", "node-1", status={"allocatable": {"cpu": "2", "memory": "4Gi"}}, spec={})
    return cluster


def test_twice_the_cpu_and_back(tmp_path: Path, limited: Cluster, api: ApiClient) -> None:
    before = resources(limited)
    proposal = proposed(tmp_path, api)
    assert proposal.plan is not None
    assert proposal.plan.title.startswith("Set the resources of orders: cpu limit 250m to 500m")
    assert proposal.plan.command.endswith(
        "set resources deployment/orders -c orders --limits=cpu=500m,memory=128Mi --requests=cpu=50m,memory=64Mi"
    )
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "executed", outcome.text
    assert resources(limited)["limits"] == {"cpu": "500m", "memory": "128Mi"}
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert resources(limited) == before


def test_of_several_containers_the_one_that_the_pod_marks_for_kubectl_is_the_applications(
    tmp_path: Path, limited: Cluster, api: ApiClient
) -> None:
    template = limited.objects["deployments", "orders"]["spec"]["template"]
    proxy = {"name": "istio-proxy", "image": "proxy:1", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}
    template["spec"]["containers"].insert(0, proxy)

    def command() -> str:
        plan = propose(SET_RESOURCES, a_context(tmp_path, api_client=api, service=a_service(container=None))).plan
        return plan.command if plan is not None else ""

    assert "-c istio-proxy" in command()
    template["metadata"].setdefault("annotations", {})["kubectl.kubernetes.io/default-container"] = "orders"
    assert "-c orders --limits=cpu=500m,memory=128Mi" in command()


def test_a_limit_alone_asks_no_more_of_the_nodes(tmp_path: Path, limited: Cluster, api: ApiClient) -> None:
    del resources(limited)["requests"]
    plan = planned(tmp_path, api)
    assert plan.arguments["after"]["requests"] == {"cpu": "250m"}, "what the API had made of the old limit"


def test_a_request_that_no_node_has_room_for_is_refused(tmp_path: Path, limited: Cluster, api: ApiClient) -> None:
    limited.put("pods", "other", spec={"nodeName": "node-1", "containers": [{"resources": {"requests": {"cpu": "1900m"}}}]})
    outcome = proposed(tmp_path, api, cpu_request="200m").outcome
    assert outcome.status == "refused"
    assert "node-1 has 0.1 cores" in outcome.text
    del limited.objects["pods", "other"]
    assert planned(tmp_path, api, cpu_request="200m").risk == "medium"


POOL = {"labels": {"karpenter.sh/nodepool": "default"}}
AWAITED = "each new pod waits for a new node"


def node(cluster: Cluster, name: str = "node-1", *, ready: str = "True", **fields: Any) -> None:
    conditions = [{"type": "Ready", "status": ready}]
    status = {"allocatable": {"cpu": "2", "memory": "4Gi"}, "conditions": conditions}
    cluster.put("nodes", name, **({"status": status, "spec": {}} | fields))


@pytest.mark.parametrize(
    "dead",
    [
        {"ready": "Unknown"},
        {"spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}},
        {"spec": {"unschedulable": True}},
    ],
)
def test_a_node_that_takes_no_pod_is_no_room(tmp_path: Path, limited: Cluster, api: ApiClient, dead: dict[str, Any]) -> None:
    node(limited, **dead)
    outcome = proposed(tmp_path, api, cpu_request="200m").outcome
    assert outcome.status == "refused"
    assert "no node takes such a pod" in outcome.text


def test_the_templates_tolerations_and_its_node_selector_are_heeded(tmp_path: Path, limited: Cluster, api: ApiClient) -> None:
    spec = limited.objects["deployments", "orders"]["spec"]["template"]["spec"]
    spec["nodeSelector"] = {"disk": "ssd"}
    assert "no node takes such a pod" in proposed(tmp_path, api, cpu_request="200m").outcome.text
    taints = [{"key": "team", "value": "shop", "effect": "NoExecute"}, {"key": "soft", "effect": "PreferNoSchedule"}]
    node(limited, spec={"taints": taints}, metadata={"labels": {"disk": "ssd", "zone": "a"}})
    assert "no node takes such a pod" in proposed(tmp_path, api, cpu_request="200m").outcome.text
    for toleration in ({"key": "team", "value": "shop"}, {"operator": "Exists"}, {"key": "team", "operator": "Exists"}):
        spec["tolerations"] = [toleration]
        assert planned(tmp_path, api, cpu_request="200m").risk == "medium"
    for toleration in ({"key": "team", "value": "web"}, {"key": "team", "value": "shop", "effect": "NoSchedule"}):
        spec["tolerations"] = [toleration]
        assert proposed(tmp_path, api, cpu_request="200m").outcome.status == "refused"


def required(*terms: dict[str, Any]) -> dict[str, Any]:
    """The affinity of a pod that goes to no other nodes than those of one of these terms."""
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def by_label(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [expression(key, operator, *values)]}


NAMED = {"matchFields": [expression("metadata.name", "In", "node-1")]}
OTHERS = {"matchFields": [expression("metadata.name", "NotIn", "node-1")]}


@pytest.mark.parametrize(
    "terms",
    [
        [by_label("zone", "In", "a", "b")],
        [by_label("zone", "NotIn", "b")],
        [by_label("gpu", "NotIn", "yes")],
        [by_label("zone", "Exists")],
        [by_label("gpu", "DoesNotExist")],
        [by_label("generation", "Gt", "4")],
        [by_label("generation", "Lt", "6")],
        [NAMED],
        [by_label("zone", "In", "b"), by_label("zone", "In", "a")],
        [by_label("zone", "In", "a") | NAMED],
    ],
)
def test_there_is_room_on_a_node_that_the_required_affinity_asks_for(
    tmp_path: Path, limited: Cluster, api: ApiClient, terms: list[dict[str, Any]]
) -> None:
    node(limited, metadata={"labels": {"zone": "a", "generation": "5"}})
    limited.objects["deployments", "orders"]["spec"]["template"]["spec"]["affinity"] = required(*terms)
    assert planned(tmp_path, api, cpu_request="200m").risk == "medium"


@pytest.mark.parametrize(
    "terms",
    [
        [by_label("zone", "In", "b")],
        [by_label("zone", "NotIn", "a", "b")],
        [by_label("gpu", "Exists")],
        [by_label("gpu", "In", "yes")],
        [by_label("zone", "DoesNotExist")],
        [by_label("generation", "Gt", "5")],
        [by_label("generation", "Lt", "5")],
        [by_label("gpu", "Lt", "5")],
        [by_label("zone", "Gt", "0")],
        [OTHERS],
        [{}],
        [by_label("zone", "In", "a") | OTHERS],
        [{"matchExpressions": [expression("zone", "In", "a"), expression("generation", "In", "6")]}],
    ],
)
def test_a_node_that_the_required_affinity_leaves_out_is_no_room(
    tmp_path: Path, limited: Cluster, api: ApiClient, terms: list[dict[str, Any]]
) -> None:
    node(limited, metadata={"labels": {"zone": "a", "generation": "5"}})
    limited.objects["deployments", "orders"]["spec"]["template"]["spec"]["affinity"] = required(*terms)
    outcome = proposed(tmp_path, api, cpu_request="200m").outcome
    assert outcome.status == "refused"
    assert "no node takes such a pod" in outcome.text


def test_a_node_that_a_pod_merely_prefers_is_not_asked_for(tmp_path: Path, limited: Cluster, api: ApiClient) -> None:
    preferred = [{"weight": 1, "preference": by_label("zone", "In", "b")}]
    limited.objects["deployments", "orders"]["spec"]["template"]["spec"]["affinity"] = {
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}
    }
    assert planned(tmp_path, api, cpu_request="200m").risk == "medium"


def test_a_new_node_like_another_one_has_another_name() -> None:
    there = {"metadata": {"name": "node-1", "labels": {"kubernetes.io/hostname": "node-1", "zone": "a"}}}
    for terms in ([NAMED], [by_label("kubernetes.io/hostname", "In", "node-1")]):
        assert not meant_for(there, {"affinity": required(*terms)})
    for terms in ([OTHERS], [by_label("kubernetes.io/hostname", "Exists")], [by_label("zone", "In", "a")]):
        assert meant_for(there, {"affinity": required(*terms)})


@pytest.mark.parametrize(
    "metadata",
    [POOL, {"annotations": {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "false"}}],
)
def test_where_nodes_are_made_for_pods_that_find_none_the_wait_is_told(
    tmp_path: Path, limited: Cluster, api: ApiClient, metadata: dict[str, Any]
) -> None:
    node(limited, metadata=metadata)
    assert not any(AWAITED in warning for warning in planned(tmp_path, api, cpu_request="200m").warnings)
    limited.put("pods", "other", spec={"nodeName": "node-1", "containers": [{"resources": {"requests": {"cpu": "1900m"}}}]})
    told = f"no node has room for such a pod (node-1 has 0.1 cores and 4096Mi left to ask for): {AWAITED}"
    assert any(warning.startswith(told) for warning in planned(tmp_path, api, cpu_request="200m").warnings)
    node(limited, metadata=metadata, ready="Unknown")  # the only one is dead: one like it will come
    assert any(AWAITED in warning for warning in planned(tmp_path, api, cpu_request="200m").warnings)


def test_a_pod_that_is_larger_than_any_node_waits_for_ever_and_is_refused(
    tmp_path: Path, limited: Cluster, api: ApiClient
) -> None:
    node(limited, metadata=POOL, status={"allocatable": {"cpu": "150m", "memory": "4Gi"}})
    assert proposed(tmp_path, api, cpu_request="200m").outcome.status == "refused"


def test_of_a_pool_that_is_scaled_to_none_a_node_may_come(tmp_path: Path, limited: Cluster, api: ApiClient) -> None:
    limited.objects["deployments", "orders"]["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "shop"}
    node(limited, metadata=POOL)
    assert any(AWAITED in warning for warning in planned(tmp_path, api, cpu_request="200m").warnings)


def test_a_pod_asks_for_what_its_sidecars_its_largest_init_container_and_its_runtime_need() -> None:
    def asking(cpu: str, **fields: Any) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **fields}

    spec: dict[str, Any] = {"containers": [asking("100m"), asking("200m")]}
    assert requested(spec)["cpu"] == pytest.approx(0.3)
    assert requested(spec, instead={0: {"limits": {"cpu": "1"}}})["cpu"] == pytest.approx(1.2)
    spec["initContainers"] = [asking("50m"), asking("2", restartPolicy="Always"), asking("250m")]
    assert requested(spec)["cpu"] == pytest.approx(2.3)
    spec["initContainers"].append(asking("1"))
    assert requested(spec | {"overhead": {"cpu": "250m"}})["cpu"] == pytest.approx(3.25)


def test_who_may_not_see_the_nodes_is_told_that_room_is_not_known(tmp_path: Path, limited: Cluster, api: ApiClient) -> None:
    limited.fails["GET nodes"] = "500"
    warnings = planned(tmp_path, api, cpu_request="200m").warnings
    assert any("room on the nodes could not be looked at" in warning for warning in warnings)


def test_an_autoscaler_that_goes_by_utilisation_is_told(tmp_path: Path, limited: Cluster, api: ApiClient) -> None:
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
    target = {"kind": "Deployment", "name": "orders"}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 8, "metrics": [metric]}
    limited.put("horizontalpodautoscalers", "orders", spec=spec)
    assert any("50% of the utilisation" in warning for warning in planned(tmp_path, api, cpu_request="100m").warnings)
    assert not any("utilisation" in warning for warning in planned(tmp_path, api, cpu_limit="500m").warnings)


def test_a_vertical_autoscaler_is_told(tmp_path: Path, limited: Cluster, api: ApiClient) -> None:
    limited.put("verticalpodautoscalers", "orders", spec={"targetRef": {"kind": "Deployment", "name": "orders"}})
    assert any(warning.startswith("vpa/orders sets the requests") for warning in planned(tmp_path, api).warnings)


def test_a_change_of_the_qos_class_is_told(tmp_path: Path, limited: Cluster, api: ApiClient) -> None:
    same = {"cpu_request": "200m", "cpu_limit": "250m", "memory_request": "128Mi"}
    assert not any("QoS" in warning for warning in planned(tmp_path, api, **same).warnings)
    resources(limited)["requests"] = {"cpu": "250m", "memory": "128Mi"}
    warnings = planned(tmp_path, api).warnings
    assert any("from Guaranteed to Burstable" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"cpu_limit": "100m"}, "would be less"),
        ({"cpu_limit": "2"}, "more than four times"),
        ({"cpu_request": "200m", "cpu_limit": "250m", "memory_limit": "much"}, "a quantity is wanted"),
        ({"memory_request": "200Mi"}, "above the limit"),
        ({"cpu_limit": "250m"}, "already"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, limited: Cluster, api: ApiClient, arguments: dict[str, str], reason: str
) -> None:
    del limited
    assert reason in proposed(tmp_path, api, **arguments).outcome.text


def test_without_a_limit_there_is_none_to_raise(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    del cluster
    assert "has no CPU limit" in proposed(tmp_path, api).outcome.text


def test_a_quota_that_the_new_pods_would_break_is_found_before_anything_is_changed(
    tmp_path: Path, limited: Cluster, api: ApiClient
) -> None:
    limited.fails["POST pods"] = "quota"
    outcome = proposed(tmp_path, api).outcome
    assert outcome.status == "refused"
    assert "exceeded quota" in outcome.text
    assert limited.writes() == []


def test_the_class_of_service_is_kubernetes_own() -> None:
    cpu, both = {"cpu": "1"}, {"cpu": "1", "memory": "1Gi"}
    assert quality_of_service([{}]) == "BestEffort"
    assert quality_of_service([{"limits": both}]) == "Guaranteed"
    assert quality_of_service([{"limits": both, "requests": {"cpu": "1000m", "memory": "1024Mi"}}]) == "Guaranteed"
    assert quality_of_service([{"limits": cpu}]) == "Burstable"
    assert quality_of_service([{"limits": both}, {}]) == "Burstable"
