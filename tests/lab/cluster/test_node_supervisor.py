"""What is left of a cluster when its process goes, in order or not."""

import contextlib
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from runbook_lab.cluster import HomeInUseError, reap
from runbook_lab.cluster.home_lock import HomeLock
from runbook_lab.cluster.node import processes
from tests.lab.cluster.running import until

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[3]
SUPERVISOR = textwrap.dedent(
    """
    import asyncio, signal, sys
    from pathlib import Path
    from runbook_lab.cluster import Cluster
    from tests.lab.cluster.running import IMAGES, container, pod

    async def main():
        cluster = Cluster(Path(sys.argv[1]), IMAGES)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await cluster.start()
        family = container("done:1", command=["sh", "-c", "sleep 300 & exec sleep 300"])
        await cluster.apply([pod("web", "shop", container()), pod("family", "shop", family)])
        while len(list(cluster.kubelet.readings())) < 2:
            await asyncio.sleep(0.05)
        print("up", flush=True)
        await ended.wait()
        await cluster.stop()

    asyncio.run(main())
    """
)


@contextlib.contextmanager
def supervisor(home):
    process = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(home)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    try:
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def family_of(home):
    """Give all processes that the cluster of a home has started, with their descendants."""
    roots = [int(entry.name) for entry in (home / "cluster" / "processes").iterdir()]
    return processes.members(roots, processes.snapshot())


def alive(family):
    return [entry for entry in family if (now := processes.read(entry.pid)) and now.started == entry.started]


def test_a_stop_ends_every_process(tmp_path):
    with supervisor(tmp_path) as process:
        family = family_of(tmp_path)
        assert len(family) == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert alive(family) == []
    assert list((tmp_path / "cluster" / "processes").iterdir()) == []


def test_a_killed_supervisor_takes_its_containers_along_and_the_next_one_ends_the_rest(tmp_path):
    with supervisor(tmp_path) as process:
        family = family_of(tmp_path)
        process.kill()
        process.wait()
        # The kernel ends the containers' own processes; a descendant may outlive them.
        until(lambda: len(alive(family)) <= 1)
    assert reap(tmp_path) == 1
    until(lambda: alive(family) == [])


def test_a_home_serves_one_cluster_at_a_time(tmp_path):
    with HomeLock(tmp_path / "cluster"), pytest.raises(HomeInUseError, match="found one; take it down first"):
        reap(tmp_path)
    assert reap(tmp_path) == 0
