"""A lab cluster that runs in a thread of its own, and manifests of a small web server to run on it."""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbook_lab import toolbox
from runbook_lab.cluster import Cluster, Image
from runbook_lab.cluster.controllers.autoscaler import Pace
from runbook_lab.cluster.node.backoff import Timing

# Answers its name and version; dies, leaks, fails its probe and hangs on demand.
_SERVER = textwrap.dedent(
    """
    import http.server, os, signal, sys, time

    unhealthy = kept = None

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            global unhealthy, kept
            print("GET", self.path, flush=True)
            if self.path == "/exit":
                os._exit(3)
            if self.path == "/leak":
                kept = b"x" * 120_000_000
            if self.path == "/sicken":
                unhealthy = True
            code = 503 if self.path == "/health" and unhealthy else 200
            body = f"{os.environ['HOSTNAME']} {os.environ.get('VERSION', '')}".encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    def stop(*_):
        print("asked to stop", flush=True)
        if "STUBBORN" not in os.environ:
            sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    server = http.server.ThreadingHTTPServer((os.environ["LAB_POD_IP"], 8080), Handler)
    print("serving", file=sys.stderr, flush=True)
    server.serve_forever()
    """
)
_PYTHON = (sys.executable, "-c")
IMAGES = {
    "web:1": Image((*_PYTHON, _SERVER), env={"VERSION": "1"}),
    "web:2": Image((*_PYTHON, _SERVER), env={"VERSION": "2"}),
    "crash:1": Image((*_PYTHON, "import sys; print('cannot go on', flush=True); sys.exit(7)")),
    "done:1": Image((*_PYTHON, "print('done')")),
    "missing-program:1": Image(("no-such-program",)),
}
# Back-offs of a quarter of a second at first, so that a crash loop shows all its states within a test.
TIMING = Timing(backoff_first=0.25, backoff_longest=1.0, config_retry=0.1, sample_every=0.25)
# Autoscalers that decide within a test, too.
PACE = Pace(look_every=0.5, downscale_stabilization=2.0)


class RunningCluster:
    """A cluster on a loop in another thread; every method here may be called from the test's own thread."""

    def __init__(self, home: Path, *, images: Mapping[str, Image] = IMAGES) -> None:
        self._images = images
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.cluster: Cluster = self.call(self._make(home))

    async def _make(self, home: Path) -> Cluster:
        tools = (str(toolbox.install(home / "tools")),)
        images = self._images | dict.fromkeys(("busybox", "nicolaka/netshoot"), Image((), ("sh",)))
        images = {name: replace(image, tools_path=tools) for name, image in images.items()}
        cluster = Cluster(home, images, timing=TIMING, pace=PACE)
        await cluster.start()
        return cluster

    def call(self, coroutine: Any) -> Any:
        """Await something on the cluster's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def store(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the cluster's store on the cluster's loop."""

        async def call() -> Any:
            return getattr(self.cluster.store, method)(*arguments, **options)

        return self.call(call())

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Create or change objects."""
        self.call(self.cluster.apply(manifests))

    def change(self, plural: str, name: str, namespace: str, edit: Callable[[dict], None]) -> None:
        """Change an object in place."""
        obj = self.store("get", plural, name, namespace=namespace)
        edit(obj)
        self.store("update", plural, obj)

    def pods(self, namespace: str) -> list[dict]:
        """Give the pods of a namespace."""
        return self.store("list", "pods", namespace=namespace)

    def reasons(self, namespace: str, kind: str = "Pod") -> set[str]:
        """Give the reasons of the events about objects of a kind."""
        events = self.store("list", "events", namespace=namespace)
        return {event["reason"] for event in events if event["involvedObject"]["kind"] == kind}

    def log(self, pod: dict, **options: Any) -> str:
        """Give the log of a pod's first container."""
        metadata, container = pod["metadata"], pod["spec"]["containers"][0]["name"]

        async def read() -> bytes:
            chunks = self.cluster.kubelet.logs(metadata["namespace"], metadata["name"], container, **options)
            return b"".join([chunk async for chunk in chunks])

        return self.call(read()).decode()

    def last_words(self, plural: str, namespace: str) -> "Future[dict]":
        """Give, once it happens, the object of a namespace that is deleted next, as it was last."""

        async def wait() -> dict:
            async for change, obj in self.cluster.store.watch(plural, namespace=namespace):
                if change == "DELETED":
                    return obj
            raise AssertionError("a watch does not end")

        return asyncio.run_coroutine_threadsafe(wait(), self._loop)

    def stop(self) -> None:
        """Stop the cluster and its loop."""
        self.call(self.cluster.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def until(what: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """Wait until a call gives something true, and give that; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds:g} s"
        time.sleep(0.05)
    return value


def container(image: str = "web:1", **fields: Any) -> dict:
    """Make a container of an image, named after it."""
    return {"name": image.partition(":")[0], "image": image, "ports": [{"name": "http", "containerPort": 8080}]} | fields


def pod(name: str, namespace: str, *containers: dict, **spec: Any) -> dict:
    """Make a pod with labels app=<name>."""
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [*containers], **spec}}


def deployment(name: str, namespace: str, *containers: dict, replicas: int = 3, **spec: Any) -> dict:
    """Make a deployment whose pods have the labels app=<name>."""
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [*containers], "terminationGracePeriodSeconds": 2}}
    selector = {"matchLabels": {"app": name}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": selector, "template": template, **spec},
    }


def service(name: str, namespace: str, **spec: Any) -> dict:
    """Make a service on port 8000 (8080 behind it) of the pods with the label app=<name>."""
    ports = [{"name": "http", "port": 8000, "targetPort": "http"}]
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": {"app": name}, "ports": ports, **spec},
    }


READY = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1}


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Give one running cluster for all tests that need a whole one."""
    running = RunningCluster(tmp_path_factory.mktemp("cluster"))
    yield running
    running.stop()


@pytest.fixture
def namespace(lab):
    """Give the test a namespace of its own in the running cluster."""
    name = f"test-{secrets.token_hex(4)}"
    lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    lab.store("delete", "namespaces", name)


@pytest.fixture
def kubectl(lab, namespace):
    """Run kubectl as the operator in the test's namespace; give what it printed, errors included."""
    path = shutil.which("kubectl")
    if path is None:
        pytest.fail("this test needs kubectl (1.28 or later) on the PATH")
    home = lab.cluster.kubeconfig.parent
    environment = {**os.environ, "KUBECONFIG": str(lab.cluster.kubeconfig), "HOME": str(home)}

    def run(*arguments, code=0, stdin=None, **variables):
        command = [path, "--context", "lab-operator", "--namespace", namespace, *arguments]
        done = subprocess.run(
            command,
            env=environment | variables,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert code in (None, done.returncode), done.stdout
        return done.stdout

    return run
