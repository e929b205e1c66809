"""Stock kubectl works on the API, unchanged. (What pods do is tested with the node's side.)"""

import json

import pytest

from runbook_lab.cluster.access import OPERATOR
from tests.lab.cluster.conftest import deployment_manifest

pytestmark = pytest.mark.lab


@pytest.fixture
def operate(api):
    """Run kubectl as the operator, and expect it to succeed."""

    def run(*arguments, **options):
        ran = api.kubectl(*arguments, user=OPERATOR, **options)
        assert ran.code == 0, ran.err
        return ran.out

    return run


def test_get_shows_the_columns_of_a_real_cluster(api):
    assert api.kubectl("get", "pods").out.split()[:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    wide = api.kubectl("get", "deployments", "-o", "wide").out
    assert wide.split()[:8] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert "orders:1.0" in wide
    everywhere = api.kubectl("get", "pods", "-A", "--sort-by=.metadata.name").out
    assert everywhere.split()[0] == "NAMESPACE"


def test_get_selects_and_prints_in_every_form(api):
    assert api.kubectl("get", "pods", "-l", "app=orders", "-o", "name").out.strip() == "pod/orders-0"
    assert "No resources found" in api.kubectl("get", "pods", "--field-selector=status.phase=Running").err
    assert api.kubectl("get", "cm", "orders-config", "-o", "jsonpath={.data.DATABASE_POOL_SIZE}").out == "50"
    assert json.loads(api.kubectl("get", "deploy", "orders", "-o", "json").out)["kind"] == "Deployment"
    assert 'pods "nobody" not found' in api.kubectl("get", "pod", "nobody").err
    assert "doesn't have a resource type" in api.kubectl("get", "rockets").err


@pytest.mark.parametrize(
    "what", ["pod/orders-0", "deployment/orders", "configmap/orders-config", "node/lab-node", "namespace/shop"]
)
def test_describe_works(api, what):
    described = api.kubectl("describe", what)

    assert described.code == 0
    assert described.out.startswith("Name:")


def test_config_maps_are_created_applied_and_diffed(api, operate):
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1", "b": "2"}}
    assert "applied created" in operate("apply", "-f", "-", stdin=json.dumps(manifest))
    manifest["data"] = {"a": "3"}
    assert "applied configured (server dry run)" in operate("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))
    assert "applied configured" in operate("apply", "-f", "-", stdin=json.dumps(manifest))
    assert json.loads(operate("get", "cm", "applied", "-o", "json"))["data"] == {"a": "3"}, "b was taken out"
    # kubectl 1.32 and later send this one as protobuf.
    operate("create", "configmap", "made", "--from-literal=key=value")
    assert json.loads(operate("get", "cm", "made", "-o", "json"))["data"] == {"key": "value"}
    assert (
        "strict decoding error" in api.kubectl("create", "-f", "-", user=OPERATOR, stdin=json.dumps({**manifest, "dta": 1})).err
    )


def test_server_side_apply_knows_who_manages_what(api, operate):
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1", "b": "2"}}
    operate("apply", "-f", "-", stdin=json.dumps(manifest))
    manifest["data"] = {"a": "1"}
    # What the client applied so far is handed over to the server by kubectl: b is removed.
    assert "applied serverside-applied" in operate("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))
    operate("patch", "cm", "applied", "--type=merge", "-p", '{"data":{"a":"9"}}')
    refused = api.kubectl("apply", "--server-side", "-f", "-", user=OPERATOR, stdin=json.dumps(manifest))
    assert refused.err.startswith('error: Apply failed with 1 conflict: conflict with "kubectl-patch" using v1: .data.a\nPlease')
    operate("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))
    assert json.loads(operate("get", "cm", "applied", "-o", "json"))["data"] == {"a": "9"}
    operate("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest))
    assert json.loads(operate("get", "cm", "applied", "-o", "json"))["data"] == {"a": "1"}
    manifest["dta"] = {}
    assert (
        ".dta: field not declared in schema"
        in api.kubectl("apply", "--server-side", "-f", "-", user=OPERATOR, stdin=json.dumps(manifest)).err
    )


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_autoscaler_is_made_and_read_in_both_versions(operate, version):
    # kubectl up to 1.32 writes v1, later ones v2.
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders"}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
    load = {"v1": {"targetCPUUtilizationPercentage": 70}, "v2": {"metrics": [cpu]}}
    spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 5, **load[version]}
    kind = {"apiVersion": f"autoscaling/{version}", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "orders"}}
    operate("create", "-f", "-", stdin=json.dumps({**kind, "spec": spec}))

    assert "cpu: <unknown>/70%" in operate("get", "hpa")
    for other, expected in load.items():
        found = json.loads(operate("get", f"horizontalpodautoscalers.{other}.autoscaling", "orders", "-o", "json"))
        assert found["apiVersion"] == f"autoscaling/{other}"
        assert found["spec"].items() >= expected.items()


def test_a_secret_is_created_and_described_without_its_value(operate):
    operate("create", "secret", "generic", "made", "--from-literal=password=open-sesame")
    described = operate("describe", "secret", "made")

    assert "11 bytes" in described
    assert "open-sesame" not in described


def test_patches_of_all_three_types_arrive(operate):
    def replicas():
        return int(operate("get", "deploy", "orders", "-o", "jsonpath={.spec.replicas}"))

    operate("patch", "deploy", "orders", "-p", '{"spec":{"replicas":4}}')
    assert replicas() == 4
    operate("patch", "deploy", "orders", "--type=merge", "-p", '{"spec":{"replicas":5}}')
    assert replicas() == 5
    operate("patch", "deploy", "orders", "--type=json", "-p", '[{"op":"replace","path":"/spec/replicas","value":6}]')
    assert replicas() == 6
    operate("scale", "deploy", "orders", "--replicas=2", "--current-replicas=6")
    assert replicas() == 2
    operate("scale", "deploy", "orders", "--replicas=9", "--dry-run=server")
    assert replicas() == 2


def test_set_changes_one_container_and_keeps_the_rest(operate):
    operate("set", "env", "deploy/orders", "B=9", "C=3")
    operate("set", "image", "deploy/orders", "orders=orders:2.0")
    operate("set", "resources", "deploy/orders", "--limits=memory=256Mi")
    container = json.loads(operate("get", "deploy", "orders", "-o", "json"))["spec"]["template"]["spec"]["containers"][0]

    assert {entry["name"]: entry["value"] for entry in container["env"]} == {"A": "1", "B": "9", "C": "3"}
    assert container["image"] == "orders:2.0"
    assert container["resources"]["limits"] == {"memory": "256Mi"}


def test_edit_label_and_annotate(api, operate, monkeypatch):
    monkeypatch.setenv("KUBE_EDITOR", "sed -i 's/replicas: 3/replicas: 7/'")
    assert "orders edited" in operate("edit", "deploy", "orders")
    operate("label", "deploy", "orders", "team=shop")
    operate("annotate", "deploy", "orders", "kubernetes.io/change-cause=edited")
    found = json.loads(operate("get", "deploy", "orders", "-o", "json"))

    assert found["spec"]["replicas"] == 7
    assert found["metadata"]["labels"]["team"] == "shop"
    assert found["metadata"]["annotations"]["kubernetes.io/change-cause"] == "edited"


def test_a_wrong_change_is_refused_with_its_reason(api):
    mistyped = api.kubectl("patch", "deploy", "orders", "-p", '{"spec":{"replicas":"many"}}', user=OPERATOR)
    assert "The request is invalid: patch: Invalid value" in mistyped.err
    refused = api.kubectl("patch", "deploy", "orders", "-p", '{"spec":{"replicas":-1}}', user=OPERATOR)
    assert 'The Deployment "orders" is invalid: spec.replicas: Invalid value: -1' in refused.err
    undone = api.kubectl("rollout", "undo", "configmap/orders-config", user=OPERATOR)
    assert undone.code == 1


def test_a_deletion_is_waited_for(operate):
    assert 'pod "orders-0" deleted' in operate("delete", "pod", "orders-0", "--timeout=10s")
    assert "orders" in operate("delete", "deploy", "orders", "--timeout=10s")


def test_wait_and_watch_end_when_they_should(api):
    assert "condition met" in api.kubectl("wait", "--for=jsonpath={.spec.replicas}=3", "deploy/orders", "--timeout=10s").out
    assert "orders-0" in api.kubectl("get", "pods", "-w", "--request-timeout=1s").out


def test_logs_of_one_pod_of_a_workload_and_of_a_selection(api):
    assert api.kubectl("logs", "orders-0", "--tail=2").out == "line 4\nline 5\n"
    assert api.kubectl("logs", "deploy/orders", "--timestamps", "--since=5m").code == 0
    assert api.node.asked[-1]["timestamps"]
    assert api.node.asked[-1]["since"] is not None
    assert api.kubectl("logs", "-l", "app=orders", "--prefix").out.startswith("[pod/orders-0/orders] line 1")
    assert "previous terminated container" in api.kubectl("logs", "orders-0", "--previous").err


def test_exec_passes_streams_and_exit_code(api):
    ran = api.kubectl("exec", "orders-0", "--", "sh", "-c", "echo out; echo err >&2; exit 3", user=OPERATOR)
    assert (ran.code, ran.out) == (3, "out\n")
    assert ran.err.startswith("err\n")
    assert api.kubectl("exec", "-i", "orders-0", "--", "cat", user=OPERATOR, stdin="through\n").out == "through\n"
    assert "cannot create resource" in api.kubectl("exec", "orders-0", "--", "true").err


def test_top_shows_usage(api):
    assert api.kubectl("top", "pods").out.split()[-3:] == ["orders-0", "250m", "64Mi"]
    assert "lab-node" in api.kubectl("top", "nodes").out


def test_the_cluster_describes_itself(api):
    resources = api.kubectl("api-resources").out
    assert "deploy" in resources
    assert "EndpointSlice" in resources
    assert "DeploymentStrategy" in api.kubectl("explain", "deployment.spec.strategy").out
    assert "v1.33" in api.kubectl("version").out


def test_a_deployment_made_by_kubectl_equals_one_made_of_json(api, operate):
    operate("create", "deployment", "made", "--image=orders:1.0", "--replicas=0")
    made = json.loads(operate("get", "deploy", "made", "-o", "json"))["spec"]
    manifest = deployment_manifest("plain", replicas=0)
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    del container["env"]
    operate("apply", "-f", "-", stdin=json.dumps(manifest))
    plain = json.loads(operate("get", "deploy", "plain", "-o", "json"))["spec"]

    assert made["replicas"] == 0, "zero is a value, also in protobuf"
    assert made.keys() == plain.keys()
    assert made["template"]["spec"].keys() == plain["template"]["spec"].keys()
    assert made["template"]["spec"]["containers"][0].keys() == plain["template"]["spec"]["containers"][0].keys()
