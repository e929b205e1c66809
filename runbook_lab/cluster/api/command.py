"""What `exec` is asked to run, and how its end is told; the same for every protocol that carries it."""

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

from runbook_lab.cluster.api.containers import container_of
from runbook_lab.cluster.api.options import flag
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.errors import BadRequest, NotFound, StoreError
from runbook_lab.cluster.node.interface import ContainerNotFoundError, ExecError, Node, NodeError
from runbook_lab.cluster.resources import BY_PLURAL
from runbook_lab.cluster.store import Store


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


async def start(node: Node, command: Command) -> asyncio.subprocess.Process:
    """Start the command; the node's refusals become those of the API."""
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
