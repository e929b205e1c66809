"""Whether a dump fits: into the disk, the limits and the memory of the container; and whether that lives through the pause."""

from __future__ import annotations

from collections.abc import Sequence

from runbook_lib.actions.heap.estimates import Estimate
from runbook_lib.actions.heap.survey import Directory, Survey
from runbook_lib.actions.heap.target import Dumped
from runbook_lib.models.plan import Refusal
from runbook_lib.models.units import written

__all__ = ["bursts", "directory_for", "warnings"]


def directory_for(
    survey: Survey, dumped: Dumped, needed: Estimate, *, only: str | None, preferred: Sequence[str]
) -> Directory | Refusal:
    """Where the file goes: `only` there; else the first of the preferred and usual places with room, those on a disk first."""
    wanted = [survey.directory(only)] if only else [*(survey.directory(path) for path in preferred), *survey.directories]
    there = list(dict.fromkeys(one for one in wanted if one is not None))
    fitting = [one for one in there if one.free_bytes >= needed.file_bytes]
    for place in sorted(fitting, key=lambda one: one.in_memory):
        refusal = _limits(place, dumped, needed) or (_memory(place, survey, dumped, needed) if place.in_memory else None)
        if refusal is None or place is fitting[-1]:
            return refusal or place
    if not there:
        reason = f"{only} cannot be written to" if only else "no directory can be written to (a read-only file system?)"
        mend = "name one that can: directory=…, or mount an emptyDir"
    else:
        most = max(there, key=lambda one: one.free_bytes)
        free = written(most.free_bytes, "bytes")
        reason = f"up to {written(needed.file_bytes, 'bytes')} are needed, and {most.path} has {free} free"
        mend = (
            "free it, mount an emptyDir and name it: directory=…; for a JVM take_heap_dump(histogram=True) needs next to nothing"
        )
    return Refusal(by="limits", reason=f"{dumped.container} of pod/{dumped.name} has no room for the dump: {reason}", mend=mend)


def _limits(place: Directory, dumped: Dumped, needed: Estimate) -> Refusal | None:
    """What is written counts against limits that a file system does not show; above them the pod is evicted."""
    limits = {
        "its limit of ephemeral storage": None if place.in_memory else dumped.limit_bytes("ephemeral-storage"),
        f"the size limit of the volume at {place.path}": dumped.volume_bytes(place.path),
    }
    for name, limit in limits.items():
        if limit is not None and needed.file_bytes > limit:
            size = written(needed.file_bytes, "bytes")
            reason = f"up to {size} are needed, and {name} is {written(limit, 'bytes')}: the pod would be evicted"
            return Refusal(by="limits", reason=reason, mend="name another directory: directory=…, or raise the limit")
    return None


def _memory(place: Directory, survey: Survey, dumped: Dumped, needed: Estimate) -> Refusal | None:
    left = headroom(survey, dumped)
    if left is None or left >= needed.file_bytes + needed.memory_bytes:
        return None
    reason = (
        f"{place.path} is kept in memory, which counts against the container's limit: up to "
        f"{written(needed.file_bytes, 'bytes')} are needed, and {written(left, 'bytes')} are left of it"
    )
    return Refusal(
        by="limits", reason=reason, mend="name a directory on a disk: directory=…, or mount an emptyDir without medium"
    )


def headroom(survey: Survey, dumped: Dumped) -> float | None:
    """Bytes between what the processes use and the container's limit; None without a limit."""
    limit = dumped.limit_bytes("memory")
    return None if limit is None else max(0.0, limit - sum(process.resident_bytes for process in survey.processes))


def bursts(survey: Survey, dumped: Dumped, needed: Estimate) -> str:
    """Why the container would be killed for lack of memory by the dump; empty when it would not."""
    left = headroom(survey, dumped)
    if left is None or needed.memory_bytes <= left:
        return ""
    return (
        f"the dump takes {written(needed.memory_bytes, 'bytes')} of memory, and {written(left, 'bytes')} are left below the "
        "limit: the container would be OOM-killed, and the dump lost. A younger pod has more room: pod=…; or raise the limit"
    )


def warnings(survey: Survey, dumped: Dumped, needed: Estimate, *, stops: bool) -> list[str]:
    """What whoever approves should know. stops: the process answers nobody meanwhile."""
    told, left = [], headroom(survey, dumped)
    if burst := bursts(survey, dumped, needed):
        told.append(burst)
    elif left is not None and needed.memory_worst_bytes > left:
        told.append(
            f"a heap of many small objects takes up to {written(needed.memory_worst_bytes, 'bytes')} of memory to be dumped; "
            f"{written(left, 'bytes')} are left below the limit"
        )
    if not stops:
        return told
    pause = written(needed.pause_seconds, "seconds")
    liveness, readiness = dumped.probe_seconds("livenessProbe"), dumped.probe_seconds("readinessProbe")
    if liveness is not None and needed.pause_seconds >= liveness:
        told.append(
            f"its liveness probe gives up after {written(liveness, 'seconds')}, and it answers nothing for about {pause}: "
            "the container would be restarted, and the dump lost. Lengthen the probe first, or take another way"
        )
    if readiness is not None and needed.pause_seconds >= readiness and not dumped.alone:
        told.append(
            f"its readiness probe fails after {written(readiness, 'seconds')}: the other pods take its requests meanwhile"
        )
    if dumped.alone:
        told.append(f"no other pod is ready: nobody answers for about {pause}")
    return told
