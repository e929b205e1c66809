import base64

import pytest

from runbook_lab.cluster.image import Image
from runbook_lab.cluster.node.environment import ConfigError, Environment, expand
from runbook_lab.cluster.store import Store

POD = {
    "metadata": {"name": "orders-1", "namespace": "shop", "labels": {"app": "orders"}},
    "spec": {"nodeName": "lab-node"},
    "status": {"podIP": "127.1.2.3"},
}


@pytest.fixture
def store():
    store = Store()
    store.create("configmaps", {"metadata": {"name": "orders-config"}, "data": {"POOL": "5", "MODE": "slow"}}, namespace="shop")
    secret = base64.b64encode(b"hush").decode()
    data = {"data": {"password": secret}, "stringData": {"user": "orders"}}
    store.create("secrets", {"metadata": {"name": "orders-db"}} | data, namespace="shop")
    ports = [{"name": "http", "port": 8080}]
    store.create(
        "services", {"metadata": {"name": "pay-ments"}, "spec": {"clusterIP": "127.9.9.9", "ports": ports}}, namespace="shop"
    )
    return store


PLAIN = Image(("run",))


def resolve(store, container, image=PLAIN, base=None):
    return Environment(store, POD, container).resolve(image, base or {})


def test_later_sources_win_over_earlier_ones(store):
    container = {
        "envFrom": [{"configMapRef": {"name": "orders-config"}}],
        "env": [{"name": "MODE", "value": "fast"}, {"name": "URL", "value": "http://$(MODE):$(UNKNOWN)/$$x"}],
    }
    found = resolve(store, container, Image(("run",), env={"POOL": "1", "ONLY_IMAGE": "yes"}), {"POOL": "0"})
    assert (found["POOL"], found["MODE"], found["ONLY_IMAGE"]) == ("5", "fast", "yes")
    assert found["URL"] == "http://fast:$(UNKNOWN)/$x"


def test_values_come_from_secrets_and_from_the_pod_itself(store):
    def reference(name, **source):
        return {"name": name, "valueFrom": source}

    container = {
        "resources": {"limits": {"memory": "256Mi"}},
        "env": [
            reference("PASSWORD", secretKeyRef={"name": "orders-db", "key": "password"}),
            reference("USER", secretKeyRef={"name": "orders-db", "key": "user"}),
            reference("IP", fieldRef={"fieldPath": "status.podIP"}),
            reference("APP", fieldRef={"fieldPath": "metadata.labels['app']"}),
            reference("LIMIT", resourceFieldRef={"resource": "limits.memory", "divisor": "1Mi"}),
            reference("ABSENT", configMapKeyRef={"name": "orders-config", "key": "none", "optional": True}),
        ],
    }
    found = resolve(store, container)
    assert (found["PASSWORD"], found["USER"]) == ("hush", "orders")
    assert (found["IP"], found["APP"], found["LIMIT"]) == ("127.1.2.3", "orders", "256")
    assert "ABSENT" not in found


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"envFrom": [{"configMapRef": {"name": "gone"}}]}, 'configmap "gone" not found'),
        ({"envFrom": [{"secretRef": {"name": "gone"}}]}, 'secret "gone" not found'),
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "orders-config", "key": "gone"}}}]},
            "couldn't find key gone in ConfigMap shop/orders-config",
        ),
    ],
)
def test_what_is_missing_is_named_as_a_kubelet_names_it(store, source, message):
    with pytest.raises(ConfigError) as refusal:
        resolve(store, source)
    assert str(refusal.value) == message


def test_services_are_announced_and_the_supervisors_own_secrets_are_not(store, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "secret")
    found = resolve(store, {})
    assert (found["PAY_MENTS_SERVICE_HOST"], found["PAY_MENTS_SERVICE_PORT_HTTP"]) == ("127.9.9.9", "8080")
    assert "MY_TOKEN" not in found


def test_the_images_tools_stand_first_in_the_path(store, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin")
    assert resolve(store, {}, Image(("run",), tools_path=("/opt/pg/bin",)))["PATH"] == "/opt/pg/bin:/usr/bin"


def test_an_unknown_reference_stays_as_it_is():
    assert expand("$(A) $(B) $$(A)", {"A": "1"}) == "1 $(B) $(A)"
