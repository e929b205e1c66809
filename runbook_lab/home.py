"""The directory of one lab: its state, addresses, secrets and logs. Labs with different homes run side by side."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from runbook_lab.cluster.node import processes

_VARIABLE, _DEFAULT = "RUNBOOK_LAB_HOME", "~/.cache/runbook-lab"
# A Unix socket's path has at most 107 bytes; PostgreSQL adds the socket's name to its directory.
_LONGEST_SOCKET_DIRECTORY = 85


class Home:
    """Names and reads the files of a lab's home. `state` is what the supervisor has written last."""

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path or os.environ.get(_VARIABLE) or _DEFAULT).expanduser().resolve()
        self.state_file = self.path / "lab.json"
        self.kubeconfig = self.path / "kubeconfig"
        self.logs = self.path / "logs"
        self.faults_file = self.path / "faults.json"

    def make(self) -> None:
        """Make the home, closed to others: there are secrets in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        self.logs.mkdir(exist_ok=True)

    def clear(self) -> None:
        """Remove all that a lab has left but its logs."""
        shutil.rmtree(self._short_socket_directory(), ignore_errors=True)
        for entry in self.path.iterdir() if self.path.is_dir() else ():
            if entry == self.logs:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def socket_directory(self) -> Path:
        """Make the directory of PostgreSQL's socket and give it: in the home, or a short one where that path is too long."""
        directory = self.path / "postgres"
        if len(str(directory)) > _LONGEST_SOCKET_DIRECTORY:
            directory = self._short_socket_directory()
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory

    def pod_directory(self, pod: str, *, namespace: str = "shop") -> Path:
        """Give the directory that a pod's processes keep their own files in."""
        return self.path / "cluster" / "data" / namespace / pod

    # --- state

    def write(self, name: str, text: str) -> None:
        """Write a one-line file such as prometheus.url, readable for the lab's user only, as a whole or not at all."""
        path = self.path / name
        fresh = path.with_name(f".{name}.new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(path)

    def read(self, name: str) -> str:
        """Give the text of a one-line file. Raises FileNotFoundError while there is none."""
        return (self.path / name).read_text(encoding="utf-8").strip()

    def write_state(self, state: dict[str, Any]) -> None:
        """Keep the state of the lab."""
        self.write(self.state_file.name, json.dumps(state, indent=2))

    def state(self) -> dict[str, Any] | None:
        """Give the state that was written last, None when there is none; the lab may have crashed since."""
        try:
            state: dict[str, Any] = json.loads(self.state_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return state

    def note_faults(self, faults: list[dict[str, Any]]) -> None:
        """Keep what has been put in, beside what was before."""
        self.write(self.faults_file.name, json.dumps(self.faults() + faults, indent=2))

    def faults(self) -> list[dict[str, Any]]:
        """Give the faults that were put in since the lab was last healed, by name, kind, seed, intensity, text and time."""
        try:
            found: list[dict[str, Any]] = json.loads(self.faults_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return []
        return found

    def forget_faults(self) -> None:
        """Note that nothing is put in."""
        self.faults_file.unlink(missing_ok=True)

    def supervisor(self) -> int | None:
        """Give the pid of the running supervisor; None when none runs. A new process with an old pid is not taken for it."""
        state = self.state()
        if state is None:
            return None
        process = processes.read(int(state["supervisor"]["pid"]))
        return process.pid if process and process.started == state["supervisor"]["started"] else None

    def _short_socket_directory(self) -> Path:
        return Path(tempfile.gettempdir()) / f"runbook-lab-{os.getuid()}-{self.path.stat().st_ino if self.path.exists() else 0}"
