"""The receiver as a process, with real sockets and signals. A stand-in takes the place of `runbook run`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

SERVER = """
import sys
from pathlib import Path
from runbook_lib.receiver.server import Serving, serve
from runbook_lib.receiver.workers import RunCommand
here = Path(sys.argv[1])
command = RunCommand(notebooks=here, parameters=here, outputs=here, program=(sys.executable, str(here / "run.py")))
serving = Serving(host="127.0.0.1", port=0, token="t", command=command, queue=here / "queue", workers=1)
serve(serving, told=lambda line: print(line, flush=True))
"""
ROUTES = """
routes:
  - {matchers: ['runbook="high_error_rate"', 'service="b"'], notebook: high_error_rate, service: b.yaml}
  - {matchers: ['runbook="high_error_rate"'], notebook: high_error_rate, service: orders.lab.yaml}
"""


RUN = """
import os, pathlib, time
pathlib.Path(__file__).with_name("pid").write_text(str(os.getpid()))
time.sleep(600)
"""


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "orders.lab.yaml").touch()
    (tmp_path / "b.yaml").touch()
    (tmp_path / "alert_routes.yaml").write_text(ROUTES)
    (tmp_path / "run.py").write_text(RUN)
    return tmp_path


@pytest.fixture
def started(home):
    running = []

    def start() -> tuple[subprocess.Popen, str]:
        process = subprocess.Popen([sys.executable, "-c", SERVER, str(home)], stdout=subprocess.PIPE, text=True)
        running.append(process)
        return process, address(process)

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def address(process: subprocess.Popen) -> str:
    return next(found[0] for line in process.stdout if (found := re.search(r"http://\S+(?=/alerts)", line)))


def send(url: str, *fingerprints: str) -> httpx.Response:
    alerts = [
        {
            "status": "firing",
            "labels": {"runbook": "high_error_rate", "service": fingerprint},
            "startsAt": "2026-05-04T03:12:40Z",
            "fingerprint": fingerprint,
        }
        for fingerprint in fingerprints
    ]
    return httpx.post(f"{url}/alerts", json={"version": "4", "alerts": alerts}, headers={"Authorization": "Bearer t"})


def until(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen within 30 s"
        time.sleep(0.02)


def files(home: Path, state: str) -> list[Path]:
    return list((home / "queue" / state).glob("*.json"))


def end_orphan(home: Path) -> None:
    """A killed receiver leaves its run behind; a test does not."""
    os.kill(int((home / "pid").read_text()), signal.SIGKILL)


def test_what_was_accepted_survives_kill_9(started, home):
    process, url = started()
    assert send(url, "a", "b").json()["accepted"] == 2
    until(lambda: (home / "pid").exists() and (home / "pid").read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    end_orphan(home)
    kept = {
        json.loads(path.read_text())["alert"]["fingerprint"] for state in ("waiting", "running") for path in files(home, state)
    }
    assert kept == {"a", "b"}
    (home / "run.py").write_text("print('done')")
    started()
    until(lambda: len(files(home, "finished")) == 2)


def test_the_run_that_a_killed_receiver_leaves_behind_is_ended_by_the_next(started, home):
    process, url = started()
    send(url, "a")
    until(lambda: any(json.loads(path.read_text())["process"] for path in files(home, "running")))
    until(lambda: (home / "pid").exists() and (home / "pid").read_text())
    left = int((home / "pid").read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    (home / "run.py").write_text("print('done')")
    started()
    with pytest.raises(ProcessLookupError):
        os.kill(left, 0)
    until(lambda: files(home, "finished"))


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_the_run_that_is_on_waits_for_the_next_start(sent, started, home):
    process, url = started()
    send(url, "a")
    until(lambda: files(home, "running"))
    process.send_signal(sent)
    process.wait(timeout=30)
    assert (len(files(home, "waiting")), files(home, "running")) == (1, [])


def test_a_port_that_is_taken_is_told(started, home, tmp_path):
    from runbook_lib.errors import ConfigurationError
    from runbook_lib.receiver.server import _listening

    _, url = started()
    with pytest.raises(ConfigurationError, match="give another --host or --port"):
        _listening("127.0.0.1", int(url.rsplit(":", 1)[1]))


def test_the_queue_is_for_nobody_elses_eyes(started, home):
    started()
    assert (home / "queue" / "waiting").stat().st_mode & 0o077 == 0
