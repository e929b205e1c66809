from datetime import UTC, datetime, timedelta

import pytest

from runbook_lib.errors import ConfigurationError
from runbook_lib.receiver.queue import Job, JobQueue, QueueFullError

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def job(number: int, key: str | None = None) -> Job:
    return Job(
        id=f"2026-{number:03}",
        key=key or f"key-{number}",
        notebook="high_error_rate",
        service="orders.lab.yaml",
        alert={"labels": {"alertname": "HighErrorRate"}},
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
    assert len(queue.accept([job(1, "same"), job(2, "same")])) == 1
    assert queue.accept([job(3, "same")]) == []
    taken = queue.take(timeout_seconds=0)
    assert queue.accept([job(4, "same")]) == []
    assert taken.attempts == 1


def test_a_repeated_notification_starts_a_new_run_only_when_an_hour_has_passed(queue, clock):
    queue.accept([job(1, "same")])
    queue.finish(queue.take(timeout_seconds=0), outcome="completed", archive="/somewhere")
    clock.now += timedelta(minutes=59)
    assert queue.accept([job(2, "same")]) == []
    clock.now += timedelta(minutes=2)
    assert [kept.id for kept in queue.accept([job(3, "same")])] == ["2026-003"]


def test_a_full_queue_takes_all_of_a_group_or_none(queue):
    queue.accept([job(1), job(2)])
    with pytest.raises(QueueFullError, match="2 alerts wait and at most 3 may"):
        queue.accept([job(3), job(4)])
    assert queue.counts() == {"waiting": 2, "running": 0}
    assert queue.accept([job(1), job(3)]) == [job(3)]


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


def test_a_run_that_was_cut_short_waits_again(queue):
    queue.accept([job(1)])
    queue.give_back(queue.take(timeout_seconds=0))
    assert queue.counts() == {"waiting": 1, "running": 0}


def test_a_resolution_during_the_run_is_known_at_its_end(queue):
    queue.accept([job(1)])
    running = queue.take(timeout_seconds=0)
    queue.resolve("key-1", NOON)
    done = queue.finish(running, outcome="completed", archive="/somewhere")
    assert (done.resolved_at, done.outcome, done.archive) == (NOON.isoformat(), "completed", "/somewhere")
    assert queue.resolve("key-1", NOON).archive == "/somewhere"
    assert queue.resolve("nobody's", NOON) is None


def test_closing_lets_those_who_wait_go(queue):
    import threading

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
