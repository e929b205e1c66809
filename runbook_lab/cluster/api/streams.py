"""How `exec` and `attach` join a client to a process, over any protocol: what is wanted, the streams, how the end is told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from multidict import MultiMapping

from runbook_lab.cluster.api.containers import container_of
from runbook_lab.cluster.api.options import flag
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.errors import BadRequest, NotFound, StoreError
from runbook_lab.cluster.node.interface import ContainerNotFoundError, ExecError, Node, NodeError, Output, Readable, Session
from runbook_lab.cluster.resources import BY_PLURAL
from runbook_lab.cluster.store import Store

_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Size:
    """The size of the client's terminal."""

    columns: int
    rows: int

    @classmethod
    def read(cls, message: bytes) -> "Size":
        """Read a message of the resize channel: `{"Width": 80, "Height": 24}`."""
        fields = json.loads(message)
        return cls(int(fields.get("Width", 0)), int(fields.get("Height", 0)))


class Client(Protocol):
    """The client's end, over whatever protocol."""

    def input(self) -> AsyncIterator[bytes | Size]:
        """Give what the client writes to stdin, with `b""` where it ends stdin, and the sizes of its terminal.

        The iteration ends when the client leaves.
        """

    async def send(self, output: Output, data: bytes) -> None:
        """Pass on what the process wrote."""

    async def finish(self, status: Mapping[str, Any]) -> None:
        """Tell how the process ended, and say goodbye."""


@dataclass(frozen=True)
class Wanted:
    """What a client wants to be joined to, and by which streams. Without a `command` it is the container's own process."""

    namespace: str
    pod: str
    container: str
    command: tuple[str, ...] | None
    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


def read_wanted(store: Store, query: MultiMapping[str], target: Target) -> Wanted:
    """Read the query of an exec or attach request; BadRequest and NotFound say what is wrong with it."""
    pod = store.get("pods", str(target.name), namespace=target.namespace)
    command = None
    if target.subresource == "exec":
        command = tuple(query.getall("command", []))
        if not command:
            raise BadRequest("you must specify at least one command for the container")
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        what = "exec into a container in" if command else "attach to a container in"
        raise BadRequest(f"cannot {what} a completed pod; current phase is {pod['status']['phase']}")
    tty = flag(query, "tty")
    return Wanted(
        namespace=str(target.namespace),
        pod=str(target.name),
        container=container_of(pod, query.get("container")),
        command=command,
        stdin=flag(query, "stdin"),
        stdout=flag(query, "stdout"),
        # A terminal has one output.
        stderr=flag(query, "stderr") and not tty,
        tty=tty,
    )


@contextlib.asynccontextmanager
async def joined(node: Node, wanted: Wanted) -> AsyncIterator[Session]:
    """Start or join the process, and leave it when the context ends; the node's refusals become those of the API."""
    try:
        session = await _start(node, wanted)
    except ContainerNotFoundError as error:
        raise NotFound(str(error), resource=BY_PLURAL["pods"], name=wanted.pod) from error
    except ExecError as error:
        raise StoreError(f"Internal error occurred: {error}") from error
    except NodeError as error:
        raise BadRequest(str(error)) from error
    try:
        yield session
    finally:
        # No await here: a client that leaves also cancels the handler.
        session.leave()


async def _start(node: Node, wanted: Wanted) -> Session:
    place = (wanted.namespace, wanted.pod, wanted.container)
    if wanted.command is None:
        return await node.attach(*place, stdin=wanted.stdin)
    return await node.exec(*place, wanted.command, stdin=wanted.stdin, tty=wanted.tty)


def end_status(exit_code: int | None) -> Mapping[str, Any]:
    """Give the Status that ends a session: success, or the exit code of a command that failed."""
    if not exit_code:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {exit_code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
    }


async def converse(client: Client, session: Session, wanted: Wanted) -> None:
    """Join a process's streams to the client until the process ends, or the client leaves."""
    reader = asyncio.create_task(_feed(client, session, wanted))
    outputs = asyncio.create_task(_drain_all(client, session, wanted))
    try:
        await asyncio.wait({reader, outputs}, return_when=asyncio.FIRST_COMPLETED)
        if outputs.done():
            outputs.result()
            await client.finish(end_status(await session.wait()))
    finally:
        reader.cancel()
        outputs.cancel()
        await asyncio.gather(reader, outputs, return_exceptions=True)


async def _drain_all(client: Client, session: Session, wanted: Wanted) -> None:
    asked: Mapping[Output, bool] = {"stdout": wanted.stdout, "stderr": wanted.stderr}
    async with asyncio.TaskGroup() as tasks:
        for output, stream in session.outputs.items():
            tasks.create_task(_drain(client, output, stream, wanted=asked[output]))


async def _drain(client: Client, output: Output, stream: Readable, *, wanted: bool) -> None:
    while chunk := await stream.read(_CHUNK_BYTES):
        if wanted:
            await client.send(output, chunk)


async def _feed(client: Client, session: Session, wanted: Wanted) -> None:
    async for part in client.input():
        if isinstance(part, Size):
            session.resize(part.columns, part.rows)
        elif not wanted.stdin:
            continue
        elif part:
            await session.write(part)
        else:
            session.end_input()
