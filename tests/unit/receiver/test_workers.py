"""The workers with a stand-in for `runbook run`: a small program that behaves as it is told by the alert's name."""

import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from runbook_lib.archive.folder import writer_lives
from runbook_lib.models.record import ProcessRecord
from runbook_lib.receiver import workers as workers_module
from runbook_lib.receiver.job import Job
from runbook_lib.receiver.queue import JobQueue
from runbook_lib.receiver.workers import RunCommand, Workers

PROGRAM = """
import json, pathlib, sys, time
options = dict(argument[2:].split("=", 1) for argument in sys.argv[3:])
name = json.load(open(options["alert"]))["labels"]["alertname"]
archive = pathlib.Path(options["outputs"]) / "incident"
archive.mkdir(exist_ok=True)
if name == "hangs":
    (archive / "began").touch()
    time.sleep(600)
if name == "garbled":
    sys.stdout.buffer.write(b"\\xff\\n")
if name == "wrong":
    print("runbook: service file has no name", file=sys.stderr)
    sys.exit(2)
print("31 % of requests fail")
print(archive)
sys.exit(4 if name == "fails" else 0)
"""


class Board:
    """Collects what is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._more:
            self.lines.append(line)
            self._more.notify_all()

    def wait_for(self, text: str) -> str:
        with self._more:
            assert self._more.wait_for(lambda: any(text in line for line in self.lines), timeout=30), self.lines
            return next(line for line in self.lines if text in line)


@pytest.fixture
def board() -> Board:
    return Board()


def job(name: str, **more) -> Job:
    return Job(
        id=f"1-{name}",
        key=name,
        notebook="high_error_rate",
        service=f"{name}.yaml",
        alert={"labels": {"alertname": name}},
        accepted_at="",
        **more,
    )


def working(tmp_path: Path, board: Board, *, deadline_seconds: float = 30.0) -> tuple[JobQueue, Workers]:
    (tmp_path / "program.py").write_text(PROGRAM)
    queue = JobQueue(tmp_path / "queue")
    command = RunCommand(
        notebooks=tmp_path, parameters=tmp_path, outputs=tmp_path, program=(sys.executable, str(tmp_path / "program.py"))
    )
    workers = Workers(
        queue,
        command,
        count=2,
        deadline_seconds=deadline_seconds,
        told=board,
        resolved=lambda job: board(f"noted in {job.archive}"),
    )
    workers.start()
    return queue, workers


def finished(queue: JobQueue, name: str) -> dict:
    return json.loads((queue.folder / "finished" / f"1-{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "outcome", "archived"),
    [
        ("good", "completed", True),
        ("garbled", "completed", True),
        ("fails", "the notebook failed", True),
        ("wrong", "service file has no name", False),
    ],
)
def test_the_end_of_a_run_is_kept_with_its_archive(name, outcome, archived, tmp_path, board):
    queue, workers = working(tmp_path, board)
    queue.accept([job(name)])
    board.wait_for(outcome)
    workers.stop()
    kept = finished(queue, name)
    assert outcome in kept["outcome"]
    assert kept["archive"] == (str(tmp_path / "incident") if archived else None)


def test_a_run_that_hangs_is_ended_at_its_deadline_and_does_not_block_the_others(tmp_path, board):
    queue, workers = working(tmp_path, board, deadline_seconds=1.0)
    queue.accept([job("hangs"), job("good")])
    board.wait_for("1-good: completed")
    board.wait_for("ended after its deadline of 1 s")
    workers.stop()


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that takes nothing until it is told to: give it the states whose files it does not take."""
    full = set()
    write = JobQueue._write

    def written(queue, job, state):
        if state in full:
            raise OSError(28, "No space left on device")
        write(queue, job, state)

    monkeypatch.setattr(JobQueue, "_write", written)
    monkeypatch.setattr(workers_module, "_RETRY_SECONDS", 0.1)
    return full


@pytest.mark.parametrize("state", ["running", "finished"])
def test_the_workers_outlive_a_full_disk_and_lose_nothing(state, tmp_path, board, full_disk):
    full_disk.add(state)
    queue, workers = working(tmp_path, board)
    queue.accept([job("good")])
    board.wait_for("No space left on device; trying again")
    assert workers.alive
    full_disk.clear()
    board.wait_for("1-good: completed")
    workers.stop()
    assert finished(queue, "good")["attempts"] == 1
    assert sum("starts" in line for line in board.lines) == 1


def test_a_job_that_there_is_no_room_to_run_waits_and_is_run_later(tmp_path, board, full_disk, monkeypatch):
    def no_room(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(workers_module.tempfile, "TemporaryDirectory", no_room)
        queue, workers = working(tmp_path, board)
        queue.accept([job("good")])
        board.wait_for("could not be run and waits again: [Errno 28] No space left on device")
    board.wait_for("1-good: completed")
    workers.stop()
    assert finished(queue, "good")["attempts"] == 1


def test_what_nobody_thought_of_kills_no_worker_and_is_given_up(tmp_path, board, full_disk, monkeypatch):
    def odd(*_):
        raise RuntimeError("odd")

    monkeypatch.setattr(RunCommand, "arguments", odd)
    queue, workers = working(tmp_path, board)
    queue.accept([job("good")])
    board.wait_for("given up after 3 attempts")
    assert workers.alive
    workers.stop()


def test_a_note_that_fails_does_not_run_the_job_again(tmp_path, board):
    queue, workers = working(tmp_path, board)

    def failing(_):
        raise RuntimeError("no such incident")

    workers._resolved = failing
    queue.accept([job("good"), replace(job("other"), service="good.yaml")])
    board.wait_for("no such incident")
    workers.stop()
    assert finished(queue, "good")["outcome"] == "completed"


def test_a_run_knows_itself_again(tmp_path, board):
    queue, workers = working(tmp_path, board)
    queue.accept([job("hangs")])
    board.wait_for("starts")
    end = time.monotonic() + 30
    while not (noted := json.loads((queue.folder / "running" / "1-hangs.json").read_text())["process"]):
        assert time.monotonic() < end
    assert writer_lives(ProcessRecord(**noted))
    workers.stop()
    assert not writer_lives(ProcessRecord(**noted))


def test_a_run_whose_process_cannot_be_noted_goes_on_watched(tmp_path, board, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JobQueue, "note_process", full)
    queue, workers = working(tmp_path, board)
    queue.accept([job("good")])
    board.wait_for("could not be noted")
    board.wait_for("1-good: completed")
    workers.stop()
    assert finished(queue, "good")["attempts"] == 1


def test_a_worker_that_is_asked_to_stop_while_the_disk_is_full_stops(tmp_path, board, full_disk, monkeypatch):
    monkeypatch.setattr(workers_module, "_RETRY_SECONDS", 600.0)
    full_disk.add("running")
    queue, workers = working(tmp_path, board)
    queue.accept([job("good")])
    board.wait_for("trying again")
    started = time.monotonic()
    workers.stop()
    assert time.monotonic() - started < 10
    assert not workers.any_alive


def test_stopping_gives_a_run_back_to_the_queue(tmp_path, board):
    queue, workers = working(tmp_path, board)
    queue.accept([job("hangs")])
    board.wait_for("1-hangs: high_error_rate for hangs.yaml starts")
    workers.stop()
    assert json.loads((queue.folder / "waiting" / "1-hangs.json").read_text())["attempts"] == 0
    assert not workers.alive


def test_a_job_that_keeps_taking_the_receiver_down_is_given_up(tmp_path, board):
    queue, workers = working(tmp_path, board)
    queue.accept([job("hangs", attempts=3)])
    board.wait_for("given up after 3 attempts")
    workers.stop()


def test_an_alert_that_was_resolved_during_its_run_is_noted_at_the_end(tmp_path, board):
    queue, workers = working(tmp_path, board, deadline_seconds=2.0)
    queue.accept([job("hangs")])
    board.wait_for("starts")
    from datetime import UTC, datetime

    queue.resolve("hangs", datetime.now(UTC))
    board.wait_for("noted in")
    workers.stop()
