import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.lab.cluster.running import READY, container, deployment, pod, until

pytestmark = pytest.mark.lab


def scrape(url, namespace):
    """Give all samples about a namespace: name -> list of (labels, value)."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("namespace") == namespace:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(samples, name, **labels):
    return next((number for found, number in samples.get(name, ()) if labels.items() <= found.items()), None)


def test_cadvisor_tells_what_containers_use(lab, namespace):
    lab.apply(pod("web", namespace, container(resources={"limits": {"memory": "200Mi", "cpu": "500m"}})))
    samples = until(lambda: value(found := scrape(lab.cluster.cadvisor_url, namespace), "container_processes") and found)
    assert 5e6 < value(samples, "container_memory_working_set_bytes", container="web", pod="web", image="web:1") < 200e6
    assert value(samples, "container_cpu_usage_seconds_total", container="web") >= 0
    assert value(samples, "container_spec_memory_limit_bytes", container="web") == 200 * 2**20
    assert value(samples, "container_spec_cpu_quota", container="web") == 50_000
    # The pod's own cgroup, as cAdvisor has it: whoever forgets container!="" counts twice.
    assert value(samples, "container_memory_working_set_bytes", container="", pod="web") > 5e6


def test_state_metrics_tell_of_a_crash_loop(lab, namespace):
    limits = {"limits": {"memory": "64Mi"}}
    lab.apply(pod("crash", namespace, container("crash:1", resources=limits)))
    url = lab.cluster.state_metrics_url
    until(lambda: (value(scrape(url, namespace), "kube_pod_container_status_restarts_total", container="crash") or 0) >= 1)
    waiting = {"container": "crash", "reason": "CrashLoopBackOff"}
    until(lambda: value(scrape(url, namespace), "kube_pod_container_status_waiting_reason", **waiting) == 1)
    samples = scrape(url, namespace)
    assert value(samples, "kube_pod_container_status_last_terminated_reason", reason="Error") == 1
    assert value(samples, "kube_pod_container_status_last_terminated_exitcode", pod="crash") == 7
    assert value(samples, "kube_pod_container_resource_limits", resource="memory", unit="byte") == 64 * 2**20
    assert value(samples, "kube_pod_labels", label_app="crash") == 1
    assert value(samples, "kube_pod_status_ready", condition="true") == 0


def test_state_metrics_tell_of_a_rollout(lab, namespace):
    lab.apply(deployment("web", namespace, container(readinessProbe=READY), replicas=2))
    url = lab.cluster.state_metrics_url
    until(lambda: value(scrape(url, namespace), "kube_deployment_status_replicas_available", deployment="web") == 2)
    samples = scrape(url, namespace)
    assert value(samples, "kube_deployment_spec_replicas") == 2
    assert value(samples, "kube_deployment_metadata_generation") == 1
    assert value(samples, "kube_deployment_status_condition", condition="Available", status="true") == 1
    assert value(samples, "kube_replicaset_owner", owner_kind="Deployment", owner_name="web") == 1
    assert value(samples, "kube_pod_status_phase", phase="Running") == 1
