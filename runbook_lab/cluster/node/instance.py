"""One run of a container: a process with its descendants, its log, and the way it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import uuid
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from runbook_lab.cluster.metadata import Object, timestamp, utc_now
from runbook_lab.cluster.node import processes
from runbook_lab.cluster.node.gate import Gate
from runbook_lab.cluster.node.interface import ExecError
from runbook_lab.cluster.node.logs import LogFile

_LAUNCHER = Path(__file__).with_name("launch.py")
_TERMINAL = Path(__file__).with_name("terminal.py")
# A process that left its parent may hold the pipe of its output open; it is killed, and then this is enough to read the rest [s].
_DRAIN_SECONDS = 2.0


@dataclass(frozen=True)
class Launch:
    """What to start: a command line with its environment, in a directory, at the pod's address; and the signal to end it."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    workdir: Path
    ip: str
    stop_signal: signal.Signals = signal.SIGTERM

    def check(self) -> None:
        """Raise ExecError, in a runtime's words, where there is no such program."""
        if not self.command:
            raise ExecError("no command specified")
        if shutil.which(self.command[0], path=self.environment.get("PATH", os.defpath)) is None:
            path = Path(self.command[0])
            why = "executable file not found in $PATH" if path.name == self.command[0] else "no such file or directory"
            raise ExecError(f'exec: "{self.command[0]}": {why}')


async def spawn(
    launch: Launch, gate: Gate, *, stdin: int = DEVNULL, stderr: int = PIPE, tty: bool = False
) -> asyncio.subprocess.Process:
    """Start a process in a session of its own, behind the gate, which dies with this one. Raises ExecError."""
    launch.check()
    own = (str(_TERMINAL),) if tty else ()
    with gate.entrance(launch.ip) as entrance:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), "--gate", str(entrance)),
            *((sys.executable, "-I", "-S", *own) if tty else ()),
            *launch.command,
            stdin=stdin,
            stdout=PIPE,
            stderr=stderr,
            env=dict(launch.environment),
            cwd=launch.workdir,
            start_new_session=True,
            pass_fds=(entrance,),
        )


class Instance:
    """A running instance of a container, from its start to its end."""

    def __init__(
        self, process: asyncio.subprocess.Process, launch: Launch, log: LogFile, register: processes.Register, gate: Gate
    ) -> None:
        self.id = uuid.uuid4().hex * 2
        self.launch = launch
        self.log = log
        self.started_at = utc_now()
        self.out_of_memory = False
        self.ended = asyncio.Event()
        self.pid = process.pid
        self._process = process
        self._register = register
        self._gate = gate
        self._executed: set[int] = set()
        self._waiting: set[asyncio.Task[None]] = set()
        register.add(process.pid)

    @classmethod
    async def start(cls, launch: Launch, log: LogFile, register: processes.Register, gate: Gate) -> Instance:
        """Start the process. Raises ExecError."""
        return cls(await spawn(launch, gate), launch, log, register, gate)

    def roots(self) -> set[int]:
        """Give the pids from which all of the instance's processes descend."""
        return {self._process.pid, *self._executed}

    async def end(self) -> Object:
        """Wait until the process has ended, end what is left of its descendants, and tell how: the API's `terminated` state."""
        streams = [("stdout", self._process.stdout), ("stderr", self._process.stderr)]
        pumps = [asyncio.create_task(self.log.pump(name, stream)) for name, stream in streams if stream]
        try:
            code = await self._process.wait()
        finally:
            self.signal(signal.SIGKILL)
            self._register.remove(self._process.pid)
            _, late = await asyncio.wait(pumps, timeout=_DRAIN_SECONDS)
            for pump in late:
                pump.cancel()
            self.log.close()
        return self._terminated(code if code >= 0 else 128 - code)

    def ask_to_stop(self) -> None:
        """Send the stop signal to the first process, as a runtime does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(self.launch.stop_signal)

    def signal(self, number: signal.Signals) -> None:
        """Signal all processes of the instance."""
        processes.send(processes.members(self.roots(), processes.snapshot()), number)

    async def execute(
        self, command: Sequence[str], *, stdin: int = PIPE, stderr: int = PIPE, tty: bool = False
    ) -> asyncio.subprocess.Process:
        """Start one more command, which counts as the container's and ends with it. Raises ExecError."""
        launch = Launch(tuple(command), self.launch.environment, self.launch.workdir, self.launch.ip)
        process = await spawn(launch, self._gate, stdin=stdin, stderr=stderr, tty=tty)
        self._executed.add(process.pid)
        self._register.add(process.pid)
        waiting = asyncio.create_task(self._forget(process))
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)
        return process

    async def run(self, command: Sequence[str]) -> tuple[int, str]:
        """Run a command to its end, and give its exit code and output; a command that cannot start gives the reason."""
        try:
            process = await self.execute(command, stdin=DEVNULL, stderr=STDOUT)
        except ExecError as error:
            return 126, str(error)
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            raise
        return process.returncode or 0, output.decode(errors="replace")

    async def _forget(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self._executed.discard(process.pid)
        self._register.remove(process.pid)

    def _terminated(self, exit_code: int) -> Object:
        reason = "OOMKilled" if self.out_of_memory else "Error" if exit_code else "Completed"
        return {
            "exitCode": exit_code,
            "reason": reason,
            "startedAt": timestamp(self.started_at),
            "finishedAt": timestamp(utc_now()),
            "containerID": f"process://{self.id}",
        }


def never_started(error: ExecError, at: datetime) -> Object:
    """Give the `terminated` state of an instance whose program could not be started."""
    message = (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
        f"unable to start container process: error during container init: {error}: unknown"
    )
    return {
        "exitCode": 128,
        "reason": "StartError",
        "message": message,
        "startedAt": "1970-01-01T00:00:00Z",
        "finishedAt": timestamp(at),
        "containerID": f"process://{uuid.uuid4().hex * 2}",
    }
