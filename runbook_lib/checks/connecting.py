"""Asking pods to connect to what they need, each in its own container with what its image has."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from runbook_lib.analysis.addresses import Address
from runbook_lib.analysis.connecting import OWN, Attempt
from runbook_lib.checks.context import CheckContext
from runbook_lib.errors import SourceAnswerInvalid, SourceMissingObject
from runbook_lib.models.command import CommandResult
from runbook_lib.sources.interface import Cluster

__all__ = ["attempts_of", "by_hand", "settings"]

_TRIES = 3
_TRY_SECONDS = 1.0
_RESERVE_SECONDS = 2.0  # of the time for a pod: to start the program, end the last try, and bring its answer back
_NO_SUCH_PROGRAM = 127
# The exact ones first. An image without a shell may still have what its own process runs on.
_WAYS = (
    ("python3", "-c", "connect.py"),
    ("node", "-e", "connect.js"),
    ("sh", "-c", "connect.sh", "connect"),  # the word after the script is its name
)


def settings(context: CheckContext) -> Mapping[str, str]:
    """The application's config map, which may hold addresses; empty without one. Raises SourceError."""
    name = context.service.components.application.config_map
    if name is None:
        return {}
    try:
        found: Mapping[str, str] = context.sources.cluster.config_map(name)["data"]
    except SourceMissingObject:
        return {}
    return found


@cache
def _program(name: str) -> str:
    return (files("runbook_lib.checks") / "probes" / name).read_text(encoding="utf-8")


def attempts_of(cluster: Cluster, pod: str, *, container: str | None, places: Sequence[str], seconds: float) -> list[Attempt]:
    """Let one pod connect to each place several times. Raises a SourceError: exec is refused, nothing in the image can do it."""
    budget = max(_TRY_SECONDS, seconds - _RESERVE_SECONDS)
    words = [str(_TRIES), f"{_TRY_SECONDS:g}", f"{budget:g}", *places]
    # One after the other, and not all in one script: the command is part of an address, which proxies hold to 8 KiB.
    for program, option, name, *more in _WAYS:
        command = [program, option, _program(name), *more, *words]
        result = cluster.run_command(pod, command, container=container, seconds=seconds)
        if result.code != _NO_SUCH_PROGRAM:
            break
    return _read(pod, result)


def _read(pod: str, result: CommandResult) -> list[Attempt]:
    found = []
    for line in result.out.splitlines():
        place, named, connected, problem, *rest = [*line.split("\t"), "", "", ""]
        if not any(rest) and (place == OWN or ":" in place):
            found.append(Attempt(pod, place, _seconds(named), _seconds(connected), problem))
    if not found:
        reason = result.error.splitlines()[-1][:200] if result.error else f"exit code {result.code} and no output"
        raise SourceAnswerInvalid("kubernetes", f"no connection could be tried in pod/{pod}: {reason}")
    return found


def _seconds(milliseconds: str) -> float | None:
    try:
        return float(milliseconds) / 1000
    except ValueError:
        return None


def by_hand(namespace: str, pod: str, address: Address) -> str:
    """What a person would type for the same."""
    words = ("exec", pod, "--", "sh", "-c", f"time nc -zv -w 3 {address.host} {address.port}")
    return shlex.join(("kubectl", "-n", namespace, *words))
