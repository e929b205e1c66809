"""Bounded workers: each takes a job, runs its notebook in a process of its own with a deadline, and notes how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook_lib.receiver.queue import Job, JobQueue

__all__ = ["RunCommand", "Workers"]

_MAXIMUM_ATTEMPTS = 3
_GRACE_SECONDS = 15.0
_POLL_SECONDS = 0.2
_ERROR_CHARACTERS = 500

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

    resolved: called with the folder of an incident and its job when the alert was resolved by the time the run ended.
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
        self._told = told
        self._resolved = resolved
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, name=f"worker-{number}") for number in range(1, count + 1)]

    def start(self) -> None:
        """Begin working."""
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Every worker is at work. False means that alerts are accepted and not worked off."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """End the runs that are on, whose jobs then wait for the next start, and close the queue."""
        self._stopping.set()
        self._queue.close()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            job = self._queue.take()
            if job is None:
                continue
            if job.attempts > _MAXIMUM_ATTEMPTS:
                # A run that took the whole receiver down this often would do it again.
                self._end(job, f"given up after {_MAXIMUM_ATTEMPTS} attempts that were cut short", None)
            else:
                self._run(job)

    def _run(self, job: Job) -> None:
        self._told(f"{job.id}: {job.notebook} for {job.service} starts")
        with tempfile.TemporaryDirectory(prefix="runbook-alert-") as scratch:
            alert_file = Path(scratch) / "alert.json"
            alert_file.write_text(json.dumps(job.alert), encoding="utf-8")
            with (Path(scratch) / "stdout").open("w+") as out, (Path(scratch) / "stderr").open("w+") as err:
                try:
                    code = self._supervise(self._command.arguments(job, alert_file), out.fileno(), err.fileno())
                except OSError as error:
                    return self._end(job, f"could not be started: {error}", None)
                out.seek(0)
                err.seek(0)
                lines, complaint = out.read().strip().splitlines(), err.read().strip()[-_ERROR_CHARACTERS:]
        if code is None and self._stopping.is_set():
            self._told(f"{job.id}: cut short, waits for the next start")
            return self._queue.give_back(job)
        # The last line of `run` is the archive's path; a run that was refused or killed has none.
        archive = lines[-1] if lines and Path(lines[-1]).is_dir() else None
        return self._end(job, self._outcome(code, complaint), archive)

    def _supervise(self, arguments: list[str], stdout: int, stderr: int) -> int | None:
        """Run a process to its end; its exit code, None when it had to be ended (deadline, stop)."""
        # A session of its own, so that its kernel goes with it.
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True)
        end = time.monotonic() + self._deadline_seconds
        while process.poll() is None and time.monotonic() < end and not self._stopping.is_set():
            self._stopping.wait(_POLL_SECONDS)
        if process.poll() is not None:
            return process.returncode
        _end_group(process)
        return None

    def _outcome(self, code: int | None, complaint: str) -> str:
        if code is None:
            return f"ended after its deadline of {self._deadline_seconds:g} s"
        meaning = _MEANING.get(code, f"ended with code {code}")
        return f"{meaning}: {complaint}" if code != 0 and complaint else meaning

    def _end(self, job: Job, outcome: str, archive: str | None) -> None:
        done = self._queue.finish(job, outcome=outcome, archive=archive)
        self._told(f"{job.id}: {outcome}{f', {archive}' if archive else ''}")
        if done.resolved_at:
            self._resolved(done)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ask a process and its children to end, so that the archive is closed properly; insist after a grace."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
