"""An API server with a node that runs nothing: its logs and usage are fixed, its commands are processes of this machine."""

import asyncio
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook_lab.cluster.access import READER, Access
from runbook_lab.cluster.node.child import Child, Launch
from runbook_lab.cluster.node.gate import Gate
from runbook_lab.cluster.node.interface import ContainerNotFoundError, NodeError, PodUsage, Usage
from runbook_lab.cluster.server import ApiServer
from runbook_lab.cluster.store import Store
from tests.lab.cluster import running

# The fixtures of a whole cluster, for the node's tests.
lab, namespace, kubectl = running.lab, running.namespace, running.kubectl

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LOG_LINES = tuple(f"line {number}\n".encode() for number in range(1, 6))


def _open_gate() -> Gate:
    return Gate(admits=lambda source, target, port: True, delay_seconds=lambda source: 0.0)


@dataclass
class FakeNode:
    """A node as the API sees it; `asked` keeps what it was asked."""

    asked: list[dict[str, object]] = field(default_factory=list)

    async def logs(self, namespace: str, pod: str, container: str, **options: object) -> AsyncIterator[bytes]:
        self.asked.append({"namespace": namespace, "pod": pod, "container": container, **options})
        if options["previous"]:
            raise NodeError(f'previous terminated container "{container}" in pod "{pod}" not found')
        tail = options["tail_lines"]
        for line in LOG_LINES if tail is None else LOG_LINES[len(LOG_LINES) - int(str(tail)) :]:
            yield line

    async def exec(
        self, namespace: str, pod: str, container: str, command: Sequence[str], *, stdin: bool = True, tty: bool = False
    ) -> Child:
        self.asked.append({"namespace": namespace, "pod": pod, "container": container, "command": list(command), "tty": tty})
        if pod == "gone":
            raise ContainerNotFoundError(f"container {container} not found in pod {pod}")
        launch = Launch(tuple(command), os.environ, Path.cwd(), "127.0.0.1")
        return await Child.start(launch, _open_gate(), stdin=stdin, tty=tty)

    async def attach(self, namespace: str, pod: str, container: str, *, stdin: bool = False) -> Child:
        return await self.exec(namespace, pod, container, ("cat",), stdin=stdin)

    def usage(self, namespace: str | None = None) -> list[PodUsage]:
        used = {"orders": Usage(cpu_cores=0.25, memory_bytes=64 * 1024**2)}
        pods = [PodUsage("orders-0", "shop", {"app": "orders"}, used, MOMENT, 1.0)]
        return [pod for pod in pods if namespace in (None, pod.namespace)]


@dataclass(frozen=True)
class Api:
    """A running API server, and how to reach it."""

    url: str
    kubeconfig: Path
    access: Access
    store: Store
    node: FakeNode
    loop: asyncio.AbstractEventLoop

    def in_loop(self, work: Callable[[], object]) -> object:
        """Do something on the server's loop, where its store lives."""

        async def wrapped() -> object:
            return work()

        return asyncio.run_coroutine_threadsafe(wrapped(), self.loop).result(timeout=10)

    def kubectl(self, *arguments: str, user: str = READER, stdin: str | None = None, binary: str = "kubectl") -> "Ran":
        """Run a stock kubectl, with a fresh discovery cache."""
        path = shutil.which(binary)
        if path is None:
            pytest.fail("this test needs kubectl (1.28 or later) on the PATH")
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.kubeconfig.parent)}
        done = subprocess.run(
            [path, "--context", user, *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Ran:
    """What a command gave."""

    code: int
    out: str
    err: str


def pod_manifest(name: str = "orders-0", **labels: str) -> dict[str, object]:
    container = {"name": "orders", "image": "orders:1.0", "ports": [{"containerPort": 8080}]}
    return {"metadata": {"name": name, "labels": labels or {"app": "orders"}}, "spec": {"containers": [container]}}


def deployment_manifest(name: str = "orders", replicas: int = 3) -> dict[str, object]:
    container = {"name": name, "image": f"{name}:1.0", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


@pytest.fixture
def store() -> Store:
    return Store(clock=lambda: MOMENT, seed=1)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    store, node, access = Store(seed=1), FakeNode(), Access.issue(tmp_path / "certificates")
    for namespace in ("default", "shop"):
        store.create("namespaces", {"metadata": {"name": namespace}})
    store.create("nodes", {"metadata": {"name": "lab-node"}, "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}}})
    store.create("deployments", deployment_manifest(), namespace="shop")
    store.create("pods", pod_manifest(), namespace="shop")
    store.create("configmaps", {"metadata": {"name": "orders-config"}, "data": {"DATABASE_POOL_SIZE": "50"}}, namespace="shop")
    store.create("secrets", {"metadata": {"name": "orders-db"}, "data": {"password": "c2VjcmV0"}}, namespace="shop")
    server, listening = ApiServer(store, node, access), socket.create_server(("127.0.0.1", 0))
    asyncio.run_coroutine_threadsafe(server.start(listening), loop).result(timeout=10)
    url = f"https://127.0.0.1:{listening.getsockname()[1]}"
    kubeconfig = tmp_path / "kubeconfig"
    access.write_kubeconfig(kubeconfig, server=url, namespace="shop")
    yield Api(url, kubeconfig, access, store, node, loop)
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(timeout=10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=10)
    loop.close()
