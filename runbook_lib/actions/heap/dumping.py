"""The two writes of a heap dump: let the process write it, then fetch, verify and remove it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from runbook_lib.actions.cluster import PODS, Operator
from runbook_lib.actions.container import Container
from runbook_lib.actions.heap.fetching import Fetch, Fetched
from runbook_lib.actions.heap.survey import Process, look_around, script
from runbook_lib.actions.heap.ways import Choice
from runbook_lib.actions.interface import ChangeRefused, Permission, Settling
from runbook_lib.errors import ActionFailed, SourceError, SourceMissingObject
from runbook_lib.models.heap import HeapDump
from runbook_lib.models.plan import Refusal
from runbook_lib.models.units import written

__all__ = ["Dumping", "Fetching", "Kept", "remember"]

_WARNING = (
    "It holds whatever was in memory, passwords and personal data included: only its owner may read it, it is in no report, and "
    "no redaction can clean it"
)
_IDLE_SECONDS = 30.0  # the script says something every second
_LONGEST_FACTOR, _LONGEST_SECONDS = 5.0, 300.0


def may_execute(pod: str) -> list[Permission]:
    """What the cluster must allow for commands in a pod.

    The WebSocket is opened by a GET; from Kubernetes 1.35 on it is let through only to those that may create as well.
    """
    return [PODS.may(verb, pod, subresource="exec") for verb in ("get", "create")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Where a dump is kept here: the file, and the incident's folder of dumps, which also tells of one that is elsewhere."""

    file: Path
    folder: Path


def remember(kept: Kept, dump: HeapDump) -> None:
    """Write beside the dumps of the incident what this one is of."""
    kept.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (kept.folder / f"{kept.file.name}.json").write_text(dump.model_dump_json(indent=2) + "\n", encoding="utf-8")


@dataclass
class Dumping:
    """Let the process of the plan, and no other, write its dump into its container."""

    container: Container
    cluster: Operator
    uid: str
    process: Process
    choice: Choice
    target: str
    pause_seconds: float
    needed_bytes: int
    progress: Callable[[str], None]
    now: Callable[[], datetime]
    file: str = field(default="", init=False)
    taken_at: datetime = field(init=False)

    @property
    def text(self) -> str:
        """What it does."""
        return f"let {self.process.runtime} {self.process.pid} in {self.container} write its {_named(self.choice)}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """Commands in the pod, and a look at it."""
        return [*may_execute(self.container.pod), PODS.may("get", self.container.pod)]

    def preview(self) -> None:
        """See that the pod and the process are those of the plan, and that there still is room for the file."""
        try:
            found = self.cluster.get(PODS, self.container.pod)
            directory = self.target if self.choice.way == "signal" else self.target.rpartition("/")[0]
            survey = look_around(self.container, [directory])
        except (SourceMissingObject, SourceError) as error:
            raise ChangeRefused(Refusal(by="unchanged since the plan", reason=error.reason, mend="run the cell again")) from error
        same = {(one.pid, one.started) for one in survey.processes}
        if found["metadata"]["uid"] != self.uid or (self.process.pid, self.process.started) not in same:
            reason = f"process {self.process.pid} of {self.container} is not the one of the plan any more"
            raise ChangeRefused(
                Refusal(by="unchanged since the plan", reason=reason, mend="run the cell again and read the new plan")
            )
        place = survey.directory(directory)
        if place is None or place.free_bytes < self.needed_bytes:
            free = written(place.free_bytes, "bytes") if place is not None else "no room"
            reason = f"{directory} in {self.container} has {free} left; up to {written(self.needed_bytes, 'bytes')} are needed"
            raise ChangeRefused(Refusal(by="limits", reason=reason, mend="free it, or name another directory: directory=…"))

    def apply(self) -> str:
        """Dump, and tell where to; what a failed one left behind is removed."""
        began, self.taken_at = time.monotonic(), self.now()
        longest = max(_LONGEST_SECONDS, _LONGEST_FACTOR * self.pause_seconds)
        try:
            self.file = self._dumped(began + longest)
        except BaseException as error:
            left = self._swept()
            if isinstance(error, SourceError):
                raise ActionFailed(f"{self.text}: {error.reason}{left}") from error
            raise
        return f"{self.text}: done in {written(time.monotonic() - began, 'seconds')}, as {self.file}"

    def _dumped(self, deadline: float) -> str:
        stdin = script("inspector.js").replace("\n", " ").encode() + b"\n" if self.choice.way == "inspector" else b""
        process = self.process
        arguments = [self.choice.way, str(process.pid), str(process.started), self.target, *self.choice.arguments]
        command = ["sh", "-c", script("dump.sh"), "sh", *arguments]
        rest, said = "", []
        for piece in self.container.stream(command, idle_seconds=_IDLE_SECONDS, stdin=stdin):
            *lines, rest = (rest + piece.decode("utf-8", "replace")).split("\n")
            said += [line for line in lines if line.strip()][-20:]
            if said and said[-1].startswith("written "):
                self.progress(f"{self.process.runtime} {process.pid} has written {_amount(said[-1])}")
            if time.monotonic() > deadline:
                raise ActionFailed(f"{self.text}: not done after {self.pause_seconds:.0f} s and much longer; look at the pod")
        if not said or not said[-1].startswith("file "):
            raise ActionFailed(f"{self.text}: no file came of it ({'; '.join(said[-3:]) or 'no answer'})")
        return said[-1].removeprefix("file ")

    def revert(self) -> str:
        """Remove the file in the container."""
        return f"{self.text}: removed again{self._swept()}"

    def _swept(self) -> str:
        """Remove what is there of the file; gives what is left of it, in words."""
        if self.choice.way == "signal" and not self.file:
            return f"; look into {self.target} of {self.container} for what is left of it"
        return swept(self.container, self.file or self.target)

    def settling(self) -> Settling:
        """At once."""
        return Settling(done=True, text="the dump is written")


def swept(container: Container, file: str) -> str:
    """Remove a file in a container; gives a clause for what could not be, empty when it is gone."""
    try:
        ran = container.run(["rm", "-f", file])
    except SourceError as error:
        return f"; {file} may be left in {container} ({error.reason}): remove it by hand"
    return f"; {file} is left in {container} ({ran.error}): remove it by hand" if ran.code else ""


def _named(choice: Choice) -> str:
    return "class histogram" if choice.format == "class_histogram" else "heap dump"


def _amount(line: str) -> str:
    words = line.split()
    return written(float(words[1]), "bytes") if len(words) > 1 and words[1].isdigit() else "nothing yet"


@dataclass
class Fetching:
    """Fetch what the dumping has left, verify it, keep it for its owner only, and remove it in the container."""

    dumping: Dumping
    kept: Kept
    fetch: Callable[[str], Fetch]
    describe: Callable[[Fetched, datetime], HeapDump]

    @property
    def text(self) -> str:
        """What it does."""
        return f"fetch it to {self.kept.file}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """Those of the dumping."""
        return self.dumping.permissions

    def preview(self) -> None:
        """See that there is room for it here."""
        make_room(self.kept, self.dumping.needed_bytes)

    def apply(self) -> str:
        """Fetch; the file in the container is removed whether that worked or not."""
        try:
            fetched = self.fetch(self.dumping.file).to(self.kept.file)
        except ActionFailed as error:
            left = swept(self.dumping.container, self.dumping.file) or "; it was removed in the container"
            raise ActionFailed(f"{error}{left}") from error
        except BaseException:
            swept(self.dumping.container, self.dumping.file)
            raise
        left = swept(self.dumping.container, self.dumping.file) or "; removed in the container"
        remember(self.kept, self.describe(fetched, self.dumping.taken_at))
        return told(fetched, left, holds_data=self.dumping.choice.format != "class_histogram")

    def revert(self) -> str:
        """What was fetched stays: it is what this was for."""
        return f"{self.kept.file} stays"

    def settling(self) -> Settling:
        """At once."""
        return Settling(done=True, text="the dump is here")


def told(fetched: Fetched, left: str, *, holds_data: bool) -> str:
    """What was fetched, in words, with the warning that belongs to a file of this kind."""
    what = f"fetched {fetched.path}: {fetched.bytes:,} bytes, SHA-256 {fetched.sha256}, verified {fetched.verified}{left}"
    return f"{what}. {_WARNING}" if holds_data else what


def make_room(kept: Kept, needed_bytes: int) -> None:
    """Make the folder, readable for its owner only. Raises ChangeRefused when it cannot be made, or has too little room."""
    try:
        kept.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(kept.file.parent).free
    except OSError as error:
        reason = f"{kept.file.parent} cannot be made: {error.strerror or error}"
        raise ChangeRefused(Refusal(by="limits", reason=reason, mend="name another folder: folder=…")) from error
    if free < needed_bytes:
        reason = f"{kept.file.parent} has {written(free, 'bytes')} left; up to {written(needed_bytes, 'bytes')} are needed"
        raise ChangeRefused(Refusal(by="limits", reason=reason, mend="free the disk, or name another folder: folder=…"))


def file_name(at: datetime, pod: str, suffix: str) -> str:
    """`20260301T040000Z-orders-abc.hprof`: sorts by time, and names the pod."""
    return f"{at:%Y%m%dT%H%M%SZ}-{pod}{suffix}"
