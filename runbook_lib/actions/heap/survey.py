"""What a container offers for a heap dump: its processes, where it can write, with which tools. Asking changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from runbook_lib.actions.container import Container
from runbook_lib.actions.interface import ChangeRefused
from runbook_lib.models.heap import Runtime
from runbook_lib.models.plan import Refusal

__all__ = ["Directory", "Process", "Survey", "look_around", "parse_survey", "script"]

_SIGUSR1, _SIGUSR2 = 10, 12
_MEMORY = ("tmpfs", "ramfs")
_NO_SHELL = (126, 127)


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process of a known runtime. `started` [clock ticks since boot] and pid are together one process for good.

    caught: the signals that it handles, as the kernel's mask; any other one may end it. options: those of its command line and
    environment that matter for a dump.
    """

    pid: int
    started: int
    runtime: Runtime
    program: str
    caught: int
    resident_bytes: int
    directory: str
    options: tuple[str, ...] = ()

    @property
    def catches_usr1(self) -> bool:
        """SIGUSR1 does not end it."""
        return bool(self.caught >> (_SIGUSR1 - 1) & 1)

    @property
    def catches_usr2(self) -> bool:
        """SIGUSR2 does not end it."""
        return bool(self.caught >> (_SIGUSR2 - 1) & 1)

    def option(self, name: str) -> str | None:
        """The value of an option, empty for one without; None when it was not given."""
        found = [option for option in self.options if option.partition("=")[0] == name]
        return found[-1].partition("=")[2] if found else None


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that can be written to; in_memory: what lies there counts as memory of the container."""

    path: str
    free_bytes: int
    in_memory: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What was seen. `tools`: name to path of those that are there."""

    processes: tuple[Process, ...]
    directories: tuple[Directory, ...]
    tools: Mapping[str, str] = field(default_factory=dict)

    def directory(self, path: str) -> Directory | None:
        """The directory of this path, None when it cannot be written to."""
        return next((one for one in self.directories if one.path == path.rstrip("/") or one.path == path), None)


@cache
def script(name: str) -> str:
    """One of the shell scripts beside this module, without its comments: it travels in the address of a request."""
    text = (files("runbook_lib.actions.heap") / name).read_text(encoding="utf-8")
    return "\n".join(line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "//")))


def look_around(container: Container, directories: Sequence[str] = ()) -> Survey:
    """Look around by the container's own shell. Raises ChangeRefused when it has none, SourceError when it cannot be asked."""
    ran = container.run(["sh", "-c", script("survey.sh"), "sh", *directories])
    if ran.code in _NO_SHELL and not ran.out:
        raise ChangeRefused(_no_shell(container, ran.error))
    return parse_survey(ran.out.splitlines())


def _no_shell(container: Container, reason: str) -> Refusal:
    mend = (
        f"bring a shell along: kubectl -n {container.namespace} debug {container.pod} --target={container.name} "
        "--image=eclipse-temurin:21 -it (or node, python), and dump from there"
    )
    return Refusal(by="target", reason=f"{container} has no shell to work with ({reason})", mend=mend)


def parse_survey(lines: Iterable[str]) -> Survey:
    """Read what `survey.sh` has printed; lines that are not understood are passed over."""
    facts: dict[str, list[list[str]]] = {}
    for kind, *parts in (line.split("\t") for line in lines):
        facts.setdefault(kind, []).append(parts)
    mounts = {parts[1]: parts[0] for parts in facts.get("mount", []) if len(parts) == 2}
    processes = [process for parts in facts.get("process", []) if (process := _process(parts)) is not None]
    options: dict[int, list[str]] = {}
    for parts in facts.get("option", []):
        if len(parts) == 2 and parts[0].isdigit():
            options.setdefault(int(parts[0]), []).append(parts[1])
    directories = {
        parts[0]: Directory(parts[0], int(parts[1]) * 1024, _type(parts[0], mounts) in _MEMORY)
        for parts in facts.get("directory", [])
        if len(parts) == 2 and parts[1].isdigit()
    }
    return Survey(
        processes=tuple(replace(process, options=tuple(options.get(process.pid, ()))) for process in processes),
        directories=tuple(directories.values()),
        tools={parts[0]: parts[1] for parts in facts.get("tool", []) if len(parts) == 2},
    )


def _process(parts: Sequence[str]) -> Process | None:
    try:
        pid, started, program, caught, resident, directory = parts
        return Process(
            pid=int(pid),
            started=int(started),
            runtime=_runtime(PurePosixPath(program).name),
            program=program,
            caught=int(caught, 16),
            resident_bytes=int(resident) * 1024,
            directory=directory,
        )
    except ValueError:
        return None


def _runtime(program: str) -> Runtime:
    if program.startswith("python"):
        return "python"
    return "java" if program == "java" else "node"


def _type(path: str, mounts: Mapping[str, str]) -> str:
    """The type of the file system that a path lies on: that of the longest mount point above it."""
    above = [point for point in mounts if path == point or path.startswith(point.rstrip("/") + "/")]
    return mounts[max(above, key=len)] if above else ""
