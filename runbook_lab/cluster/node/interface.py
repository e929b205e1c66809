"""What the API asks of the node on which the pods run, and the refusals it has to expect."""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Output = Literal["stdout", "stderr"]


class NodeError(Exception):
    """The node cannot do what was asked; the message is the one a kubelet gives (an API server answers 400 with it)."""


class ContainerNotFoundError(NodeError):
    """The pod runs no such container on this node; the API server answers 404."""


class ExecError(NodeError):
    """The command could not be started in the container; the message is a container runtime's (the API server answers 500)."""


@dataclass(frozen=True)
class Usage:
    """What a container used around one moment: processor [cores] and memory working set [bytes]."""

    cpu_cores: float
    memory_bytes: int


@dataclass(frozen=True)
class PodUsage:
    """What a pod's containers use: at which moment (UTC), and over which time the cores were measured."""

    pod: str
    namespace: str
    labels: Mapping[str, str]
    containers: Mapping[str, Usage]
    at: datetime
    window_seconds: float


class Readable(Protocol):
    """One output of a process."""

    async def read(self, limit: int, /) -> bytes:
        """Give what comes next, and b"" at the end."""


class Session(Protocol):
    """What a client is joined to: a command in a container, or the container's own process."""

    @property
    def outputs(self) -> Mapping[Output, Readable]:
        """Its outputs; one that has a terminal has stdout only."""

    async def write(self, data: bytes) -> None:
        """Write to its stdin, if it has one and still reads it."""

    def end_input(self) -> None:
        """End its stdin."""

    def resize(self, columns: int, rows: int) -> None:
        """Give its terminal the client's size."""

    async def wait(self) -> int | None:
        """Give the exit code of a command, once it has ended; None where a client does not learn it."""

    def leave(self) -> None:
        """Take note that the client has gone: a command is ended, a container goes on. Never waits."""


class Node(Protocol):
    """The node's side of the API's subresources `log`, `exec` and `attach`, and of metrics.k8s.io."""

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool = False,
        follow: bool = False,
        tail_lines: int | None = None,
        since: datetime | None = None,
        timestamps: bool = False,
        limit_bytes: int | None = None,
    ) -> AsyncIterator[bytes]:
        """Give a container's output, a chunk of whole lines at a time, oldest first.

        `previous` reads the instance before the running one. `follow` goes on until the instance ends. Raises NodeError before
        the first chunk when there is nothing to read from (a container that waits to start, no previous instance).
        """

    async def exec(
        self, namespace: str, pod: str, container: str, command: Sequence[str], *, stdin: bool = True, tty: bool = False
    ) -> Session:
        """Start a command with the container's environment, in a terminal of its own with `tty`.

        Raises ContainerNotFoundError, NodeError for a container that does not run, and ExecError for a command that cannot be
        started.
        """

    async def attach(self, namespace: str, pod: str, container: str, *, stdin: bool = False) -> Session:
        """Join the streams of a container's own process.

        Raises ContainerNotFoundError, and NodeError for one that does not run.
        """

    async def dial(self, namespace: str, pod: str, port: int) -> tuple[StreamReader, StreamWriter]:
        """Connect to a port of a pod, from the node. Raises ContainerNotFoundError, and OSError where nobody listens."""

    def usage(self, namespace: str | None = None) -> list[PodUsage]:
        """Give the last sample of each running pod (of one namespace, or of all)."""
