import errno
import random
import socket
import urllib.request

import pytest

from runbook_lab.cluster.node.network import NetworkExhaustedError, PodNetwork
from tests.lab.cluster.running import READY, container, deployment, service, until

WEB = container(readinessProbe=READY)


def test_two_labs_never_share_a_network():
    with PodNetwork(randomness=random.Random(1)) as one, PodNetwork(randomness=random.Random(1)) as other:
        assert one.pods != other.pods
        assert one.take_pod_ip() != other.take_pod_ip()


def test_an_address_is_used_again_only_after_all_others():
    with PodNetwork() as network:
        first = network.take_pod_ip()
        network.give_back(first)
        others = [network.take_pod_ip() for _ in range(244)]
        assert first not in others
        assert network.take_pod_ip() == first
        with pytest.raises(NetworkExhaustedError):
            network.take_pod_ip()


@pytest.fixture
def address(lab, namespace):
    """Give the address of the service `web`, once it has one."""

    def find():
        found = lab.store("get", "services", "web", namespace=namespace)["spec"]
        return (found["clusterIP"], found["ports"][0]["port"]) if found.get("clusterIP") else None

    return lambda: until(find)


def ask(address):
    try:
        with urllib.request.urlopen("http://{}:{}/".format(*address), timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return None


@pytest.mark.lab
def test_a_service_leads_to_each_of_its_ready_pods_in_turn(lab, namespace, address):
    lab.apply(service("web", namespace), deployment("web", namespace, WEB, replicas=2))
    names = set()
    until(lambda: names.add(ask(address())) or len(names - {None}) == 2)
    assert {name.partition(" ")[0] for name in names - {None}} == {pod["metadata"]["name"] for pod in lab.pods(namespace)}


@pytest.mark.lab
def test_a_service_without_a_ready_pod_refuses(lab, namespace, address):
    lab.apply(service("web", namespace), deployment("web", namespace, WEB, replicas=1))
    until(lambda: ask(address()))
    lab.change("deployments", "web", namespace, lambda obj: obj["spec"].update(replicas=0))

    def refused():
        with socket.socket() as client:
            return client.connect_ex(address()) == errno.ECONNREFUSED

    until(refused)


@pytest.mark.lab
def test_endpoints_tell_ready_from_unready_pods(lab, namespace):
    never = container(readinessProbe={"exec": {"command": ["false"]}, "periodSeconds": 1})
    lab.apply(service("web", namespace), deployment("web", namespace, never, replicas=1))

    def slices():
        found = lab.store("list", "endpointslices", namespace=namespace)
        return found and found[0]["endpoints"] and found[0]

    found = until(slices)
    assert found["endpoints"][0]["conditions"] == {"ready": False, "serving": False, "terminating": False}
    assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    [subset] = lab.store("get", "endpoints", "web", namespace=namespace)["subsets"]
    assert [entry["targetRef"]["kind"] for entry in subset["notReadyAddresses"]] == ["Pod"]


@pytest.mark.lab
def test_names_are_short_at_home_and_long_everywhere(lab, namespace, address):
    lab.apply(service("web", namespace))
    ip, _ = address()
    names = f"web web.{namespace} web.{namespace}.svc web.{namespace}.svc.cluster.local"
    at_home, elsewhere = lab.cluster.hosts_file(namespace), lab.cluster.hosts_file("default")
    until(lambda: at_home.exists() and f"{ip} {names}" in at_home.read_text().splitlines())
    lab.apply(service("other", "default"))
    until(lambda: elsewhere.exists() and f"{ip} {names.removeprefix('web ')}" in elsewhere.read_text().splitlines())
    lab.store("delete", "services", "other", namespace="default")


@pytest.mark.lab
def test_a_headless_service_is_the_address_of_its_pod(lab, namespace):
    manifest = deployment("db", namespace, WEB, replicas=1) | {"kind": "StatefulSet"}
    manifest["spec"]["serviceName"] = "db"
    lab.apply(service("db", namespace, clusterIP="None"), manifest)
    hosts = lab.cluster.hosts_file(namespace)

    def named():
        ips = {pod["metadata"]["name"]: pod["status"].get("podIP") for pod in lab.pods(namespace)}
        lines = hosts.read_text().splitlines() if hosts.exists() else []
        return any(line.startswith(f"{ips.get('db-0')} db-0.db ") for line in lines)

    until(named)
