"""What stands between a person and the pods: budgets refuse evictions, and autoscalers undo a scale by hand."""

import json

import pytest

from tests.lab.cluster.running import READY, container, deployment, until

pytestmark = pytest.mark.lab

WEB = container(readinessProbe=READY, resources={"requests": {"cpu": "50m"}})


@pytest.fixture
def web(lab, namespace, kubectl):
    """A deployment of two web servers that has rolled out."""
    lab.apply(deployment("web", namespace, WEB, replicas=2))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")


def budget(lab, namespace):
    return lab.store("get", "poddisruptionbudgets", "web", namespace=namespace).get("status", {})


def test_a_budget_tells_what_it_allows(web, lab, namespace, kubectl):
    kubectl("create", "pdb", "web", "--selector=app=web", "--min-available=50%")
    until(lambda: budget(lab, namespace).get("disruptionsAllowed") == 1)
    assert {"currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}.items() <= budget(lab, namespace).items()
    assert kubectl("get", "pdb", "--no-headers").split()[:4] == ["web", "50%", "N/A", "1"]
    described = kubectl("describe", "pdb", "web")
    assert "Allowed disruptions:  1" in described
    kubectl("scale", "deployment/web", "--replicas=1")
    until(lambda: budget(lab, namespace).get("disruptionsAllowed") == 0)


def test_what_a_budget_does_not_allow_is_not_evicted(web, lab, namespace, kubectl):
    kubectl("create", "pdb", "web", "--selector=app=web", "--min-available=2")
    until(lambda: "disruptionsAllowed" in budget(lab, namespace))
    options = ("--pod-selector=app=web", "--ignore-daemonsets", "--timeout=1s", "--grace-period=0")
    try:
        told = kubectl("drain", "lab-node", *options, code=1)
        assert "Cannot evict pod as it would violate the pod's disruption budget." in told
        assert "SchedulingDisabled" in kubectl("get", "nodes")
        assert len(lab.pods(namespace)) == 2
        kubectl("delete", "pdb", "web")
        assert "evicted" in kubectl("drain", "lab-node", *options[:2], "--timeout=30s", "--grace-period=0")
        until(lambda: {found["status"]["phase"] for found in lab.pods(namespace)} == {"Pending"})
    finally:
        kubectl("uncordon", "lab-node")


def test_a_taint_keeps_new_pods_away(lab, namespace, kubectl):
    try:
        kubectl("taint", "nodes", "lab-node", "disk=full:NoSchedule")
        kubectl("run", "away", "--image=web:1")
        tolerations = {"spec": {"tolerations": [{"key": "disk", "operator": "Exists"}]}}
        kubectl("run", "here", "--image=web:1", f"--overrides={json.dumps(tolerations)}")
        kubectl("wait", "--for=condition=Ready", "pod/here", "--timeout=20s")
        assert "0/1 nodes are available: 1 node(s) had untolerated taint {disk: full}." in kubectl("describe", "pod", "away")
    finally:
        kubectl("taint", "nodes", "lab-node", "disk-")
    kubectl("wait", "--for=condition=Ready", "pod/away", "--timeout=20s")


def test_an_eviction_is_counted_before_any_controller_looks(web, lab, namespace, kubectl):
    kubectl("create", "pdb", "web", "--selector=app=web", "--max-unavailable=1")
    until(lambda: budget(lab, namespace).get("disruptionsAllowed") == 1)
    answers = []
    for found in lab.pods(namespace):
        name = found["metadata"]["name"]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
        answers.append(kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction), code=None))
    assert ["Success" in answer for answer in answers] == [True, False]
    assert "violate the pod's disruption budget" in answers[1]


def test_an_autoscaler_undoes_a_scale_by_hand_and_follows_the_load(web, lab, namespace, kubectl):
    kubectl("autoscale", "deployment", "web", "--min=2", "--max=3", "--cpu-percent=50")
    kubectl("scale", "deployment/web", "--replicas=1")
    until(lambda: _replicas(lab, namespace) == 2)
    assert "Current number of replicas below Spec.MinReplicas" in kubectl("events", "--for=horizontalpodautoscaler/web")
    until(lambda: "<unknown>" not in kubectl("get", "hpa", "--no-headers"))
    kubectl("exec", "deployment/web", "--", "timeout", "5", "sh", "-c", "while :; do :; done", code=124)
    until(lambda: _replicas(lab, namespace) == 2)
    told = kubectl("events", "--for=horizontalpodautoscaler/web")
    assert "New size: 3; reason: cpu resource utilization (percentage of request) above target" in told
    assert "New size: 2; reason: All metrics below target" in told


def test_an_autoscaler_without_requests_to_measure_by_says_so(lab, namespace, kubectl):
    lab.apply(deployment("web", namespace, container(readinessProbe=READY), replicas=1))
    kubectl("autoscale", "deployment", "web", "--min=1", "--max=3", "--cpu-percent=50")
    until(lambda: "missing request for cpu in container web" in kubectl("describe", "hpa", "web"))
    assert _replicas(lab, namespace) == 1


def _replicas(lab, namespace):
    return lab.store("get", "deployments", "web", namespace=namespace)["spec"]["replicas"]
