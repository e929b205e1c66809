"""A process that the node has started, with its streams: pipes, or a terminal of its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import struct
import sys
import termios
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runbook_lab.cluster.node.gate import Gate
from runbook_lab.cluster.node.interface import ExecError, Output

_LAUNCHER = Path(__file__).with_name("launch.py")
# As much as a reader that is slower than its process is ahead of it [bytes]; then the process waits, as at a full pipe.
_BUFFER_BYTES = 256 * 1024


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


class Child:
    """A process in a session of its own, which dies with this one. A terminal has one output, its stdout."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        outputs: Mapping[Output, asyncio.StreamReader],
        stdin: asyncio.StreamWriter | None,
        terminal: int | None = None,
    ) -> None:
        self.pid = process.pid
        self.outputs = outputs
        self._process = process
        self._stdin = stdin
        self._terminal = terminal

    @classmethod
    async def start(cls, launch: Launch, gate: Gate, *, stdin: bool = False, tty: bool = False, merged: bool = False) -> Child:
        """Start a process behind the gate; with `merged` stderr goes where stdout goes. Raises ExecError."""
        launch.check()
        if tty:
            return await cls._start_in_terminal(launch, gate)
        process = await _spawn(launch, gate, PIPE if stdin else DEVNULL, PIPE, STDOUT if merged else PIPE)
        streams: dict[Output, asyncio.StreamReader | None] = {"stdout": process.stdout, "stderr": process.stderr}
        return cls(process, {name: stream for name, stream in streams.items() if stream}, process.stdin)

    @classmethod
    async def _start_in_terminal(cls, launch: Launch, gate: Gate) -> Child:
        here, there = os.openpty()
        try:
            process = await _spawn(launch, gate, there, there, there)
        except BaseException:
            os.close(here)
            raise
        finally:
            os.close(there)
        return cls(process, {"stdout": await _reading(here)}, await _writing(os.dup(here)), terminal=here)

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.returncode is not None

    async def write(self, data: bytes) -> None:
        """Write to the process's stdin; one that has closed it, or has ended, does not hear it."""
        if self._stdin and not self._stdin.is_closing():
            with contextlib.suppress(OSError):
                self._stdin.write(data)
                await self._stdin.drain()

    def end_input(self) -> None:
        """End the process's stdin. A terminal stays: its owner is still shown what comes."""
        if self._stdin and self._terminal is None:
            self._stdin.close()

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal the client's size, which tells the programs in it."""
        if self._terminal is not None:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def wait(self) -> int:
        """Wait for the end, and give the exit code: 128 and the signal's number, for one that was killed."""
        code = await self._process.wait()
        if self._stdin:
            self._stdin.close()
        return code if code >= 0 else 128 - code

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the process itself, not its descendants."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def leave(self) -> None:
        """End a process whose client has gone."""
        if not self.ended:
            self.send_signal(signal.SIGKILL)


async def _spawn(launch: Launch, gate: Gate, stdin: int, stdout: int, stderr: int) -> asyncio.subprocess.Process:
    with gate.entrance(launch.ip) as entrance:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), "--gate", str(entrance)),
            *launch.command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=dict(launch.environment),
            cwd=launch.workdir,
            start_new_session=True,
            pass_fds=(entrance,),
            limit=_BUFFER_BYTES,
        )


class _TerminalProtocol(asyncio.StreamReaderProtocol):
    """Reads a terminal, whose end is an error (EIO) to the kernel and none to anybody else."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - what asyncio calls it with
        super().connection_lost(None)


async def _reading(terminal: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_BUFFER_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: _TerminalProtocol(reader), os.fdopen(terminal, "rb", buffering=0))
    return reader


async def _writing(terminal: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(terminal, "wb", buffering=0))
    return asyncio.StreamWriter(transport, protocol, None, loop)
