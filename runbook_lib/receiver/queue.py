"""Accepted alerts on disk, one file each, so that a crash at any moment loses none.

A file moves from `waiting/` to `running/` to `finished/`; a file is written whole before it
appears. Whoever accepts a job has it on disk, synced, before saying so. One process serves a queue at a time; its threads share
it under a lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from runbook_lib.errors import ConfigurationError, RunbookError

__all__ = ["Job", "JobQueue", "QueueFullError"]

_STATES = ("waiting", "running", "finished")


class QueueFullError(RunbookError):
    """More alerts than the queue may hold are waiting. The sender should try again later, as Alertmanager does on 503."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One alert that starts one run.

    key: the alert's own (see Alert.key). attempts: how often a run was started. outcome: how it ended. archive: folder of its
    incident. resolved_at: when the alert was resolved, None while that is not known. Times are UTC, ISO 8601.
    """

    id: str
    key: str
    notebook: str
    service: str
    alert: dict[str, Any]
    accepted_at: str
    attempts: int = 0
    finished_at: str | None = None
    outcome: str | None = None
    archive: str | None = None
    resolved_at: str | None = None


class JobQueue:
    """Jobs in a folder, at most `capacity` of them waiting.

    repeat_after: a job with the key of a finished one is a duplicate until this long after its end, since Alertmanager repeats
    its notifications. Raises ConfigurationError when another process serves the same folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        capacity: int = 100,
        repeat_after: timedelta = timedelta(hours=1),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.folder = folder
        self.capacity = capacity
        self._repeat_after = repeat_after
        self._clock = clock
        self._changed = threading.Condition()
        self._closed = False
        for state in _STATES:
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
        """What was running when the last process ended waits again, unless it had just been finished."""
        for path in self._paths("running"):
            if self._path("finished", path.stem).exists():
                path.unlink()
            else:
                path.replace(self._path("waiting", path.stem))

    def accept(self, jobs: list[Job]) -> list[Job]:
        """Keep the jobs that are new, all or none, on disk when this returns; gives back those that were new.

        Raises QueueFullError when they do not fit, OSError when the disk does not take them. Sending the same jobs again
        is then safe: those that were kept count as duplicates.
        """
        with self._changed:
            known = self._known_keys()
            new = list({job.key: job for job in jobs if job.key not in known}.values())
            waiting = len(self._paths("waiting"))
            if waiting + len(new) > self.capacity:
                raise QueueFullError(f"{waiting} alerts wait and at most {self.capacity} may; try again later")
            for job in new:
                self._write(job, "waiting")
            if new:
                _sync_folder(self.folder / "waiting")
                self._changed.notify_all()
            return new

    def take(self, *, timeout_seconds: float | None = None) -> Job | None:
        """The oldest waiting job, now running; waits for one. None when the time is up or the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._paths("waiting"), timeout_seconds)
            waiting = self._paths("waiting")
            if self._closed or not waiting:
                return None
            job = self._read(waiting[0])
            job = replace(job, attempts=job.attempts + 1)
            self._write(job, "running")
            waiting[0].unlink()
            return job

    def finish(self, job: Job, *, outcome: str, archive: str | None) -> Job:
        """The run of a job ended; gives back the job as it is kept."""
        with self._changed:
            # Read again: the alert may have been resolved during the run.
            current = self._read(self._path("running", job.id))
            done = replace(current, outcome=outcome, archive=archive, finished_at=self._clock().isoformat())
            self._write(done, "finished")
            self._path("running", job.id).unlink()
            self._forget_old()
            return done

    def give_back(self, job: Job) -> None:
        """The run of a job was cut short, which is not its fault: it waits again."""
        with self._changed:
            self._path("running", job.id).replace(self._path("waiting", job.id))

    def resolve(self, key: str, at: datetime) -> Job | None:
        """Note that the alert with this key is resolved; gives back its latest job, None when there is none."""
        with self._changed:
            for state in _STATES:
                for path in reversed(self._paths(state)):
                    job = self._read(path)
                    if job.key == key:
                        job = replace(job, resolved_at=at.isoformat())
                        self._write(job, state)
                        return job
        return None

    def counts(self) -> dict[str, int]:
        """How many jobs are waiting and running."""
        with self._changed:
            return {state: len(self._paths(state)) for state in ("waiting", "running")}

    def close(self) -> None:
        """Let those who wait in `take` go, and let another process serve the folder."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._held.close()

    def _known_keys(self) -> set[str]:
        active = {self._read(path).key for state in ("waiting", "running") for path in self._paths(state)}
        oldest = self._clock() - self._repeat_after
        finished = (self._read(path) for path in self._paths("finished"))
        return active | {job.key for job in finished if job.finished_at and datetime.fromisoformat(job.finished_at) > oldest}

    def _forget_old(self) -> None:
        # The archive is the memory of what happened. Finished jobs are kept to recognise repetitions, and to note resolutions.
        for path in self._paths("finished")[: -10 * self.capacity]:
            path.unlink()

    def _paths(self, state: str) -> list[Path]:
        # Ids begin with the time of acceptance, so that names sort by age.
        return sorted((self.folder / state).glob("*.json"))

    def _path(self, state: str, job_id: str) -> Path:
        return self.folder / state / f"{job_id}.json"

    def _read(self, path: Path) -> Job:
        return Job(**json.loads(path.read_text(encoding="utf-8")))

    def _write(self, job: Job, state: str) -> None:
        path = self._path(state, job.id)
        temporary = path.with_suffix(".part")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(asdict(job), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def _sync_folder(folder: Path) -> None:
    """Make renames within a folder survive a crash of the machine, which syncing the files alone does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
