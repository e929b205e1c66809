"""The kernel that a notebook runs in: this Python, over sockets of the file system, ended with whoever started it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

__all__ = ["RunnerKernel", "kernel"]


class RunnerKernel(AsyncKernelManager):
    """A kernel of this interpreter, whatever kernelspecs are installed.

    Over ipc, which only this user can reach: a TCP kernel takes orders from everybody on the machine, and parallel ones race for
    ports. ipykernel ends by itself when its parent is gone.
    """

    environment: Mapping[str, str] = {}
    directory: str | None = None

    @property
    def kernel_spec(self) -> KernelSpec:
        """This interpreter's own."""
        launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=launch, language="python", display_name="Python 3", interrupt_mode="signal")

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        """Start it with its own environment and directory."""
        await self._async_start_kernel(**{**options, "env": {**os.environ, **self.environment}, "cwd": self.directory})

    def interrupt_now(self) -> None:
        """Break off the cell that is on, as Ctrl-C does, so that its handlers run; from any thread."""
        self._send(signal.SIGINT)

    def kill_now(self) -> None:
        """End the process with all that it started, from any thread."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        pid = getattr(self.provisioner, "pid", None)
        if pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(os.getpgid(pid), number)


@contextmanager
def kernel(environment: Mapping[str, str], directory: Path) -> Iterator[RunnerKernel]:
    """A kernel to be started, with a home of its own: no start-up file of the user is run, and its sockets have short names."""
    with TemporaryDirectory(prefix="rbk-", ignore_cleanup_errors=True) as home:
        manager = RunnerKernel(transport="ipc", ip=str(Path(home) / "k"), connection_file=str(Path(home) / "kernel.json"))
        manager.directory = str(directory)
        manager.environment = {**environment, "IPYTHONDIR": home, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        try:
            yield manager
        finally:
            manager.kill_now()
