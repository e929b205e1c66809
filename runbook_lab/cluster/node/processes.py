"""Which processes belong to a container, and what they use, from /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Positions after the command's name in /proc/PID/stat (proc_pid_stat(5); there counted from 1 with the pid as first).
_STATE, _PARENT, _SESSION, _USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM, _THREADS, _START = 0, 1, 3, 11, 12, 13, 14, 17, 19
# CPUCLOCK_SCHED of the kernel: what makes a clock of a process that measures what the scheduler gave it.
_CLOCK_OF_PROCESS = 2


@dataclass(frozen=True)
class Process:
    """One line of /proc/PID/stat. Together, pid and `started` [clock ticks since boot] name a process for good.

    stopped: by a signal such as SIGSTOP.
    """

    pid: int
    parent: int
    session: int
    started: int
    cpu_ticks: int
    threads: int
    stopped: bool


@dataclass(frozen=True)
class Sample:
    """What the processes of a container use: processor time so far [s], memory [bytes], processes and threads."""

    cpu_seconds: float
    memory_bytes: int
    processes: int
    threads: int


def read(pid: int) -> Process | None:
    """Read one process; None when it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    if fields[_STATE] in "ZX":
        return None
    ticks = sum(int(fields[index]) for index in (_USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM))
    parent, session, started, threads = (int(fields[index]) for index in (_PARENT, _SESSION, _START, _THREADS))
    return Process(pid, parent, session, started, ticks, threads, stopped=fields[_STATE] == "T")


def cpu_seconds(pid: int) -> float | None:
    """Give the processor time of one process so far, to the nanosecond and in one system call; None when it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | _CLOCK_OF_PROCESS)
    except OSError:
        return None


def awaits_stop(pid: int) -> bool:
    """Tell whether a process that is stopped has one more SIGSTOP before it: of somebody who wants it to stay so.

    In a process that is not stopped yet it would be the first one, on its way.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    told = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    return told["State"][0] == "T" and bool(int(told["ShdPnd"][0], 16) >> (signal.SIGSTOP - 1) & 1)


def snapshot() -> dict[int, Process]:
    """Read all processes of this machine that we may see."""
    # Not Path.iterdir(): this runs every second, and a path object for each process doubles its time.
    found = (read(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())  # noqa: PTH208
    return {process.pid: process for process in found if process}


def members(roots: Iterable[int], everything: Mapping[int, Process]) -> list[Process]:
    """Give the roots with all that descends from them or shares their sessions, which a daemon does not leave with its parent."""
    wanted = set(roots)
    children: dict[int, list[int]] = {}
    for process in everything.values():
        children.setdefault(process.parent, []).append(process.pid)
        if process.session in wanted:
            children.setdefault(process.session, []).append(process.pid)
    found: dict[int, Process] = {}
    waiting = list(wanted)
    while waiting:
        pid = waiting.pop()
        if pid in everything and pid not in found:
            found[pid] = everything[pid]
        elif pid in found:
            continue
        waiting.extend(children.get(pid, ()))
    return list(found.values())


def measure(processes: Iterable[Process]) -> Sample:
    """Sum up what processes use. Shared pages (a database's buffers) count once, as in a memory cgroup, private ones each."""
    private = shared = ticks = number = threads = 0
    for process in processes:
        with contextlib.suppress(OSError):
            resident, of_it_shared = (int(word) for word in Path(f"/proc/{process.pid}/statm").read_text().split()[1:3])
            private += resident - of_it_shared
            shared = max(shared, of_it_shared)
        ticks += process.cpu_ticks
        number += 1
        threads += process.threads
    return Sample(ticks / _TICKS, (private + shared) * _PAGE, number, threads)


def send(processes: Iterable[Process], signal_number: signal.Signals) -> None:
    """Signal processes that are still the ones that were read."""
    for process in processes:
        now = read(process.pid)
        if now and now.started == process.started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal_number)


class Register:
    """The processes that the node has started, on disk: what a crashed supervisor leaves behind is found again and ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def add(self, pid: int) -> None:
        """Note a started process."""
        if process := read(pid):
            (self._directory / str(pid)).write_text(str(process.started))

    def remove(self, pid: int) -> None:
        """Forget a process that has ended."""
        (self._directory / str(pid)).unlink(missing_ok=True)

    def reap(self) -> int:
        """Kill what is left of an earlier run, with its descendants; give the number of processes that were."""
        everything = snapshot()
        roots = []
        for entry in self._directory.iterdir():
            process = everything.get(int(entry.name))
            # A root that died in the crash still leads the session of its children: no new process can have its pid meanwhile.
            if process is None or str(process.started) == entry.read_text():
                roots.append(int(entry.name))
            entry.unlink()
        left = members(roots, everything)
        send(left, signal.SIGKILL)
        return len(left)
