"""Heap dumps: which one was taken of what, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from runbook_lib.models.frame import Frame

__all__ = ["SUFFIXES", "HeapContent", "HeapDump", "HeapFormat", "Runtime"]

Runtime = Literal["node", "java", "python"]
HeapFormat = Literal["heapsnapshot", "hprof", "class_histogram", "allocations"]

SUFFIXES: dict[HeapFormat, str] = {
    "heapsnapshot": ".heapsnapshot",
    "hprof": ".hprof",
    "class_histogram": ".histogram.txt",
    "allocations": ".allocations.json",
}
"""How the file of each format is named, as its own tools expect it."""


class HeapDump(BaseModel):
    """One dump that was taken and verified: what `evidence/heap/<name>.json` says beside the file.

    file: its path; relative to the incident's `evidence/heap/` unless it is kept elsewhere. process: the process that it is of,
    as `<pod uid> <pid> <start>`, so that two dumps are known to be of the same one. taken_at: when it was begun.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    format: HeapFormat
    runtime: Runtime
    pod: str
    container: str
    process: str
    taken_at: AwareDatetime
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, eq=False)
class HeapContent:
    """What a dump holds, by type or by place of allocation: the largest first.

    table: columns name, count (of objects or blocks), bytes (their own, without what they refer to). counted: what the names
    are. notes: what one must know of the figures, such as a file that is cut off.
    """

    counted: Literal["types", "classes", "allocation sites"]
    table: Frame
    total_bytes: int
    total_count: int
    notes: tuple[str, ...] = ()
