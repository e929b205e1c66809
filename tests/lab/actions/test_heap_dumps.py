"""Heap dumps of real Node.js and JVM processes, in pods of the lab cluster: dumped, fetched, verified, removed, and read."""

from __future__ import annotations

import re
import shutil
import socket
import stat
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from kubernetes import config

from runbook_lab.cluster import Image
from runbook_lib.actions.audit import AuditLog
from runbook_lib.actions.guard import propose
from runbook_lib.actions.heap import TAKE_HEAP_DUMP
from runbook_lib.actions.interface import ActionContext
from runbook_lib.errors import SourceAnswerInvalid, SourceMissingObject, SourceRefused, SourceTimeout
from runbook_lib.incident.heap import HeapExplorer
from runbook_lib.models.command import CommandResult
from runbook_lib.models.finding import Finding
from runbook_lib.models.plan import Outcome, Proposal
from runbook_lib.service import Service
from runbook_lib.sources.container import Container
from tests.lab.cluster import running
from tests.lab.cluster.running import RunningCluster, container, pod, until

pytestmark = pytest.mark.lab

namespace = running.namespace
Connect = Callable[..., ActionContext]

# The lab's pods see all processes of this machine, and tell their own by the pod's name; node's inspector has one port for all.
# So that two runs at a time leave each other alone, both are of this run.
POD = f"shop-{uuid4().hex[:8]}"
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    INSPECTOR_PORT = free.getsockname()[1]

# Keeps 20,000 orders, and 20,000 more whenever a file called `more` lies in its directory.
_NODE = textwrap.dedent(
    """
    const fs = require('fs');
    class Order { constructor(id) { this.id = id; this.note = 'order ' + id; } }
    const kept = [];
    const leak = () => {
      for (let i = 0; i < 20000; i += 1) kept.push(new Order(kept.length));
      console.log('kept ' + kept.length);
    };
    leak();
    setInterval(() => { if (fs.existsSync('more')) { fs.unlinkSync('more'); leak(); } }, 50);
    """
)
_JAVA = textwrap.dedent(
    """
    import java.nio.file.*;
    import java.util.*;
    public class Shop {
        static class Order { long id; String note; Order(long id) { this.id = id; this.note = "order " + id; } }
        static final List<Order> kept = new ArrayList<>();
        static void leak() { for (int i = 0; i < 20000; i++) kept.add(new Order(i)); System.out.println("kept " + kept.size()); }
        public static void main(String[] arguments) throws Exception {
            leak();
            while (true) {
                if (Files.deleteIfExists(Path.of("more"))) leak();
                Thread.sleep(50);
            }
        }
    }
    """
)


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"this test needs {name} on the PATH (apt-get install nodejs openjdk-17-jdk-headless)")
    return path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster with images for Node.js and Java, beside those of the other tests."""
    folder = tmp_path_factory.mktemp("classes")
    (folder / "Shop.java").write_text(_JAVA)
    subprocess.run([program("javac"), "-d", str(folder), str(folder / "Shop.java")], check=True, timeout=120)
    images = {
        "node:20": Image((program("node"), f"--inspect-port={INSPECTOR_PORT}", "-e", _NODE)),
        "node-signal:20": Image((program("node"), "--heapsnapshot-signal=SIGUSR2", "-e", _NODE)),
        "java:17": Image((program("java"), "-Xmx128m", "-cp", str(folder), "Shop")),
        "python:3": Image(("python3", "-c", "import time; print('kept 20000', flush=True); time.sleep(600)")),
    }
    cluster = RunningCluster(tmp_path_factory.mktemp("cluster"), images=images)
    yield cluster
    cluster.stop()


@pytest.fixture
def connect(lab: RunningCluster, namespace: str, tmp_path: Path) -> Connect:
    def connected(*, user: str = "lab-operator") -> ActionContext:
        return ActionContext(
            service=a_service(namespace),
            mode="interactive",
            incident="incident-1",
            audit=AuditLog(tmp_path / "audit.jsonl", redact=str, history=tmp_path),
            now=lambda: datetime.now(UTC),
            sleep=time.sleep,
            operator="alice",
            api_client=config.new_client_from_config(str(lab.cluster.kubeconfig), context=user),
            open_container=Container,
            heap_dumps=tmp_path / "heap",
        )

    return connected


def a_service(namespace: str, **application: object) -> Service:
    return Service.model_validate(
        {
            "name": "shop",
            "environment": "test",
            "overview": {"purpose": "Sells.", "owner": "Shop team", "tier": 1},
            "components": {"application": {"deployment": "shop", "selector": f"app={POD}", **application}},
            "connections": {"kubernetes": {"namespace": namespace}},
        }
    )


def started(lab: RunningCluster, namespace: str, image: str, **fields: object) -> None:
    """Run the pod with this image, and wait until it keeps its first orders: a pod runs before its program does."""
    manifest = pod(POD, namespace, container(image, **fields))
    lab.apply(manifest)
    until(lambda: "kept 20000" in lab.log(lab.pods(namespace)[0]) if running_pod(lab, namespace) else False, seconds=60)


def running_pod(lab: RunningCluster, namespace: str) -> bool:
    return any((one.get("status") or {}).get("phase") == "Running" for one in lab.pods(namespace))


def leak_more(context: ActionContext, lab: RunningCluster, namespace: str, image: str) -> None:
    inside(context, namespace, image).run(["sh", "-c", ">more"])
    until(lambda: "kept 40000" in lab.log(lab.pods(namespace)[0]), seconds=30)


def inside(context: ActionContext, namespace: str, image: str) -> Container:
    assert context.api_client is not None
    return Container(context.api_client, namespace, POD, image.partition(":")[0], 10.0)


def approved(proposal: Proposal) -> Outcome:
    assert proposal.approve is not None, proposal.outcome.text
    return proposal.approve(f"pod/{POD}")


def explorer(context: ActionContext) -> HeapExplorer:
    assert context.heap_dumps is not None
    kept: list[Finding] = []
    return HeapExplorer(directory=context.heap_dumps, keep=kept.append)


@pytest.mark.parametrize(
    ("image", "way", "order"),
    [("node:20", "inspector", "Order"), ("node-signal:20", "signal", "Order"), ("java:17", "jcmd", "Shop$Order")],
)
def test_two_dumps_of_a_leaking_process_show_what_grew(
    image: str, way: str, order: str, lab: RunningCluster, namespace: str, connect: Connect
):
    started(lab, namespace, image)
    context = connect()

    proposal = propose(TAKE_HEAP_DUMP, context)
    assert proposal.plan is not None, proposal.outcome.text
    assert proposal.plan.arguments["choice"]["way"] == way
    outcome = approved(proposal)
    leak_more(context, lab, namespace, image)
    again = approved(propose(TAKE_HEAP_DUMP, context))

    assert (outcome.status, again.status) == ("executed", "executed"), f"{outcome.steps} {again.steps}"
    reading = explorer(context)
    files = [Path(file) for file in reading.dumps()["file"]]
    assert len(files) == 2
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert str(files[0]) in outcome.steps[-1]
    assert "SHA-256 " in outcome.steps[-1]
    assert "passwords" in outcome.steps[-1]
    assert left_over(context, namespace, image) == []
    largest = reading.largest().frame
    assert largest is not None
    assert largest.set_index("name").loc[order, "count"] == 40_000
    growth = reading.growth()
    assert growth.frame is not None
    assert growth.frame.set_index("name").loc[order, "grown_count"] == 20_000
    assert re.search(rf"(Most grew: |own \w+ ){re.escape(order)}, \+\d", growth.summary), growth.summary


def left_over(context: ActionContext, namespace: str, image: str) -> list[str]:
    """Dumps that were left in the container."""
    listed = inside(context, namespace, image).run(["sh", "-c", "ls . /tmp"]).out.split()
    return [name for name in listed if (f"-{POD}." in name and "Z-" in name) or name.startswith("Heap.")]


def test_the_classes_of_a_jvm_are_counted_without_a_dump(lab: RunningCluster, namespace: str, connect: Connect):
    started(lab, namespace, "java:17")
    context = connect()
    proposal = propose(TAKE_HEAP_DUMP, context, histogram=True)
    assert proposal.plan is not None, proposal.outcome.text
    assert not any("passwords" in warning for warning in proposal.plan.warnings)
    assert approved(proposal).status == "executed"
    largest = explorer(context).largest().frame
    assert largest is not None
    assert largest.set_index("name").loc["Shop$Order", "count"] == 20_000


def test_a_process_that_was_started_again_since_the_plan_is_left_alone(lab: RunningCluster, namespace: str, connect: Connect):
    started(lab, namespace, "node:20")
    context = connect()
    proposal = propose(TAKE_HEAP_DUMP, context)
    assert proposal.plan is not None, proposal.outcome.text
    inside(context, namespace, "node:20").run(["kill", "-KILL", str(proposal.plan.arguments["process"]["pid"])])
    until(lambda: (lab.pods(namespace)[0]["status"]["containerStatuses"][0]).get("restartCount") == 1)
    until(lambda: "kept 20000" in lab.log(lab.pods(namespace)[0]))
    outcome = approved(proposal)
    assert outcome.status == "refused"
    assert "not the one of the plan" in outcome.text


def test_what_cannot_be_dumped_is_refused_with_the_way_out(lab: RunningCluster, namespace: str, connect: Connect):
    started(lab, namespace, "python:3")
    assert "tracemalloc" in propose(TAKE_HEAP_DUMP, connect()).outcome.text
    assert "get pods/exec" in propose(TAKE_HEAP_DUMP, connect(user="lab-reader")).outcome.text
    assert "no pod/other runs" in propose(TAKE_HEAP_DUMP, connect(), pod="other").outcome.text
    assert not (connect().heap_dumps or Path()).exists()


def test_commands_in_a_container_are_bounded_and_tell_how_they_ended(lab: RunningCluster, namespace: str, connect: Connect):
    started(lab, namespace, "python:3")
    shop = inside(connect(), namespace, "python:3")
    assert shop.run(["sh", "-c", "echo out; echo error >&2; exit 3"]) == CommandResult(code=3, out="out\n", error="error")
    data = b"".join(shop.stream(["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' '\\377'"], idle_seconds=20))
    assert data == b"\xff" * 3_000_000
    assert b"".join(shop.stream(["sh", "-c", "read -r line; echo $line"], idle_seconds=20, stdin=b"hello\n")) == b"hello\n"
    with pytest.raises(SourceAnswerInvalid, match="more than"):
        shop.run(["head", "-c", "3000000", "/dev/zero"])
    with pytest.raises(SourceAnswerInvalid, match="exit code 4"):
        list(shop.stream(["sh", "-c", "exit 4"], idle_seconds=20))
    with pytest.raises(SourceTimeout, match=r"silent for 0\.2 s"):
        list(shop.stream(["sleep", "30"], idle_seconds=0.2))
    with pytest.raises(SourceMissingObject):
        replace(shop, pod="gone").run(["true"])
    with pytest.raises(SourceRefused):
        inside(connect(user="lab-reader"), namespace, "python:3").run(["true"])
    assert shop.run(["no-such-program"]).code == 127
    with pytest.raises(SourceAnswerInvalid, match="no-such-program"):
        list(shop.stream(["no-such-program"], idle_seconds=20))
