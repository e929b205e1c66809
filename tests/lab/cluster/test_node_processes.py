import contextlib
import os
import signal
import subprocess
import sys

import pytest

from runbook_lab.cluster.node import processes
from runbook_lab.cluster.node.processes import Register
from tests.lab.cluster.running import until

# A parent whose child leaves it (but not its session) and goes on alone.
ORPHAN = "sleep 300 & echo $!; exec sleep 300"
SESSION_LEFT = "sleep 300 & echo $!"


@contextlib.contextmanager
def started(script):
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)
    child = int(process.stdout.readline())
    try:
        yield process, child
    finally:
        for pid in (child, process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_descendants_belong_to_their_root():
    with started(ORPHAN) as (process, child):
        found = processes.members([process.pid], processes.snapshot())
        assert {entry.pid for entry in found} == {process.pid, child}


def test_an_orphan_still_belongs_to_its_session():
    with started(SESSION_LEFT) as (process, child):
        process.wait()
        assert [entry.pid for entry in processes.members([process.pid], processes.snapshot())] == [child]


def test_memory_and_processor_time_are_measured():
    code = "x = b'x' * 50_000_000\nwhile sum(__import__('os').times()[:2]) < 0.2: pass\nprint(1, flush=True)\ninput()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        sample = processes.measure(processes.members([process.pid], processes.snapshot()))
        process.communicate(b"\n")
    assert 50_000_000 < sample.memory_bytes < 100_000_000
    assert 0.1 < sample.cpu_seconds < 5
    assert (sample.processes, sample.threads) == (1, 1)


def test_what_a_crashed_run_left_behind_is_ended(tmp_path):
    with started(ORPHAN) as (process, child):
        Register(tmp_path).add(process.pid)
        assert Register(tmp_path).reap() == 2
        process.wait()
        until(lambda: processes.read(child) is None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("started_at", ["1", "12345"])
def test_a_process_that_only_has_the_pid_of_an_old_one_is_left_alone(tmp_path, started_at):
    with started(ORPHAN) as (process, _):
        (tmp_path / str(process.pid)).write_text(started_at)
        assert Register(tmp_path).reap() == 0
        assert process.poll() is None
