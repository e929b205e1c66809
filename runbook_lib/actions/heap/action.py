"""Taking a heap dump of one pod: a burden on a process that serves, and so an action like any other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path

from runbook_lib.actions.cluster import Operator, operator
from runbook_lib.actions.container import Container
from runbook_lib.actions.heap import endpoint
from runbook_lib.actions.heap.dumping import Dumping, Fetching, Kept, file_name, may_execute
from runbook_lib.actions.heap.estimates import Estimate, estimate
from runbook_lib.actions.heap.fetching import Fetch, Fetched
from runbook_lib.actions.heap.room import bursts, directory_for, warnings
from runbook_lib.actions.heap.survey import Process, Survey, look_around
from runbook_lib.actions.heap.target import Dumped, chosen
from runbook_lib.actions.heap.ways import Choice, chosen_way, runtime_of
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.models.heap import SUFFIXES, HeapDump
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.models.units import written

__all__ = ["TAKE_HEAP_DUMP"]

_MOST_BYTES = 4 * 1024**3
_SECRETS = "the file will hold whatever is in memory, passwords and personal data included: keep it like a secret"


def _target(context: ActionContext) -> Target:
    """Which pod it is shows only once the cluster was asked."""
    return Target(kind="pod", name="(the one that leaks most)", namespace=context.namespace)


def _plan(
    context: ActionContext,
    pod: str | None = None,
    *,
    histogram: bool = False,
    pid: int | None = None,
    directory: str | None = None,
    folder: str | Path | None = None,
    most_bytes: int = _MOST_BYTES,
) -> Plan | Refusal:
    """Dump the heap of the pod that leaks most, or of `pod`, and fetch the file.

    histogram: of a JVM, only count its classes, which is quick and holds no data. pid: the process, where a container has
    several. directory: where in the container it is written. folder: where it is kept here, in place of the incident's folder.
    """
    kept_in = _folder(context, folder)
    if isinstance(kept_in, Refusal):
        return kept_in
    cluster = operator(context)
    dumped = chosen(context, cluster, pod)
    if isinstance(dumped, Refusal):
        return dumped
    settings = context.service.components.application.heap_dumps
    if settings.dump_path is not None and not histogram:
        return endpoint.planned(context, dumped, kept_in, most_bytes)
    if refusal := _may_not(cluster, dumped):
        return refusal
    preferred = [one for one in (directory, settings.directory, *dumped.scratch()) if one]
    survey = look_around(_container(context, dumped.name, dumped.container), preferred)
    process = _process(context, dumped, survey, pid)
    if isinstance(process, Refusal):
        return process
    choice = chosen_way(process, survey, histogram=histogram)
    if isinstance(choice, Refusal):
        return choice
    if choice.directory is not None and survey.directory(choice.directory) is None:
        survey = look_around(_container(context, dumped.name, dumped.container), [*preferred, choice.directory])
    needed = estimate(choice.way, process.resident_bytes)
    place = directory_for(survey, dumped, needed, only=choice.directory or directory, preferred=preferred)
    if isinstance(place, Refusal):
        return place
    return _planned(context, dumped, survey, process, choice, needed, place.path, kept_in, most_bytes)


def _folder(context: ActionContext, folder: str | Path | None) -> Path | Refusal:
    settings = context.service.components.application.heap_dumps
    if folder or settings.folder:
        return Path(folder or str(settings.folder)).expanduser().resolve()
    if context.heap_dumps is not None:
        return context.heap_dumps
    return Refusal(by="target", reason="there is no folder to keep a dump in", mend="name one: take_heap_dump(folder=…)")


def _may_not(cluster: Operator, dumped: Dumped) -> Refusal | None:
    """Asked before the container is looked at: that takes a command in it already."""
    missing = [str(permission) for permission in may_execute(dumped.name) if not cluster.allowed(permission)]
    if not missing:
        return None
    reason = f"the cluster does not let the operator {' and '.join(missing)}"
    mend = "grant get and create on pods/exec; or name an endpoint of the service in components.application.heap_dumps.dump_path"
    return Refusal(by="permissions", reason=reason, mend=mend)


def _container(context: ActionContext, pod: str, name: str) -> Container:
    connection, client = context.service.connections.kubernetes, context.api_client
    assert connection is not None  # `operator` has said so
    assert client is not None
    assert context.open_container is not None  # who has logged in to a cluster knows how
    return context.open_container(client, connection.namespace, pod, name, connection.timeout_seconds)


def _process(context: ActionContext, dumped: Dumped, survey: Survey, pid: int | None) -> Process | Refusal:
    """The process of this pid; else the largest of the runtime that the service file names; else the largest of any known one."""
    application = context.service.components.application
    if pid is not None:
        found = [process for process in survey.processes if process.pid == pid]
    else:
        runtime = application.heap_dumps.runtime or runtime_of(application.technology)
        found = [process for process in survey.processes if process.runtime == runtime] or list(survey.processes)
    if found:
        return max(found, key=lambda process: process.resident_bytes)
    named = f"no process {pid} of" if pid is not None else "no process of"
    reason = (
        f"container {dumped.container} of pod/{dumped.name} has {named} Node.js, Java or Python that its own shell may look at"
    )
    return Refusal(
        by="target", reason=reason, mend="name the container in components.application.container; others are not supported"
    )


def _planned(
    context: ActionContext, dumped: Dumped, survey: Survey, process: Process, choice: Choice, needed: Estimate, directory: str,
    folder: Path, most_bytes: int,
) -> Plan:  # fmt: skip
    name = file_name(context.now(), dumped.name, SUFFIXES[choice.format])
    remote = directory if choice.way == "signal" else f"{directory.rstrip('/')}/{name}"
    what = "class histogram" if choice.way == "histogram" else "heap dump"
    pause = written(needed.pause_seconds, "seconds")
    size = written(needed.file_bytes, "bytes")
    deadly = bursts(survey, dumped, needed) or dumped.alone
    return Plan(
        action="take_heap_dump",
        title=f"Take a {what} of {process.runtime} in pod {dumped.name}",
        target=Target(kind="pod", name=dumped.name, namespace=context.namespace),
        before="\n".join(_facts(dumped, survey, process, directory)),
        after=f"{name} of up to {size} in {folder}, verified, for its owner only; nothing of it is left in the container",
        command=_command(context, dumped, process, choice, remote, name),
        risk="high" if deadly else "medium",
        affects=f"whoever pod {dumped.name} serves: it answers nothing for about {pause}",
        undo="none is needed: the file in the container is removed once it was fetched",
        seen_by=f"the file is in {folder}, its size and checksum the same as in the container; then incident.heap.largest()",
        seconds_until_effect=needed.pause_seconds,
        reversible=False,
        evidence=True,
        bound_to={"uid": dumped.uid, "pid": str(process.pid), "started": str(process.started)},
        arguments={
            "pod": dumped.name,
            "container": dumped.container,
            "process": asdict(process),
            "choice": asdict(choice),
            "tools": dict(survey.tools),
            "remote": remote,
            "file": str(folder / name),
            "pause_seconds": needed.pause_seconds,
            "needed_bytes": needed.file_bytes,
            "most_bytes": most_bytes,
        },
        warnings=(
            *warnings(survey, dumped, needed, stops=True),
            *([] if choice.way == "histogram" else [_SECRETS]),
            *_openness(choice),
        ),
        uses={"pods_at_once": 1},
    )


def _facts(dumped: Dumped, survey: Survey, process: Process, directory: str) -> list[str]:
    limit, place = dumped.limit_bytes("memory"), survey.directory(directory)
    used = written(process.resident_bytes, "bytes")
    return [
        f"process: {process.pid} ({process.program})",
        f"memory: {used}" + (f" of {written(limit, 'bytes')}" if limit else ", without a limit"),
        f"free in {directory}: {written(place.free_bytes, 'bytes') if place else 'not known'}",
    ]


def _openness(choice: Choice) -> list[str]:
    if choice.way != "inspector":
        return []
    return ["meanwhile the process's inspector is open on the container's loopback, where whatever runs in the pod can reach it"]


def _command(context: ActionContext, dumped: Dumped, process: Process, choice: Choice, remote: str, name: str) -> str:
    """What a person would type: dump, then fetch without tar."""
    inside = f"kubectl -n {context.namespace} exec {dumped.name} -c {dumped.container} --"
    fetch = f"{inside} cat {remote} > {name}\n{inside} rm {remote}"
    pid = process.pid
    if choice.way == "jcmd":
        return f"{inside} jcmd {pid} GC.heap_dump {remote}\n{fetch}"
    if choice.way == "jmap":
        return f"{inside} jmap -dump:live,format=b,file={remote} {pid}\n{fetch}"
    if choice.way == "histogram":
        return f"{inside} jcmd {pid} GC.class_histogram > {name}"
    if choice.way == "signal":
        written_to = f"{remote}/Heap.*.{pid}.*.heapsnapshot"
        return f"{inside} kill -USR2 {pid}\n{inside} sh -c 'cat {written_to}' > {name}\n{inside} sh -c 'rm {written_to}'"
    forward = f"kubectl -n {context.namespace} port-forward {dumped.name} 9229"
    return f"{inside} kill -USR1 {pid}\n{forward}  # then chrome://inspect, Memory, Take snapshot"


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    arguments = plan.arguments
    if "endpoint" in arguments:
        return endpoint.changes(context, plan)
    cluster = operator(context)
    container = _container(context, arguments["pod"], arguments["container"])
    process, choice = Process(**arguments["process"]), Choice(**arguments["choice"])
    kept = Kept(file=Path(arguments["file"]), folder=context.heap_dumps or Path(arguments["file"]).parent)
    dumping = Dumping(
        container=container, cluster=cluster, uid=plan.bound_to["uid"], process=process, choice=choice,
        target=arguments["remote"], pause_seconds=arguments["pause_seconds"], needed_bytes=arguments["needed_bytes"],
        progress=context.progress, now=context.now,
    )  # fmt: skip
    fetch = partial(
        Fetch, container=container, tools=arguments["tools"], most_bytes=arguments["most_bytes"], clock=time.monotonic,
        sleep=context.sleep, progress=context.progress,
    )  # fmt: skip
    return [dumping, Fetching(dumping, kept, lambda file: fetch(file=file), partial(_described, plan, kept))]


def _described(plan: Plan, kept: Kept, fetched: Fetched, taken_at: datetime) -> HeapDump:
    process, bound = plan.arguments["process"], plan.bound_to
    return HeapDump(
        file=fetched.path.name if fetched.path.parent == kept.folder else str(fetched.path),
        format=plan.arguments["choice"]["format"],
        runtime=process["runtime"],
        pod=plan.arguments["pod"],
        container=plan.arguments["container"],
        process=f"{bound['uid']} {bound['pid']} {bound['started']}",
        taken_at=taken_at,
        bytes=fetched.bytes,
        sha256=fetched.sha256,
    )


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """A dump that was taken has left nothing; tracing that was begun for one is ended again."""
    if "endpoint" in plan.arguments:
        return endpoint.undone(context, plan)
    return Refusal(by="undo", reason="the file in the container was removed when it was fetched: nothing is left to take back")


TAKE_HEAP_DUMP = Action(
    name="take_heap_dump",
    title="Take a heap dump of the pod that leaks most, and fetch it",
    risk="medium",
    repair=False,
    evidence=True,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
