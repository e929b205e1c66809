"""How a process can be dumped: the way that does it least harm, or why there is none and what would make one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from runbook_lib.actions.heap.estimates import Way
from runbook_lib.actions.heap.survey import Process, Survey
from runbook_lib.models.heap import HeapFormat, Runtime
from runbook_lib.models.plan import Refusal

__all__ = ["Choice", "chosen_way", "runtime_of"]

_PORT = 9229


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The way, the format that comes of it, and what `dump.sh` is given besides process and file.

    directory: where the process itself decides where it writes. signals: what it is sent, for the plan.
    """

    way: Way
    format: HeapFormat
    arguments: tuple[str, ...] = ()
    directory: str | None = None


def runtime_of(technology: str) -> Runtime | None:
    """The runtime that a service file's `technology` names, such as `Node.js 20`, `Java 17 (Spring Boot)`, `Python 3.11`."""
    text = technology.lower()
    words: tuple[tuple[str, Runtime], ...] = (
        ("node", "node"), ("typescript", "node"), ("javascript", "node"), ("java", "java"), ("kotlin", "java"),
        ("scala", "java"), ("jvm", "java"), ("spring", "java"), ("quarkus", "java"), ("python", "python"), ("django", "python"),
        ("fastapi", "python"),
    )  # fmt: skip
    return next((runtime for word, runtime in words if word in text), None)


def chosen_way(process: Process, survey: Survey, *, histogram: bool) -> Choice | Refusal:
    """How this process is dumped; `histogram`: only its classes are counted, which only a JVM can do."""
    if histogram and process.runtime != "java":
        return Refusal(
            by="target", reason=f"only a JVM counts its classes; this is {process.runtime}", mend="leave histogram away"
        )
    if process.runtime == "java":
        return _java(process, survey, histogram=histogram)
    if process.runtime == "node":
        return _node(process)
    return _python()


def _java(process: Process, survey: Survey, *, histogram: bool) -> Choice | Refusal:
    if process.option("-XX:+DisableAttachMechanism") is not None:
        return Refusal(
            by="target",
            reason=f"JVM {process.pid} runs with -XX:+DisableAttachMechanism, and lets no tool in",
            mend="name its actuator in components.application.heap_dumps.dump_path (/actuator/heapdump), or start it without",
        )
    if jcmd := survey.tools.get("jcmd"):
        return (
            Choice(way="histogram", format="class_histogram", arguments=(jcmd,))
            if histogram
            else Choice(way="jcmd", format="hprof", arguments=(jcmd,))
        )
    jmap = survey.tools.get("jmap")
    if jmap and not histogram:
        return Choice(way="jmap", format="hprof", arguments=(jmap,))
    return Refusal(
        by="target",
        reason="the image has a JRE only: neither jcmd nor jmap is there to ask the JVM for a dump",
        mend="use an image with a JDK; or name the actuator in components.application.heap_dumps.dump_path; or add one for now: "
        "kubectl debug --target=CONTAINER --image=eclipse-temurin:17 (the JVM's own version) -it POD, then jcmd 1 GC.heap_dump; "
        "for the next kill -XX:+HeapDumpOnOutOfMemoryError -XX:HeapDumpPath=/some/volume",
    )


def _node(process: Process) -> Choice | Refusal:
    """SIGUSR2 and SIGUSR1 end a process that does not handle them, so that the kernel's own mask is asked first."""
    if process.option("--heapsnapshot-signal") == "SIGUSR2" and process.catches_usr2:
        directory = process.option("--diagnostic-dir") or "."
        return Choice(way="signal", format="heapsnapshot", directory=str(PurePosixPath(process.directory) / directory))
    inspecting = [option for option in process.options if option.startswith("--inspect") and "port" not in option]
    if not inspecting and not process.catches_usr1:
        return Refusal(
            by="target",
            reason=f"node {process.pid} does not handle SIGUSR1, which would end it in place of opening its inspector",
            mend="start it with --heapsnapshot-signal=SIGUSR2 (NODE_OPTIONS does), and without --disable-sigusr1",
        )
    return Choice(way="inspector", format="heapsnapshot", arguments=(process.program, str(_port(process))))


def _port(process: Process) -> int:
    """Where the inspector listens: the last number of `--inspect=127.0.0.1:9230`, `--inspect=9230` or `--inspect-port=9230`."""
    for option in reversed(process.options):
        last = option.rpartition("=")[2].rpartition(":")[2]
        if option.startswith(("--inspect", "--debug-port")) and last.isdigit() and int(last):
            return int(last)
    return _PORT


def _python() -> Refusal:
    return Refusal(
        by="target",
        reason="a Python process that was not prepared gives no heap dump: tracemalloc has to be started from within it",
        mend="give the service an admin endpoint of ten lines (docs/heap-dumps.md) and name it in "
        "components.application.heap_dumps; or attach by hand, where the image has memray and gdb, and the pod SYS_PTRACE: "
        "memray attach PID",
    )
