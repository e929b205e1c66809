import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from runbook_lib.archive.folder import process_record
from runbook_lib.errors import ConfigurationError
from runbook_lib.receiver import ending
from runbook_lib.receiver import queue as queue_module
from runbook_lib.receiver.job import Job
from runbook_lib.receiver.queue import JobQueue

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def job(number: int, key: str | None = None, *, service: str | None = None, **labels: str) -> Job:
    return Job(
        id=f"2026-{number:03}",
        key=key or f"key-{number}",
        notebook="high_error_rate",
        service=service or f"service-{number}.yaml",
        alert={"labels": {"alertname": "HighErrorRate", **labels}},
        accepted_at=NOON.isoformat(),
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path, clock):
    queue = JobQueue(tmp_path / "queue", capacity=3, clock=clock)
    yield queue
    queue.close()


def test_jobs_are_taken_in_the_order_of_their_acceptance(queue):
    queue.accept([job(2), job(1)])
    assert [queue.take(timeout_seconds=0).id for _ in range(2)] == ["2026-001", "2026-002"]
    assert queue.take(timeout_seconds=0) is None


def test_an_alert_whose_run_is_on_or_waits_is_a_duplicate(queue):
    assert queue.accept([job(1, "same"), job(2, "same")]).alerts == 1
    assert queue.accept([job(3, "same")]).alerts == 0
    taken = queue.take(timeout_seconds=0)
    assert queue.accept([job(4, "same")]).alerts == 0
    assert taken.attempts == 1


def test_a_repeated_notification_starts_a_new_run_only_when_an_hour_has_passed(queue, clock):
    queue.accept([job(1, "same")])
    queue.finish(queue.take(timeout_seconds=0), outcome="completed", archive="/somewhere")
    clock.now += timedelta(minutes=59)
    assert queue.accept([job(2, "same")]).alerts == 0
    clock.now += timedelta(minutes=2)
    assert [kept.id for kept, _ in queue.accept([job(3, "same")]).jobs] == ["2026-003"]


def test_a_full_queue_takes_what_fits_and_says_how_much_did_not(queue):
    queue.accept([job(1), job(2)])
    accepted = queue.accept([job(3), job(4), job(5)])
    assert ([kept for kept, _ in accepted.jobs], accepted.refused) == ([job(3)], 2)
    assert queue.counts() == {"waiting": 3, "running": 0}
    again = queue.accept([job(3), job(4)])
    assert (again.alerts, again.refused) == (0, 1)


def test_the_alerts_of_one_outage_wait_as_one_run_and_all_of_them_are_kept(queue):
    accepted = queue.accept([job(number, service="orders.yaml") for number in range(1, 61)])
    assert (accepted.alerts, accepted.refused) == (60, 0)
    queue.accept([job(61, service="orders.yaml"), job(62, service="payments.yaml")])
    assert queue.counts()["waiting"] == 2
    taken = queue.take(timeout_seconds=0)
    assert (taken.id, len(taken.alerts)) == ("2026-001", 61)
    assert queue.accept([job(70, "key-60", service="orders.yaml")]).alerts == 0
    done = queue.finish(taken, outcome="completed", archive=None)
    assert done.keys == tuple(f"key-{number}" for number in range(1, 62))


def test_more_alerts_than_a_run_can_take_are_refused_until_it_has_begun(queue, monkeypatch):
    monkeypatch.setattr(queue_module, "MOST_ALERTS", 3)
    flood = [job(number, service="orders.yaml") for number in range(5)]
    assert queue.accept(flood).refused == 2
    queue.take(timeout_seconds=0)
    accepted = queue.accept(flood)
    assert (accepted.alerts, accepted.refused) == (2, 0)


def test_the_notebook_is_told_of_the_most_severe_alert(queue):
    severities = {1: "warning", 2: "critical", 3: "critical", 4: "odd"}
    queue.accept([job(number, service="o.yaml", severity=severity, pod=str(number)) for number, severity in severities.items()])
    assert queue.take(timeout_seconds=0).leading_alert["labels"]["pod"] == "2"


def test_a_service_has_one_run_of_a_notebook_at_a_time_and_others_go_past_it(queue):
    queue.accept([job(1, service="orders.yaml")])
    on = queue.take(timeout_seconds=0)
    queue.accept([job(2, service="orders.yaml"), job(3, service="payments.yaml")])
    assert queue.take(timeout_seconds=0).service == "payments.yaml"
    assert queue.take(timeout_seconds=0) is None
    queue.finish(on, outcome="completed", archive=None)
    assert queue.take(timeout_seconds=0).id == "2026-002"


def test_a_job_is_over_when_the_last_of_its_alerts_is_resolved(queue):
    queue.accept([job(1, service="orders.yaml"), job(2, service="orders.yaml")])
    assert queue.resolve("key-2", NOON + timedelta(minutes=9)).over_at is None
    assert queue.resolve("key-1", NOON).over_at == (NOON + timedelta(minutes=9)).isoformat()


OLD = """{"id": "2026-000", "key": "old", "notebook": "high_error_rate", "service": "orders.lab.yaml",
 "alert": {"labels": {}}, "accepted_at": "2026-05-04T12:00:00+00:00", "attempts": 0, "finished_at": null, "outcome": null,
 "archive": null, "resolved_at": null%s}"""


@pytest.mark.parametrize("more", ["", ', "of_a_newer_version": 1'])
def test_jobs_of_other_versions_are_run(more, queue):
    (queue.folder / "waiting" / "2026-000.json").write_text(OLD % more)
    assert queue.take(timeout_seconds=0).key == "old"


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"id": "2026-000"}', (OLD % "").replace("2026-000", "x").encode()])
@pytest.mark.parametrize("state", ["waiting", "finished"])
def test_a_file_that_holds_no_job_is_set_aside_and_stops_nothing(state, content, tmp_path):
    told = []
    queue = JobQueue(tmp_path, told=told.append)
    (tmp_path / state / "2026-000.json").write_bytes(content)
    assert queue.accept([job(1)]).alerts == 1
    assert queue.take(timeout_seconds=0).id == "2026-001"
    assert (tmp_path / "broken" / f"{state}-2026-000.json").read_bytes() == content
    assert "was set aside" in told[0]
    queue.close()


def test_a_full_disk_keeps_a_job_where_it_is(queue, monkeypatch):
    queue.accept([job(1)])
    with monkeypatch.context() as full:
        full.setattr(queue_module.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            queue.take(timeout_seconds=0)
    assert not list(queue.folder.rglob("*.part"))
    taken = queue.take(timeout_seconds=0)
    assert (taken.id, taken.attempts) == ("2026-001", 1)


def test_what_was_accepted_survives_a_crash_also_in_the_middle_of_a_run(tmp_path):
    before = JobQueue(tmp_path)
    before.accept([job(1), job(2)])
    before.take(timeout_seconds=0)
    before.close()  # a process that dies gives up its lock, and nothing else
    after = JobQueue(tmp_path)
    again = after.take(timeout_seconds=0)
    assert (again.id, again.attempts) == ("2026-001", 2)
    assert after.counts() == {"waiting": 1, "running": 1}
    after.close()


def test_a_crash_between_the_end_of_a_run_and_its_cleaning_up_does_not_run_it_again(tmp_path):
    before = JobQueue(tmp_path)
    before.accept([job(1)])
    running = before.take(timeout_seconds=0)
    content = (tmp_path / "running" / "2026-001.json").read_bytes()
    before.finish(running, outcome="completed", archive=None)
    (tmp_path / "running" / "2026-001.json").write_bytes(content)
    before.close()
    after = JobQueue(tmp_path)
    assert after.counts() == {"waiting": 0, "running": 0}
    after.close()


def test_a_half_written_job_is_none(tmp_path):
    (tmp_path / "waiting").mkdir(parents=True)
    (tmp_path / "waiting" / "2026-001.part").write_text('{"id": "2026-')
    queue = JobQueue(tmp_path)
    assert queue.take(timeout_seconds=0) is None
    queue.close()


def test_two_processes_cannot_serve_one_queue(queue):
    with pytest.raises(ConfigurationError, match="served by another process"):
        JobQueue(queue.folder)


def test_a_run_that_was_cut_short_waits_again_and_counts_only_when_it_may_be_its_own_fault(queue):
    queue.accept([job(1)])
    for _ in range(4):
        queue.give_back(queue.take(timeout_seconds=0))
    assert queue.counts() == {"waiting": 1, "running": 0}
    queue.give_back(queue.take(timeout_seconds=0), counts=True)
    assert queue.take(timeout_seconds=0).attempts == 2


RUN = "import pathlib, signal, sys, time; {}; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.mark.parametrize("manner", ["pass", DEAF])
def test_a_run_that_a_killed_receiver_left_behind_is_ended_before_its_job_waits_again(manner, tmp_path, monkeypatch):
    monkeypatch.setattr(ending, "_GRACE_SECONDS", 1.0)
    before = JobQueue(tmp_path / "queue")
    before.accept([job(1)])
    command = [sys.executable, "-c", RUN.format(manner), str(tmp_path / "on")]
    with subprocess.Popen(command, start_new_session=True) as left:
        # Nobody waits for an orphan but init; here somebody has to.
        threading.Thread(target=left.wait, daemon=True).start()
        while not (tmp_path / "on").exists():
            time.sleep(0.02)
        before.note_process(before.take(timeout_seconds=0), process_record(left.pid))
        before.close()
        told = []
        after = JobQueue(tmp_path / "queue", told=told.append)
        assert left.wait(timeout=10) != 0
    assert "left behind" in told[0]
    assert after.take(timeout_seconds=0).process is None
    after.close()


def test_a_process_that_has_only_the_same_id_is_left_alone(tmp_path):
    before = JobQueue(tmp_path)
    before.accept([job(1), job(2), job(3)])
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as other:
        now = process_record(other.pid)
        for changed in ({"started": now.started - 1}, {"started": None}, {"host": "elsewhere"}):
            before.note_process(before.take(timeout_seconds=0), now.model_copy(update=changed))
        before.close()
        JobQueue(tmp_path).close()
        assert other.poll() is None
        other.communicate(b"\n")
        assert other.returncode == 0


def test_a_resolution_during_the_run_is_known_at_its_end(queue):
    queue.accept([job(1)])
    running = queue.take(timeout_seconds=0)
    queue.resolve("key-1", NOON)
    done = queue.finish(running, outcome="completed", archive="/somewhere")
    assert (done.resolved_at, done.outcome, done.archive) == (NOON.isoformat(), "completed", "/somewhere")
    assert queue.resolve("key-1", NOON).archive == "/somewhere"
    assert queue.resolve("nobody's", NOON) is None


def test_closing_lets_those_who_wait_go(queue):
    taken = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take()))
    waiting.start()
    queue.close()
    waiting.join(timeout=5)
    assert taken == [None]


def test_finished_jobs_do_not_pile_up(queue):
    for number in range(40):
        queue.accept([job(number)])
        queue.finish(queue.take(timeout_seconds=0), outcome="completed", archive=None)
    assert len(list((queue.folder / "finished").iterdir())) == 30
