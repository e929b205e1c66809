"""Running a notebook from end to end, and leaving an archive whatever happens on the way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from runbook_lib.archive.folder import IncidentFolder, new_folder, this_process
from runbook_lib.archive.known_secrets import known_secrets
from runbook_lib.archive.redaction import Redaction
from runbook_lib.errors import ArchiveError
from runbook_lib.models.record import IncidentRecord
from runbook_lib.models.window import Window, parse_instant
from runbook_lib.service import Service, load_service

if TYPE_CHECKING:
    from runbook_lib.archive.kernel import RunnerKernel

__all__ = ["RunRequest", "RunResult", "run_notebook"]

_DEADLINE_SECONDS = 900.0
_LOOK_SECONDS = 0.2
_INTERRUPTION_SECONDS = 10.0
"""For a change that is broken off to take itself back. The receiver's grace is longer."""
_ENDING_SECONDS = 5.0

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A notebook to run: `issue` is its stem in `notebooks`, `service` the path of a service file.

    parameters are the notebook's own, besides those that have a field here. deadline_seconds is for the whole run.
    """

    issue: str
    service: str
    environment: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    approve: tuple[str, ...] = ()
    dry_run: bool = False
    window: str = "60m"
    start: str = ""
    end: str = ""
    alert: Mapping[str, Any] | None = None
    notebooks: Path
    parameters_directory: Path
    outputs: Path
    deadline_seconds: float = _DEADLINE_SECONDS


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run left behind. `error` says why the notebook failed, None when it ran to its end."""

    directory: Path
    record: IncidentRecord
    error: str | None = None


class _Interrupted(Exception):  # noqa: N818 - a request, not an error
    """Somebody asked the run to end."""


def run_notebook(request: RunRequest, *, progress: Progress | None = None) -> RunResult:
    """Run the notebook in a new incident's folder, and render its report.

    A failing cell, a kernel that dies, and the deadline give a result with `error`. SIGTERM and Ctrl-C end the run as
    interrupted, and then act as they always do. The cell that is on is interrupted first and has 10 s to take back what it is in
    the middle of; a second Ctrl-C ends it at once. Raises ConfigurationError or ArchiveError when it could not even begin.
    """
    from runbook_lib.archive.report import render

    service = load_service(Path(request.service))
    folder = new_folder(request.outputs, service=service.name, issue=request.issue)
    redaction = Redaction(known_secrets(service))
    folder.write_record(_first_record(request, service, folder, redaction))
    error, interruption = None, None
    try:
        error = _execute(request, folder, redaction, progress)
    except (_Interrupted, KeyboardInterrupt) as asked:
        interruption = asked
    error = redaction.text(error) if error else None
    record = _closed(folder, request, service, redaction, error=error, interrupted=interruption is not None)
    render(folder.path)
    if isinstance(interruption, KeyboardInterrupt):
        raise interruption
    if interruption is not None:
        raise SystemExit(128 + signal.SIGTERM)
    return RunResult(directory=folder.path, record=record, error=error)


def _first_record(request: RunRequest, service: Service, folder: IncidentFolder, redaction: Redaction) -> IncidentRecord:
    """What is known before anything was asked, so that a crash leaves more than an empty folder."""
    now = datetime.now(UTC)
    window = Window.ending_at(parse_instant(request.end) if request.end else now, request.window)
    return IncidentRecord(
        schema=1,
        id=folder.id,
        issue=request.issue,
        service=service.name,
        environment=service.environment,
        status="running",
        started_at=now,
        window_start=parse_instant(request.start) if request.start else window.start,
        window_end=window.end,
        dry_run=request.dry_run,
        alert=redaction.value(dict(request.alert or {})),
        process=this_process(),
    )


def _closed(
    folder: IncidentFolder, request: RunRequest, service: Service, redaction: Redaction, *, error: str | None, interrupted: bool
) -> IncidentRecord:
    """The record in its last state. What the incident wrote itself stands; only how the run ended is added."""
    try:
        record = folder.read_record()
    except ArchiveError:
        record = _first_record(request, service, folder, redaction)
    status = "interrupted" if interrupted else "failed" if error else "completed"
    finished = record.finished_at or datetime.now(UTC)
    record = record.model_copy(update={"status": status, "error": error, "finished_at": finished, "process": None})
    folder.write_record(record)
    return record


def _execute(request: RunRequest, folder: IncidentFolder, redaction: Redaction, progress: Progress | None) -> str | None:
    """Run the cells on a thread of their own, so that signals and the deadline reach this one. Gives why it failed."""
    from runbook_lib.archive.kernel import kernel

    ended: list[str | None] = []
    ending = threading.Event()

    def step(section: str, done: int, total: int) -> None:
        if ending.is_set():
            # A cell whose change took itself back ends well: the next one could begin another change.
            raise _Interrupted("the run is being ended")
        if progress is not None:
            progress(section, done, total)

    with kernel(_environment(request), request.notebooks) as running:
        work = threading.Thread(
            target=lambda: ended.append(_run_cells(request, folder, redaction, step, running)), daemon=True, name="notebook"
        )
        with _signals() as asked:
            work.start()
            end = time.monotonic() + request.deadline_seconds
            while work.is_alive() and time.monotonic() < end and not asked:
                work.join(_LOOK_SECONDS)
            if work.is_alive():
                ending.set()
                _wind_down(work, running, asked)
                if asked:
                    raise asked[0]
                return f"the notebook was ended at its deadline of {request.deadline_seconds:g} s"
    return ended[0] if ended else "the notebook did not end"


def _wind_down(work: threading.Thread, running: RunnerKernel, asked: list[BaseException]) -> None:
    """Interrupt the cell that is on, so that a change in its middle is taken back and told of; kill what does not end by that."""
    running.interrupt_now()
    end = time.monotonic() + _INTERRUPTION_SECONDS
    while work.is_alive() and time.monotonic() < end and sum(isinstance(one, KeyboardInterrupt) for one in asked) < 2:
        work.join(_LOOK_SECONDS)
    if work.is_alive():
        running.kill_now()
        work.join(_ENDING_SECONDS)


def _run_cells(
    request: RunRequest, folder: IncidentFolder, redaction: Redaction, progress: Progress, running: RunnerKernel
) -> str | None:
    import logging

    import papermill
    from papermill.engines import papermill_engines

    from runbook_lib.archive.engine import RedactingEngine

    logging.getLogger("papermill").setLevel(logging.ERROR)
    papermill_engines.register("runbook", RedactingEngine)
    try:
        papermill.execute_notebook(
            request.notebooks / f"{request.issue}.ipynb",
            None,  # the engine writes, redacted; papermill itself must not
            parameters=_parameters(request, folder),
            engine_name="runbook",
            kernel_name="python3",
            language="python",
            progress_bar=False,
            path=folder.notebook,
            redaction=redaction,
            progress=progress,
            km=running,
        )
    except Exception as error:  # whatever the notebook or the kernel died of, the archive must say so
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        return f"cell {error.exec_count}: {error.ename}: {error.evalue}"
    return f"{type(error).__name__}: {error}"


def _parameters(request: RunRequest, folder: IncidentFolder) -> dict[str, Any]:
    return {
        "service": request.service,
        "environment": request.environment,
        "window": request.window,
        "start": request.start,
        "end": request.end,
        "approve": list(request.approve),
        "dry_run": request.dry_run,
        "alert": dict(request.alert or {}),
        "archive": str(folder.path),
        **request.parameters,
    }


def _environment(request: RunRequest) -> dict[str, str]:
    return {"RUNBOOK_PARAMETERS": str(request.parameters_directory), "RUNBOOK_OUTPUTS": str(request.outputs)}


@contextmanager
def _signals() -> Iterator[list[BaseException]]:
    """Collects what SIGTERM and Ctrl-C ask for; in a thread other than the main one, signals go where they always go."""
    asked: list[BaseException] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, _: FrameType | None) -> None:
        asked.append(KeyboardInterrupt() if number == signal.SIGINT else _Interrupted())

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
