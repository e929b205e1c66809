"""What `exec` is asked to run, how its streams are joined to the client, and how its end is told; over any protocol."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from multidict import MultiMapping

from runbook_lab.cluster.api.containers import container_of
from runbook_lab.cluster.api.options import flag
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.errors import BadRequest, NotFound, StoreError
from runbook_lab.cluster.node.interface import ContainerNotFoundError, ExecError, Node, NodeError
from runbook_lab.cluster.resources import BY_PLURAL
from runbook_lab.cluster.store import Store

_CHUNK_BYTES = 32 * 1024

Output = Literal["stdout", "stderr"]


class Client(Protocol):
    """The client's end of an exec, over whatever protocol."""

    def input(self) -> AsyncIterator[bytes]:
        """Give what the client writes to stdin; `b""` where it ends stdin. The iteration ends when the client leaves."""

    async def send(self, output: Output, data: bytes) -> None:
        """Pass on what the command wrote."""

    async def finish(self, status: Mapping[str, Any]) -> None:
        """Tell how the command ended, and say goodbye."""


@dataclass(frozen=True)
class Command:
    """A command for a container, and which of its streams the client wants."""

    namespace: str
    pod: str
    container: str
    arguments: list[str]
    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


def read_command(store: Store, query: MultiMapping[str], target: Target) -> Command:
    """Read the query of an exec request; BadRequest and NotFound say what is wrong with it."""
    pod = store.get("pods", str(target.name), namespace=target.namespace)
    arguments = query.getall("command", [])
    if not arguments:
        raise BadRequest("you must specify at least one command for the container")
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        raise BadRequest(f"cannot exec into a container in a completed pod; current phase is {pod['status']['phase']}")
    return Command(
        namespace=str(target.namespace),
        pod=str(target.name),
        container=container_of(pod, query.get("container")),
        arguments=list(arguments),
        stdin=flag(query, "stdin"),
        stdout=flag(query, "stdout"),
        # A terminal has one output.
        stderr=flag(query, "stderr") and not flag(query, "tty"),
        tty=flag(query, "tty"),
    )


@contextlib.asynccontextmanager
async def running(node: Node, command: Command) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command for as long as the context lasts; the node's refusals become those of the API."""
    process = await _start(node, command)
    try:
        yield process
    finally:
        # No await here: a client that leaves also cancels the handler.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


async def _start(node: Node, command: Command) -> asyncio.subprocess.Process:
    try:
        return await node.exec(command.namespace, command.pod, command.container, command.arguments, tty=command.tty)
    except ContainerNotFoundError as error:
        raise NotFound(str(error), resource=BY_PLURAL["pods"], name=command.pod) from error
    except ExecError as error:
        raise StoreError(f"Internal error occurred: {error}") from error
    except NodeError as error:
        raise BadRequest(str(error)) from error


def exit_status(returncode: int) -> Mapping[str, Any]:
    """Give the Status that ends an exec: success, or the exit code (128 and the signal's number, for one that was killed)."""
    if returncode == 0:
        return {"metadata": {}, "status": "Success"}
    code = returncode if returncode > 0 else 128 + signal.Signals(-returncode)
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(int(code))}]},
    }


async def converse(client: Client, process: asyncio.subprocess.Process, command: Command) -> None:
    """Join a command's streams to the client until the command ends, or the client leaves."""
    reader = asyncio.create_task(_feed(client, process, command))
    outputs = asyncio.create_task(_drain_all(client, process, command))
    try:
        await asyncio.wait({reader, outputs}, return_when=asyncio.FIRST_COMPLETED)
        if outputs.done():
            outputs.result()
            await client.finish(exit_status(await process.wait()))
    finally:
        reader.cancel()
        outputs.cancel()
        await asyncio.gather(reader, outputs, return_exceptions=True)


async def _drain_all(client: Client, process: asyncio.subprocess.Process, command: Command) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_drain(client, "stdout", process.stdout, wanted=command.stdout))
        tasks.create_task(_drain(client, "stderr", process.stderr, wanted=command.stderr))


async def _drain(client: Client, output: Output, stream: asyncio.StreamReader | None, *, wanted: bool) -> None:
    while stream and (chunk := await stream.read(_CHUNK_BYTES)):
        if wanted:
            await client.send(output, chunk)


async def _feed(client: Client, process: asyncio.subprocess.Process, command: Command) -> None:
    stdin = process.stdin
    if stdin and not command.stdin:
        stdin.close()
    async for chunk in client.input():
        if stdin is None or not command.stdin:
            continue
        if not chunk:
            stdin.close()
        else:
            # The command may have closed its stdin, or have ended; its output tells the rest.
            with contextlib.suppress(ConnectionError):
                stdin.write(chunk)
                await stdin.drain()
