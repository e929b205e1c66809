"""Wakes what was stopped with a signal."""

from __future__ import annotations

import signal

from runbook_lab.cluster.node import processes
from runbook_lab.home import Home


def wake(home: Home) -> list[str]:
    """Continue all processes of the lab that are stopped, as after `kill -STOP`; say which."""
    roots = [int(entry.name) for entry in (home.path / "cluster" / "processes").iterdir() if entry.name.isdigit()]
    roots += (home.state() or {}).get("servers", {}).values()
    stopped = [process for process in processes.members(roots, processes.snapshot()) if process.stopped]
    processes.send(stopped, signal.SIGCONT)
    return [f"continued process {process.pid}" for process in stopped]
