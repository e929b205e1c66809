"""Network policies hold in the lab as on a cluster with a network plugin; slow links are slow."""

import asyncio
import socket
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from runbook_lab.cluster.node.policies import End, lets_through
from runbook_lab.cluster.node.traffic import Link
from tests.lab.cluster.running import READY, container, deployment, service, until

WEB = container(readinessProbe=READY)


def end(ip, *, namespace="shop", **labels):
    ports = [{"name": "http", "containerPort": 8080}]
    pod = {"metadata": {"namespace": namespace, "labels": labels}, "spec": {"containers": [{"ports": ports}]}}
    return End(ip, pod, {"kubernetes.io/metadata.name": namespace})


ORDERS, POSTGRES = end("10.0.0.1", app="orders"), end("10.0.0.2", app="postgres")
STRANGER, WORLD = end("10.0.9.1", namespace="other", app="orders"), End("192.168.0.7")


def policy(namespace="shop", **spec):
    return {"metadata": {"namespace": namespace}, "spec": {"podSelector": {}, **spec}}


@pytest.mark.parametrize(
    ("spec", "source", "target", "port", "passes"),
    [
        ({}, ORDERS, POSTGRES, 5432, False),  # without policyTypes: ingress, of nobody
        ({}, ORDERS, STRANGER, 80, True),  # and nothing is said about egress, nor about another namespace
        ({"policyTypes": ["Egress"]}, ORDERS, WORLD, 443, False),
        ({"policyTypes": ["Egress"], "egress": [{}]}, ORDERS, POSTGRES, 5432, True),
        ({"egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}, ORDERS, WORLD, 53, False),
        ({"podSelector": {"matchLabels": {"app": "web"}}}, ORDERS, POSTGRES, 5432, True),
        ({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "orders"}}}]}]}, ORDERS, POSTGRES, 5432, True),
        ({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "orders"}}}]}]}, STRANGER, POSTGRES, 5432, False),
        ({"ingress": [{"from": [{"namespaceSelector": {}}]}]}, STRANGER, POSTGRES, 5432, True),
        (
            {"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}]}]},
            STRANGER, POSTGRES, 5432, False,
        ),
        ({"ingress": [{"ports": [{"port": "http"}]}]}, ORDERS, POSTGRES, 8080, True),
        ({"ingress": [{"ports": [{"port": "http"}]}]}, ORDERS, POSTGRES, 5432, False),
        ({"ingress": [{"ports": [{"port": 5000, "endPort": 6000}]}]}, ORDERS, POSTGRES, 5432, True),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/16"}}]}]}, STRANGER, POSTGRES, 5432, True),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.0.9.0/24"]}}]}]}, STRANGER, ORDERS, 80, False),
        ({}, WORLD, POSTGRES, 5432, True),  # the node, and what runs beside the cluster
    ],
)  # fmt: skip
def test_a_policy_lets_through_what_its_rules_name(spec, source, target, port, passes):
    assert lets_through([policy(**spec)], source, target, port) is passes


def test_policies_only_ever_add_up():
    closed, opened = policy(), policy(ingress=[{"ports": [{"port": 5432}]}])
    assert not lets_through([closed], ORDERS, POSTGRES, 5432)
    assert lets_through([closed, opened], ORDERS, POSTGRES, 5432)


# --- as pods see it

_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))"
# Waits in `connect` itself, as nc and a shell's /dev/tcp do.
_CONNECT_PATIENTLY = "import socket, sys; socket.socket().connect((sys.argv[1], int(sys.argv[2])))"
# Connects, and asks as soon as it is told to.
_CONNECT_AND_ASK_LATER = """
import socket, sys
connected = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)
print("connected", flush=True)
sys.stdin.readline()
connected.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(connected.recv(1000).decode().splitlines()[0], flush=True)
"""


@pytest.fixture
def shop(lab, namespace):
    """A web server with its service, and a client; give what runs Python in a pod of the client, and the addresses."""
    lab.apply(service("web", namespace), deployment("web", namespace, WEB, replicas=1))
    lab.apply(deployment("client", namespace, WEB, replicas=1))
    until(lambda: len([pod for pod in lab.pods(namespace) if ready(pod)]) == 2)
    by_app = {pod["metadata"]["labels"]["app"]: pod for pod in lab.pods(namespace)}
    spec = until(lambda: lab.store("get", "services", "web", namespace=namespace)["spec"])
    return Shop(lab, namespace, by_app["client"], by_app["web"], (spec["clusterIP"], spec["ports"][0]["port"]))


def ready(pod):
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in pod.get("status", {}).get("conditions") or ())


class Shop:
    def __init__(self, lab, namespace, client, web, address):
        self.lab, self.namespace, self.client, self.web, self.address = lab, namespace, client, web, address
        self.direct = (web["status"]["podIP"], 8080)

    async def begin(self, code, *words):
        """Start Python in the client's pod."""
        command = ["python3", "-c", code, *map(str, words)]
        return await self.lab.cluster.kubelet.exec(self.namespace, self.client["metadata"]["name"], "web", command)

    def run(self, code, *words):
        """Run Python in the client's pod; give how it ended and how long that took."""

        async def run():
            began = time.monotonic()
            process = await self.begin(code, *words)
            errors = await process.outputs["stderr"].read()
            return await process.wait(), errors.decode(), time.monotonic() - began

        return self.lab.call(run())

    def deny(self, app, *types):
        spec = {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": list(types)}
        metadata = {"name": "closed", "namespace": self.namespace}
        self.lab.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})

    def allow(self):
        self.lab.store("delete", "networkpolicies", "closed", namespace=self.namespace)


@pytest.mark.lab
@pytest.mark.parametrize(("app", "direction"), [("web", "Ingress"), ("client", "Egress")])
def test_what_a_policy_denies_is_dropped_and_not_refused(shop, app, direction):
    assert shop.run(_CONNECT, *shop.address, 5)[0] == 0
    shop.deny(app, direction)
    for address in (shop.address, shop.direct):
        code, errors, seconds = shop.run(_CONNECT, *address, 0.5)
        assert (code, "timed out" in errors, seconds >= 0.5) == (1, True, True)
    shop.allow()
    assert shop.run(_CONNECT, *shop.address, 5)[0] == 0


@pytest.mark.lab
def test_who_waits_in_connect_gets_through_when_the_policy_goes(shop):
    shop.deny("web", "Ingress")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shop.run, _CONNECT_PATIENTLY, *shop.address)
        until(lambda: shop.lab.cluster.kubelet.gate._held)
        assert not waiting.done()
        shop.allow()
        assert waiting.result(10)[0] == 0


@pytest.mark.lab
def test_a_connection_that_stands_is_frozen_by_a_policy_and_goes_on_without_it(shop):
    process = shop.lab.call(shop.begin(_CONNECT_AND_ASK_LATER, *shop.address))
    assert shop.lab.call(process.outputs["stdout"].readline()) == b"connected\n"
    shop.deny("web", "Ingress")
    assert shop.lab.call(ask(process, seconds=1.0)) is None
    shop.allow()
    assert b"200" in shop.lab.call(answer(process, seconds=10))


async def ask(process, *, seconds):
    await process.write(b"now\n")
    return await answer(process, seconds=seconds)


async def answer(process, *, seconds):
    """Give the next line, None where none comes in time; a line that comes later is there the next time."""
    try:
        async with asyncio.timeout(seconds):
            return await process.outputs["stdout"].readline()
    except TimeoutError:
        return None


@pytest.mark.lab
def test_the_node_gets_in_whatever_a_policy_says(shop):
    shop.deny("web", "Ingress")
    assert shop.run(_CONNECT, *shop.direct, 0.3)[0] == 1  # the policy holds by now
    with urllib.request.urlopen("http://{}:{}/".format(*shop.direct), timeout=5) as answer:
        assert answer.status == 200
    assert ready(next(pod for pod in shop.lab.pods(shop.namespace) if pod["metadata"]["labels"]["app"] == "web"))


@pytest.mark.lab
def test_a_pod_is_seen_at_its_own_address(shop):
    with socket.create_server((shop.lab.cluster.network.node_ip, 0)) as listening:
        listening.settimeout(10)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(shop.run, _CONNECT, *listening.getsockname(), 5)
            _, (caller, _) = listening.accept()
            assert running.result(10)[0] == 0
    assert caller == shop.client["status"]["podIP"]


_TIMED = """
import http.client, sys, time
began = time.monotonic()
connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=30)
connection.connect()
connected = time.monotonic()
connection.request("GET", "/")
connection.getresponse().read()
print(connected - began, time.monotonic() - connected, file=sys.stderr)
"""


@pytest.mark.lab
def test_a_slow_link_makes_connecting_and_each_round_trip_late_and_a_new_pod_has_none(shop):
    directory = shop.lab.cluster.home / "cluster" / "data" / shop.namespace / shop.client["metadata"]["name"]
    Link(delay_seconds=0.3).write(directory)

    def times():
        return [float(word) for word in shop.run(_TIMED, *shop.address)[1].split()]

    until(lambda: min(times()) >= 0.3)
    assert max(times()) < 1.0  # one link, not two
    old = shop.client["metadata"]
    shop.lab.store("delete", "pods", old["name"], namespace=shop.namespace)

    def successor():
        pods = [pod for pod in shop.lab.pods(shop.namespace) if pod["metadata"]["labels"]["app"] == "client" and ready(pod)]
        return next((pod for pod in pods if pod["metadata"]["uid"] != old["uid"]), None)

    shop.client = until(successor)
    assert max(times()) < 0.25


_LOOK_UP = "import socket, sys; print(socket.gethostbyname(sys.argv[1]), file=sys.stderr)"


@pytest.mark.lab
def test_a_resolver_in_a_pod_knows_the_names_of_services_and_no_others(shop):
    for name in ("web", f"web.{shop.namespace}.svc.cluster.local"):
        assert shop.run(_LOOK_UP, name)[1].strip() == shop.address[0]
    assert "Name or service not known" in shop.run(_LOOK_UP, "nobody.example.com")[1]


@pytest.mark.lab
def test_a_policy_without_a_rule_for_names_leaves_a_resolver_without_an_answer(shop):
    shop.deny("client", "Egress")
    code, _, seconds = shop.run(f"import os; os.environ['RES_OPTIONS'] = 'timeout:1 attempts:1'; {_LOOK_UP}", "web")
    assert (code, seconds >= 1.0) == (1, True)
