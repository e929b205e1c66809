"""Taking a lab up and down, and looking at it, from outside: the lab itself is the process of `runbook_lab.supervisor`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lab.cluster import HomeInUseError, reap
from runbook_lab.home import Home

_START_SECONDS = 120.0
_END_SECONDS = 20.0
_LOOK_SECONDS = 0.1
_ANSWER_SECONDS = 2.0
_CODE = Path(__file__).resolve().parents[1]


class LabError(RuntimeError):
    """The lab cannot do what was asked. The message says why, and what to do."""


@dataclass(frozen=True)
class Up:
    """What `up` came to: the lab's state, whether it had been up before, and how long it took [s]."""

    state: dict[str, Any]
    was_up: bool
    seconds: float


def up(home: Home, *, seed: int, told: Callable[[str], None]) -> Up:
    """Start a lab, and return when everything in it answers; `told` hears of each step. Raises LabError."""
    began = time.monotonic()
    if home.supervisor():
        return Up(_wait_until_ready(home, told=told, process=None), was_up=True, seconds=time.monotonic() - began)
    _clean(home)
    home.make()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(_CODE), os.environ.get("PYTHONPATH"))))}
    with (home.logs / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "runbook_lab.supervisor", str(home.path), str(seed)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    try:
        state = _wait_until_ready(home, told=told, process=process)
    except BaseException:
        # Also on Ctrl-C: a lab that nobody waited for would be there at the next start, half up.
        _end(process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        raise
    return Up(state, was_up=False, seconds=time.monotonic() - began)


def down(home: Home) -> bool:
    """End a lab with all its processes, and remove its home but the logs. Tell whether one was up."""
    pid = home.supervisor()
    if pid:
        _end(pid)
    if home.path.is_dir():
        _clean(home)
    return pid is not None


def status(home: Home) -> dict[str, Any]:
    """Give what a lab is like now: its state (`down` without one), which of its parts answer, and the faults put in."""
    state, pid = home.state(), home.supervisor()
    if state is None or pid is None:
        crashed = state is not None
        return {
            "home": str(home.path),
            "state": "down",
            "text": "it ended without being told to" if crashed else "",
            "parts": {},
            "faults": [],
        }
    return {
        "home": str(home.path),
        **state,
        "faults": home.faults(),
        "parts": {name: _answers(home, name, path) for name, path in _PARTS.items()},
    }


_PARTS = {
    "prometheus": "/-/ready",
    "alertmanager": "/-/ready",
    "orders": "/health",
    "payments": "/health",
    "inventory": "/health",
}


def _answers(home: Home, name: str, path: str) -> bool:
    try:
        with urllib.request.urlopen(home.read(f"{name}.url") + path, timeout=_ANSWER_SECONDS) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _wait_until_ready(home: Home, *, told: Callable[[str], None], process: subprocess.Popen[bytes] | None) -> dict[str, Any]:
    deadline, last = time.monotonic() + _START_SECONDS, ""
    while time.monotonic() < deadline:
        ended = process is not None and process.poll() is not None
        state = home.state() or {}
        if state.get("state") == "ready" and home.supervisor():
            return state
        if ended or state.get("state") == "failed":
            raise LabError(
                f"the lab did not start: {state.get('text') or 'no reason was given'}; see {home.logs / 'supervisor.log'}"
            )
        if (text := state.get("text", "")) != last:
            last = text
            told(text)
        time.sleep(_LOOK_SECONDS)
    raise LabError(f"the lab was not ready within {_START_SECONDS:g} s, at {last!r}; see {home.logs}")


def _end(pid: int) -> None:
    """End a supervisor: in order, which ends all that belongs to it, and by force when that takes too long."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _END_SECONDS
        while time.monotonic() < deadline:
            if _has_ended(pid):
                return
            time.sleep(_LOOK_SECONDS)
        os.kill(pid, signal.SIGKILL)


def _has_ended(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _clean(home: Home) -> None:
    """Remove what a lab has left: processes of one that was killed, and its files."""
    if (home.path / "cluster").is_dir():
        try:
            reap(home.path)
        except HomeInUseError as error:
            raise LabError(f"a lab runs in {home.path} that did not write down its process: {error}") from error
    home.clear()
