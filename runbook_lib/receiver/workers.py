"""Bounded workers: each takes a job, runs its notebook in a process of its own with a deadline, and notes how it ended."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runbook_lib.archive.folder import process_record
from runbook_lib.receiver.ending import end_run
from runbook_lib.receiver.job import Job
from runbook_lib.receiver.queue import JobQueue
from runbook_lib.receiver.telling import in_lines

__all__ = ["RunCommand", "Workers"]

_MAXIMUM_ATTEMPTS = 3
_RETRY_SECONDS = 2.0
_POLL_SECONDS = 0.2
_ERROR_CHARACTERS = 500

_T = TypeVar("_T")

_MEANING = {0: "completed", 2: "refused as wrongly configured", 4: "the notebook failed"}


@dataclass(frozen=True, kw_only=True)
class RunCommand:
    """The command line that runs a job: our own `run`, so that an alert and a person start the very same thing."""

    notebooks: Path
    parameters: Path
    outputs: Path
    window: str = "60m"
    program: Sequence[str] = (sys.executable, "-m", "runbook_lib")

    def arguments(self, job: Job, alert_file: Path) -> list[str]:
        """The arguments for one job, whose alert lies in `alert_file`."""
        return [
            *self.program,
            "run",
            job.notebook,
            f"--service={self.parameters / job.service}",
            f"--window={self.window}",
            f"--alert={alert_file}",
            f"--notebooks={self.notebooks}",
            f"--parameters={self.parameters}",
            f"--outputs={self.outputs}",
        ]


class Workers:
    """`count` threads that work a queue off. `told` is given one line of text for each thing that happens.

    resolved: called with a job whose run has ended when all its alerts were resolved by then, or others had joined the first.
    """

    def __init__(
        self,
        queue: JobQueue,
        command: RunCommand,
        *,
        count: int,
        deadline_seconds: float,
        told: Callable[[str], None],
        resolved: Callable[[Job], None],
    ) -> None:
        self._queue = queue
        self._command = command
        self._deadline_seconds = deadline_seconds
        self._told = in_lines(told)
        self._resolved = resolved
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, name=f"worker-{number}") for number in range(1, count + 1)]

    def start(self) -> None:
        """Begin working."""
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Every worker is at work."""
        return all(thread.is_alive() for thread in self._threads)

    @property
    def any_alive(self) -> bool:
        """A worker is at work. False means that alerts would be accepted and never worked off."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """End the runs that are on, whose jobs then wait for the next start, and close the queue."""
        self._stopping.set()
        self._queue.stop_taking()
        for thread in self._threads:
            thread.join()
        self._queue.close()

    def _work(self) -> None:
        while not self._stopping.is_set():
            job = self._until_it_can("the next alert", self._queue.take)
            if job is None:
                continue
            try:
                self._work_off(job)
            except OSError as error:  # a full disk, too many open files: no fault of the job
                self._put_back(job, str(error), counts=False)
            except Exception as error:  # whatever it was: a worker that dies takes all later alerts with it
                self._put_back(job, f"{type(error).__name__}: {error}", counts=True)

    def _work_off(self, job: Job) -> None:
        if job.attempts > _MAXIMUM_ATTEMPTS:
            # A run that took the whole receiver down this often would do it again.
            self._end(job, f"given up after {_MAXIMUM_ATTEMPTS} attempts that were cut short", None)
        else:
            self._run(job)

    def _put_back(self, job: Job, reason: str, *, counts: bool) -> None:
        self._told(f"{job.id}: could not be run and waits again: {reason}")
        self._until_it_can(job.id, lambda: self._queue.give_back(job, counts=counts))
        self._stopping.wait(_RETRY_SECONDS)

    def _until_it_can(self, what: str, do: Callable[[], _T]) -> _T | None:
        """What the queue gives; while its disk does not let it, asked again. None when the workers are stopped before it did."""
        told = ""
        while True:
            try:
                return do()
            except Exception as error:  # as in _work
                if told != (told := str(error)):
                    self._told(f"{what}: the queue cannot be read or written: {error}; trying again every {_RETRY_SECONDS:g} s")
            if self._stopping.wait(_RETRY_SECONDS):
                return None

    def _run(self, job: Job) -> None:
        self._told(f"{job.id}: {job.notebook} for {job.service} starts")
        with tempfile.TemporaryDirectory(prefix="runbook-alert-", ignore_cleanup_errors=True) as scratch:
            alert_file = Path(scratch) / "alert.json"
            alert_file.write_text(json.dumps(job.leading_alert), encoding="utf-8")
            # What a run prints is not ours: an undecodable byte must not cost us how it ended.
            with (
                (Path(scratch) / "stdout").open("w+", errors="replace") as out,
                (Path(scratch) / "stderr").open("w+", errors="replace") as err,
            ):
                try:
                    code = self._supervise(job, self._command.arguments(job, alert_file), out.fileno(), err.fileno())
                except (FileNotFoundError, PermissionError) as error:
                    return self._end(job, f"could not be started: {error}", None)
                out.seek(0)
                err.seek(0)
                lines, complaint = out.read().strip().splitlines(), err.read().strip()[-_ERROR_CHARACTERS:]
        if code is None and self._stopping.is_set():
            self._told(f"{job.id}: cut short, waits for the next start")
            self._until_it_can(job.id, lambda: self._queue.give_back(job))
            return None
        return self._end(job, self._outcome(code, complaint), _archive(lines))

    def _supervise(self, job: Job, arguments: list[str], stdout: int, stderr: int) -> int | None:
        """Run a process to its end; its exit code, None when it had to be ended (deadline, stop)."""
        # A session of its own, so that its kernel goes with it.
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True)
        try:
            self._queue.note_process(job, process_record(process.pid))
        except Exception as error:  # the run is on, and no reason to leave it unwatched
            self._told(
                f"{job.id}: its process {process.pid} could not be noted, and has to be ended by hand if we are killed: {error}"
            )
        end = time.monotonic() + self._deadline_seconds
        while process.poll() is None and time.monotonic() < end and not self._stopping.is_set():
            self._stopping.wait(_POLL_SECONDS)
        if process.poll() is not None:
            return process.returncode
        end_run(process)
        return None

    def _outcome(self, code: int | None, complaint: str) -> str:
        if code is None:
            return f"ended after its deadline of {self._deadline_seconds:g} s"
        meaning = _MEANING.get(code, f"ended with code {code}")
        return f"{meaning}: {complaint}" if code != 0 and complaint else meaning

    def _end(self, job: Job, outcome: str, archive: str | None) -> None:
        done = self._until_it_can(job.id, lambda: self._queue.finish(job, outcome=outcome, archive=archive))
        self._told(f"{job.id}: {outcome}{f', {archive}' if archive else ''}")
        if done is not None and (done.over_at or done.joined):
            try:
                self._resolved(done)
            except Exception as error:  # the run is through, and must not be made again for a note
                self._told(f"{job.id}: {type(error).__name__}: {error}")


def _archive(lines: Sequence[str]) -> str | None:
    """The last line of `run` is the archive's path; a run that was refused or killed has none."""
    with suppress(OSError, ValueError):
        if lines and Path(lines[-1]).is_dir():
            return lines[-1]
    return None
