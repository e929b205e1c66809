"""Wakes what was stopped with a signal."""

from __future__ import annotations

import signal
from pathlib import Path

from runbook_lab.cluster.node import processes
from runbook_lab.home import Home


def wake(home: Home) -> list[str]:
    """Continue all processes of the lab that are stopped, as after `kill -STOP`; say which."""
    roots = [int(entry.name) for entry in (home.path / "cluster" / "processes").iterdir() if entry.name.isdigit()]
    roots += (home.state() or {}).get("servers", {}).values()
    stopped = [process for process in processes.members(roots, processes.snapshot()) if _is_stopped(process.pid)]
    processes.send(stopped, signal.SIGCONT)
    return [f"continued process {process.pid}" for process in stopped]


def _is_stopped(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text[text.rindex(")") + 2] == "T"
