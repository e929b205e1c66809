"""One run of a container: a process with its descendants, its log, and the way it ended."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Sequence
from datetime import datetime

from runbook_lab.cluster.metadata import Object, timestamp, utc_now
from runbook_lab.cluster.node import processes
from runbook_lab.cluster.node.attaching import Attachment, Attachments
from runbook_lab.cluster.node.child import Child, Launch
from runbook_lab.cluster.node.gate import Gate
from runbook_lab.cluster.node.interface import ExecError, Output
from runbook_lab.cluster.node.logs import LogFile

_READ_BYTES = 65536
# A process that left its parent may hold the pipe of its output open; it is killed, and then this is enough to read the rest [s].
_DRAIN_SECONDS = 2.0


class Instance:
    """A running instance of a container, from its start to its end."""

    def __init__(
        self, child: Child, launch: Launch, log: LogFile, register: processes.Register, gate: Gate, *, once: bool = False
    ) -> None:
        self.id = uuid.uuid4().hex * 2
        self.launch = launch
        self.log = log
        self.started_at = utc_now()
        self.out_of_memory = False
        self.ended = asyncio.Event()
        self.pid = child.pid
        self._child = child
        self._attachments = Attachments(child, once=once)
        self._register = register
        self._gate = gate
        self._executed: set[int] = set()
        self._waiting: set[asyncio.Task[None]] = set()
        register.add(child.pid)

    @classmethod
    async def start(cls, launch: Launch, log: LogFile, register: processes.Register, gate: Gate, *, streams: Object) -> Instance:
        """Start the process; `streams` has the manifest's `stdin`, `stdinOnce` and `tty`. Raises ExecError."""
        child = await Child.start(launch, gate, stdin=bool(streams.get("stdin")), tty=bool(streams.get("tty")))
        return cls(child, launch, log, register, gate, once=bool(streams.get("stdinOnce")))

    def roots(self) -> set[int]:
        """Give the pids from which all of the instance's processes descend."""
        return {self.pid, *self._executed}

    async def end(self) -> Object:
        """Wait until the process has ended, end what is left of its descendants, and tell how: the API's `terminated` state."""
        pumps = [asyncio.create_task(self._pump(output)) for output in self._child.outputs]
        try:
            code = await self._child.wait()
        finally:
            self.signal(signal.SIGKILL)
            self._register.remove(self.pid)
            _, late = await asyncio.wait(pumps, timeout=_DRAIN_SECONDS)
            for pump in late:
                pump.cancel()
            self._attachments.end()
            self.log.close()
        return self._terminated(code)

    async def _pump(self, output: Output) -> None:
        """Write all that the process prints to its log, and to those who are attached."""
        lines, source = self.log.lines(output), self._child.outputs[output]
        while data := await source.read(_READ_BYTES):
            self._attachments.feed(output, data)
            lines.write(data)
        lines.end()

    def ask_to_stop(self) -> None:
        """Send the stop signal to the first process, as a runtime does."""
        self._child.send_signal(self.launch.stop_signal)

    def signal(self, number: signal.Signals) -> None:
        """Signal all processes of the instance."""
        processes.send(processes.members(self.roots(), processes.snapshot()), number)

    def attach(self, *, stdin: bool) -> Attachment:
        """Join the process's own streams."""
        return self._attachments.join(stdin=stdin)

    async def execute(self, command: Sequence[str], *, stdin: bool = False, tty: bool = False, merged: bool = False) -> Child:
        """Start one more command, which counts as the container's and ends with it. Raises ExecError."""
        launch = Launch(tuple(command), self.launch.environment, self.launch.workdir, self.launch.ip)
        child = await Child.start(launch, self._gate, stdin=stdin, tty=tty, merged=merged)
        self._executed.add(child.pid)
        self._register.add(child.pid)
        waiting = asyncio.create_task(self._forget(child))
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)
        return child

    async def run(self, command: Sequence[str]) -> tuple[int, str]:
        """Run a command to its end, and give its exit code and output; a command that cannot start gives the reason."""
        try:
            child = await self.execute(command, merged=True)
        except ExecError as error:
            return 126, str(error)
        try:
            output = await child.outputs["stdout"].read()
            return await child.wait(), output.decode(errors="replace")
        except asyncio.CancelledError:
            child.leave()
            raise

    async def _forget(self, child: Child) -> None:
        await child.wait()
        self._executed.discard(child.pid)
        self._register.remove(child.pid)

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
