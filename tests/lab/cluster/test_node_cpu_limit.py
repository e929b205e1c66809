import os
import signal
import time
from pathlib import Path

import pytest

from runbook_lab.cluster.node import processes
from tests.lab.cluster.running import READY, container, pod, until
from tests.lab.cluster.test_node_exporters import scrape, value

pytestmark = pytest.mark.lab

# A child that works, beside the server that probes reach: both are the container's.
BUSY = ("sh", "-c", "while :; do :; done")
LIMIT_CORES = 0.2


@pytest.fixture
def busy(lab, namespace):
    """A pod that would use a whole core and may use a fifth; gives its pid once it is held back."""
    spec = container("web:1", command=list(BUSY), resources={"limits": {"cpu": f"{LIMIT_CORES}"}})
    lab.apply(pod("busy", namespace, spec))
    until(lambda: throttled(lab, namespace) > 0)
    return main_pid(lab, namespace)


def main_pid(lab, namespace):
    return lab.cluster.kubelet._container(namespace, "busy", "web").main_pid


def throttled(lab, namespace):
    samples = scrape(lab.cluster.cadvisor_url, namespace)
    return value(samples, "container_cpu_cfs_throttled_periods_total", container="web", pod="busy") or 0


def state(pid):
    text = Path(f"/proc/{pid}/stat").read_text()
    return text[text.rindex(")") + 2]


def cores(pid, seconds=2.0):
    began, before = time.monotonic(), processes.cpu_seconds(pid)
    until(lambda: time.monotonic() - began > seconds)
    return (processes.cpu_seconds(pid) - before) / (time.monotonic() - began)


def test_a_container_uses_no_more_than_its_limit(lab, namespace, busy):
    assert cores(busy) == pytest.approx(LIMIT_CORES, rel=0.25)
    samples = scrape(lab.cluster.cadvisor_url, namespace)
    periods = value(samples, "container_cpu_cfs_periods_total", container="web", pod="busy")
    assert 0 < throttled(lab, namespace) <= periods
    assert value(samples, "container_cpu_cfs_throttled_seconds_total", container="web", pod="busy") > 0.1


def test_a_command_in_a_container_that_is_held_back_runs_and_ends(lab, namespace, busy):
    async def run():
        child = await lab.cluster.kubelet.exec(namespace, "busy", "web", ["echo", "here"], stdin=False)
        out = await child.outputs["stdout"].read()
        return out, await child.wait()

    assert lab.call(run()) == (b"here\n", 0)


def test_a_container_that_is_held_back_ends_when_it_is_told_to(lab, namespace, busy):
    lab.store("remove", "pods", "busy", namespace=namespace)
    until(lambda: processes.read(busy) is None)


def test_who_was_stopped_by_somebody_else_stays_stopped(lab, namespace, busy):
    os.kill(busy, signal.SIGSTOP)
    before = until(lambda: state(busy) == "T" and processes.cpu_seconds(busy))
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1.0)
    assert processes.cpu_seconds(busy) - before < 0.03
    os.kill(busy, signal.SIGCONT)
    until(lambda: processes.cpu_seconds(busy) - before > 0.1)


def test_a_container_far_from_its_limit_is_never_held_back(lab, namespace):
    spec = container("web:1", readinessProbe=READY, resources={"limits": {"cpu": "500m"}})
    lab.apply(pod("calm", namespace, spec))
    name = "container_cpu_cfs_periods_total"
    until(lambda: (value(scrape(lab.cluster.cadvisor_url, namespace), name, container="web", pod="calm") or 0) > 3)
    samples = scrape(lab.cluster.cadvisor_url, namespace)
    assert value(samples, "container_cpu_cfs_throttled_periods_total", container="web", pod="calm") == 0
