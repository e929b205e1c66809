"""Everything that `runbook serve` starts, put together."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runbook_lib.errors import ArchiveError, ConfigurationError
from runbook_lib.receiver.application import Receiver
from runbook_lib.receiver.job import Job
from runbook_lib.receiver.queue import JobQueue
from runbook_lib.receiver.resolution import note_alerts
from runbook_lib.receiver.routes import load_routes
from runbook_lib.receiver.telling import in_lines
from runbook_lib.receiver.workers import RunCommand, Workers

__all__ = ["Serving", "serve"]


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How to serve. `deadline_seconds` ends a run that hangs; `capacity` bounds the runs that wait."""

    host: str
    port: int
    token: str
    command: RunCommand
    queue: Path
    workers: int = 2
    deadline_seconds: float = 600.0
    capacity: int = 100


def serve(serving: Serving, *, told: Callable[[str], None]) -> None:
    """Take alerts and run their notebooks until SIGINT or SIGTERM. `told` is given a line for each thing that happens.

    Raises ConfigurationError when the routes are wrong, the port is taken, or the queue is served by another process.
    """
    import uvicorn

    routes = load_routes(serving.command.parameters)
    tell = in_lines(told)
    queue = JobQueue(serving.queue, capacity=serving.capacity, told=tell)

    def resolved(job: Job) -> None:
        try:
            note_alerts(job)
        except ArchiveError as error:
            tell(f"{job.id}: {error}")

    workers = Workers(
        queue, serving.command, count=serving.workers, deadline_seconds=serving.deadline_seconds, told=tell, resolved=resolved
    )
    receiver = Receiver(routes=routes, queue=queue, workers=workers, token=serving.token, told=tell, resolved=resolved)
    # Its own logging is off: what happens is told once, in our words, and a request's headers never reach a log.
    config = uvicorn.Config(receiver.application(), log_config=None, access_log=False, server_header=False)
    # uvicorn raises the signal that ended it once more, which would end us before the workers are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _listening(serving.host, serving.port) as listening:
        port = listening.getsockname()[1]
        tell(f"alerts are taken at http://{serving.host}:{port}/alerts, {queue.counts()['waiting']} wait from before")
        workers.start()
        try:
            uvicorn.Server(config).run(sockets=[listening])
        finally:
            workers.stop()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}, port {port}: {error.strerror}; give another --host or --port"
        ) from error
