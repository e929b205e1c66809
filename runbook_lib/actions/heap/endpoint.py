"""A heap dump that the service itself gives: Spring's `/actuator/heapdump`, or what tracemalloc says of a Python service."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from runbook_lib.actions.admin_endpoint import AdminCall, AdminClient, CallFailed, Endpoint, endpoints_of_pods
from runbook_lib.actions.heap.checksum import Checksums
from runbook_lib.actions.heap.dumping import Kept, file_name, make_room, remember, told
from runbook_lib.actions.heap.fetching import Fetched
from runbook_lib.actions.heap.target import Dumped
from runbook_lib.actions.heap.ways import runtime_of
from runbook_lib.actions.interface import ActionContext, Change, ChangeRefused, Permission, Settling
from runbook_lib.errors import ActionFailed
from runbook_lib.models.heap import SUFFIXES, HeapDump, HeapFormat, Runtime
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.models.units import written
from runbook_lib.service.components import HeapDumps

__all__ = ["changes", "planned", "undone"]

_FORMATS: dict[Runtime, HeapFormat] = {"node": "heapsnapshot", "java": "hprof", "python": "allocations"}
_PAUSE_SECONDS = {"node": 20.0, "java": 5.0, "python": 1.0}  # an estimate: how large the heap is shows only in the answer
_SLOWEST_SECONDS = 300.0
_SECRETS = "the file will hold whatever is in memory, passwords and personal data included: keep it like a secret"


def planned(context: ActionContext, dumped: Dumped, folder: Path, most_bytes: int) -> Plan | Refusal:
    """The plan to ask the pod for its dump, after tracing was begun where the service file says how."""
    settings, runtime = _settings(context), _runtime(context)
    if runtime is None:
        mend = "set components.application.heap_dumps.runtime to node, java or python"
        return Refusal(by="target", reason="what comes of the service's dump_path is not known", mend=mend)
    one = _endpoint(context, dumped.name)
    name = file_name(context.now(), dumped.name, SUFFIXES[_FORMATS[runtime]])
    begins = settings.start_path is not None
    header = '-H "Authorization: Bearer $TOKEN" ' if settings.token is not None else ""
    curl = f"curl -fsS {header}'{one.base}{settings.dump_path}' -o {name}"
    start = f"curl -fsS -X POST {header}'{one.base}{settings.start_path}'\n" if begins else ""
    stop = settings.stop_path if begins else None
    pause = written(_PAUSE_SECONDS[runtime], "seconds")
    slower = f"; while it traces, pod {dumped.name} is slower and needs more memory" if begins else ""
    return Plan(
        action="take_heap_dump",
        title=f"Take a heap dump of pod {dumped.name} by its own endpoint",
        target=Target(kind="pod", name=dumped.name, namespace=context.namespace),
        before="no dump" + ("; allocations are traced, or not yet" if begins else ""),
        after=f"{name} in {folder}, readable for its owner only" + ("; allocations are traced" if begins else ""),
        command=f"{start}{curl}",
        risk="high" if dumped.alone and runtime != "python" else "medium",
        affects=f"whoever pod {dumped.name} serves: it answers late for about {pause}{slower}",
        undo=f"curl -fsS -X POST {header}'{one.base}{stop}'" if stop else "none is needed: nothing but a file here comes of it",
        seen_by=f"the file is in {folder}; then incident.heap.largest()",
        seconds_until_effect=_PAUSE_SECONDS[runtime],
        reversible=stop is not None,
        evidence=True,
        bound_to={"uid": dumped.uid},
        arguments={
            "endpoint": settings.dump_path, "start": settings.start_path, "stop": stop, "pod": dumped.name,
            "container": dumped.container, "process": f"{dumped.uid} {dumped.instance}", "runtime": runtime,
            "file": str(folder / name), "most_bytes": most_bytes,
        },
        warnings=(*_first(begins=begins), *([] if runtime == "python" else [_SECRETS])),
        uses={} if runtime == "python" else {"pods_at_once": 1},
    )  # fmt: skip


def _first(*, begins: bool) -> list[str]:
    return (
        ["the first dump shows only what is allocated from now on: take a second one some minutes later, and compare"]
        if begins
        else []
    )


def undone(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """End the tracing that the dump has begun."""
    stop, pod = plan.arguments["stop"], plan.arguments["pod"]
    if stop is None:
        return Refusal(by="undo", reason="nothing but a file here came of it: there is nothing to take back")
    one = _endpoint(context, pod)
    return Plan(
        action="take_heap_dump",
        title=f"End the tracing of allocations in pod {pod}",
        target=plan.target,
        before="allocations are traced",
        after="allocations are not traced; the dumps that were taken stay",
        command=f"curl -fsS -X POST '{one.base}{stop}'",
        risk="low",
        affects=f"nobody: pod {pod} gets faster again",
        undo="take another dump",
        seen_by="the endpoint has answered",
        seconds_until_effect=1.0,
        reversible=False,
        evidence=True,
        bound_to={"uid": one.uid},
        arguments={"endpoint": None, "stop": stop, "pod": pod},
    )


def changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    """Begin tracing and ask for the dump; or end it."""
    arguments = plan.arguments
    one = _endpoint(context, arguments["pod"])
    if one.uid != plan.bound_to["uid"]:
        reason = f"pod/{one.name} is not the one of the plan any more"
        raise ChangeRefused(
            Refusal(by="unchanged since the plan", reason=reason, mend="run the cell again and read the new plan")
        )
    client = AdminClient(context, _settings(context).token)
    if arguments["endpoint"] is None:
        return [_call(client, one, arguments["stop"], None, f"end the tracing of {one.name}")]
    made: list[Change] = []
    if arguments["start"] is not None:
        made.append(_call(client, one, arguments["start"], arguments["stop"], f"begin to trace the allocations of {one.name}"))
    kept = Kept(file=Path(arguments["file"]), folder=context.heap_dumps or Path(arguments["file"]).parent)
    made.append(_Download(client, one, kept, arguments, context.now, context.progress))
    return made


def _call(client: AdminClient, one: Endpoint, path: str, inverse: str | None, text: str) -> AdminCall:
    return AdminCall(client, one, path, inverse, text, wanted="told", planned=None, state=lambda: None)


def _settings(context: ActionContext) -> HeapDumps:
    return context.service.components.application.heap_dumps


def _runtime(context: ActionContext) -> Runtime | None:
    return _settings(context).runtime or runtime_of(context.service.components.application.technology)


def _endpoint(context: ActionContext, pod: str) -> Endpoint:
    found = next((one for one in endpoints_of_pods(context) if one.name == pod), None)
    if found is None:
        raise ChangeRefused(Refusal(by="target", reason=f"pod/{pod} does not run any more", mend="run the cell again"))
    return found


@dataclass
class _Download:
    """Ask for the dump, and keep what is answered."""

    client: AdminClient
    endpoint: Endpoint
    kept: Kept
    arguments: Mapping[str, Any] = field(repr=False)
    now: Callable[[], datetime]
    progress: Callable[[str], None]

    @property
    def text(self) -> str:
        """What it does."""
        return f"fetch the dump of {self.endpoint.name} to {self.kept.file}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """None of the cluster's: the pod is asked itself."""
        return []

    def preview(self) -> None:
        """See that there is a folder for it."""
        make_room(self.kept, 0)

    def apply(self) -> str:
        """Ask and keep. Nothing of the name is left when it fails."""
        part = self.kept.file.with_name(f"{self.kept.file.name}.part")
        taken_at = self.now()
        try:
            fetched = self._downloaded(part)
            part.replace(self.kept.file)
        except CallFailed as failed:
            raise ActionFailed(f"{self.text}: {failed.reason}") from failed
        except OSError as error:
            raise ActionFailed(f"{self.text}: {part.parent} cannot be written: {error.strerror or error}") from error
        finally:
            part.unlink(missing_ok=True)
        remember(self.kept, self._described(fetched, taken_at))
        return told(fetched, "", holds_data=self.arguments["runtime"] != "python")

    def _downloaded(self, part: Path) -> Fetched:
        checksums, there, most = Checksums(), 0, int(self.arguments["most_bytes"])
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as local:
            for data in self.client.stream(f"{self.endpoint.base}{self.arguments['endpoint']}", seconds=_SLOWEST_SECONDS):
                there += len(data)
                if there > most:
                    raise ActionFailed(f"{self.text}: it has more than the {written(most, 'bytes')} that were agreed to")
                local.write(data)
                checksums.update(data)
                self.progress(f"fetched {written(there, 'bytes')}")
            local.flush()
            os.fsync(descriptor)
        return Fetched(self.kept.file, there, checksums.of("sha256sum"), "by the length that the answer gave")

    def _described(self, fetched: Fetched, taken_at: datetime) -> HeapDump:
        runtime: Runtime = self.arguments["runtime"]
        return HeapDump(
            file=fetched.path.name if fetched.path.parent == self.kept.folder else str(fetched.path),
            format=_FORMATS[runtime],
            runtime=runtime,
            pod=self.endpoint.name,
            container=str(self.arguments["container"]),
            process=str(self.arguments["process"]),
            taken_at=taken_at,
            bytes=fetched.bytes,
            sha256=fetched.sha256,
        )

    def revert(self) -> str:
        """What was fetched stays: it is what this was for."""
        return f"{self.kept.file} stays"

    def settling(self) -> Settling:
        """At once."""
        return Settling(done=True, text="the dump is here")
