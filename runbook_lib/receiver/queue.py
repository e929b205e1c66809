"""Accepted alerts on disk, one file for each run that they call for, so that a crash at any moment loses none.

A file moves from `waiting/` to `running/` to `finished/`; a file is written whole before it appears. One that cannot be read is
set aside in `broken/`. Whoever accepts an alert has it on disk, synced, before saying so. One process serves a queue at a time;
its threads share it under a lock.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from runbook_lib.errors import ConfigurationError
from runbook_lib.models.record import ProcessRecord
from runbook_lib.receiver.ending import end_left_behind
from runbook_lib.receiver.job import Job, parsed, written

__all__ = ["MOST_ALERTS", "Accepted", "JobQueue"]

_STATES = ("waiting", "running", "finished")
_BROKEN = "broken"

MOST_ALERTS = 2000
"""How many alerts may call for one run that waits: its file is written anew with each notification."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What became of alerts. jobs: those that were begun or joined, each with how many of the alerts it took. refused: how many
    alerts did not fit; all others are kept, or were known."""

    jobs: tuple[tuple[Job, int], ...]
    refused: int

    @property
    def alerts(self) -> int:
        """How many were new, and are kept."""
        return sum(count for _, count in self.jobs)


class JobQueue:
    """Jobs in a folder, at most `capacity` of them waiting, and one at a time for each notebook and service.

    repeat_after: an alert of a finished job is a duplicate until this long after its end, since Alertmanager repeats its
    notifications. told is given a line for each thing that a person should know. Ends the runs that the last process left
    behind, which may take 20 s. Raises ConfigurationError when another process serves the same folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        capacity: int = 100,
        repeat_after: timedelta = timedelta(hours=1),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder = folder
        self.capacity = capacity
        self._repeat_after = repeat_after
        self._clock = clock
        self._told = told
        self._changed = threading.Condition()
        self._closed = False
        for state in (*_STATES, _BROKEN):
            # Alerts may name customers: for nobody else's eyes.
            (folder / state).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held = self._hold()
        self._recover()

    def _hold(self) -> TextIO:
        held = (self.folder / "lock").open("w", encoding="utf-8")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            held.close()
            raise ConfigurationError(f"{self.folder} is served by another process; stop it, or give another --queue") from None
        return held

    def _recover(self) -> None:
        """What was running when the last process ended waits again, unless it had just been finished.

        A run outlives a receiver that is killed. It is ended first: the job's next run would act beside it.
        """
        cut_short = [job for job in self._jobs("running") if not self._path("finished", job.id).exists()]
        for process in end_left_behind([job.process for job in cut_short if job.process is not None]):
            self._told(f"process {process.pid}, a run that the last receiver left behind, was ended")
        for path in self._paths("running"):
            if self._path("finished", path.stem).exists():
                path.unlink()
            else:
                path.replace(self._path("waiting", path.stem))

    def accept(self, jobs: Iterable[Job]) -> Accepted:
        """Keep the alerts of these jobs that are new and fit, on disk when this returns. An alert joins the job that waits to run
        the same for the same service: the bigger an outage, the more alerts it has, and the surer one run of it begins.

        Raises OSError when the disk does not take them. Sending the same alerts again is then safe: those that were kept count
        as duplicates.
        """
        with self._changed:
            known = self._known_keys()
            waiting = {job.target: job for job in self._jobs("waiting")}
            new = {job.key: job for job in jobs if job.key not in known}
            grown: dict[tuple[str, str], int] = {}
            for job in new.values():
                there = waiting.get(job.target)
                if len(there.keys) >= MOST_ALERTS if there is not None else len(waiting) >= self.capacity:
                    continue
                waiting[job.target] = there.with_alert_of(job) if there is not None else job
                grown[job.target] = grown.get(job.target, 0) + 1
            for target in grown:
                self._write(waiting[target], "waiting")
            if grown:
                _sync_folder(self.folder / "waiting")
                self._changed.notify_all()
            kept = tuple((waiting[target], count) for target, count in grown.items())
            return Accepted(jobs=kept, refused=len(new) - sum(grown.values()))

    def take(self, *, timeout_seconds: float | None = None) -> Job | None:
        """The oldest waiting job whose notebook and service has no run on, now running; waits for one.

        None when the time is up or the queue is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._next() is not None, timeout_seconds)
            job = None if self._closed else self._next()
            if job is None:
                return None
            job = replace(job, attempts=job.attempts + 1, process=None)
            self._move(job, "waiting", "running")
            return job

    def note_process(self, job: Job, process: ProcessRecord) -> None:
        """The run of a job is on in this process; the next receiver ends it if this one cannot."""
        with self._changed:
            self._write(replace(self._running(job), process=process), "running")

    def finish(self, job: Job, *, outcome: str, archive: str | None) -> Job:
        """The run of a job ended; gives back the job as it is kept."""
        with self._changed:
            now = self._clock().isoformat()
            done = replace(self._running(job), outcome=outcome, archive=archive, finished_at=now, process=None)
            self._move(done, "running", "finished")
            self._forget_old()
            return done

    def give_back(self, job: Job, *, counts: bool = False) -> None:
        """The run of a job was cut short, and it waits again. counts: it may have been its own fault, so it counts as attempt."""
        with self._changed:
            current = self._running(job)
            attempts = current.attempts if counts else max(0, current.attempts - 1)
            self._move(replace(current, attempts=attempts, process=None), "running", "waiting")

    def resolve(self, key: str, at: datetime) -> Job | None:
        """Note that the alert with this key is resolved; gives back its latest job, None when there is none."""
        with self._changed:
            for state in _STATES:
                for job in reversed(self._jobs(state)):
                    if key in job.keys:
                        job = job.with_resolution(key, at.astimezone(UTC).isoformat())
                        self._write(job, state)
                        return job
        return None

    def counts(self) -> dict[str, int]:
        """How many jobs are waiting and running."""
        with self._changed:
            return {state: len(self._paths(state)) for state in ("waiting", "running")}

    def stop_taking(self) -> None:
        """Let those who wait in `take` go; nobody is given a job any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop taking, and let another process serve the folder."""
        self.stop_taking()
        self._held.close()

    def _next(self) -> Job | None:
        waiting = self._jobs("waiting")
        # One that is in both was about to be taken when the disk was full: nobody runs it.
        untaken = {job.id for job in waiting}
        busy = {job.target for job in self._jobs("running") if job.id not in untaken}
        return next((job for job in waiting if job.target not in busy), None)

    def _running(self, job: Job) -> Job:
        # Read again: an alert may have been resolved during the run.
        return self._read(self._path("running", job.id)) or job

    def _known_keys(self) -> set[str]:
        oldest = self._clock() - self._repeat_after
        recent = [job for job in self._jobs("finished") if job.finished_at and datetime.fromisoformat(job.finished_at) > oldest]
        return {key for job in (*self._jobs("waiting"), *self._jobs("running"), *recent) for key in job.keys}

    def _forget_old(self) -> None:
        # The archive is the memory of what happened. Finished jobs are kept to recognise repetitions, and to note resolutions.
        for path in self._paths("finished")[: -10 * self.capacity]:
            path.unlink()

    def _jobs(self, state: str) -> list[Job]:
        """Those in a state, oldest first."""
        return [job for path in self._paths(state) if (job := self._read(path)) is not None]

    def _paths(self, state: str) -> list[Path]:
        # Ids begin with the time of acceptance, so that names sort by age.
        return sorted((self.folder / state).glob("*.json"))

    def _path(self, state: str, job_id: str) -> Path:
        return self.folder / state / f"{job_id}.json"

    def _read(self, path: Path) -> Job | None:
        """The job in a file, None when there is none. A file that cannot be understood is set aside: it would stop all others."""
        try:
            job = parsed(path.read_bytes())
            if job.id == path.stem:
                return job
        except FileNotFoundError:
            return None
        except ValueError:
            pass
        aside = self.folder / _BROKEN / f"{path.parent.name}-{path.name}"
        path.replace(aside)
        self._told(f"{path} holds no job, and was set aside as {aside}: see whose alert it was")
        return None

    def _move(self, job: Job, before: str, after: str) -> None:
        """Keep a job in another state. A crash in between leaves it in both, which `_recover` mends."""
        self._write(job, after)
        self._path(before, job.id).unlink(missing_ok=True)
        self._changed.notify_all()

    def _write(self, job: Job, state: str) -> None:
        path = self._path(state, job.id)
        temporary = path.with_suffix(".part")
        try:
            with temporary.open("wb") as file:
                file.write(written(job))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)  # on a full disk it takes what little there is
            raise


def _sync_folder(folder: Path) -> None:
    """Make renames within a folder survive a crash of the machine, which syncing the files alone does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
