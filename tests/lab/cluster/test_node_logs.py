import asyncio
from datetime import UTC, datetime

import pytest

from runbook_lab.cluster.node import logs
from runbook_lab.cluster.node.logs import LogFile


@pytest.fixture
def log(tmp_path):
    return LogFile(tmp_path / "0.log")


def shown(log, **options):
    wanted = {"follow": False, "tail_lines": None, "since": None, "timestamps": False, "limit_bytes": None} | options

    async def collect():
        return b"".join([chunk async for chunk in logs.read(log, **wanted)])

    return asyncio.run(collect())


def test_lines_come_back_as_they_were_written(log):
    log.write("stdout", [b"one", b"", b"  three"])
    assert shown(log) == b"one\n\n  three\n"


def test_each_line_has_its_time_on_request(log):
    before = datetime.now(UTC)
    log.write("stderr", [b"one"])
    time, _, text = shown(log, timestamps=True).partition(b" ")
    assert before <= datetime.fromisoformat(time.decode()) <= datetime.now(UTC)
    assert text == b"one\n"


def test_a_tail_gives_the_last_lines_and_a_tail_of_none_nothing(log):
    log.write("stdout", [b"1", b"2", b"3"])
    assert shown(log, tail_lines=2) == b"2\n3\n"
    assert shown(log, tail_lines=0) == b""


def test_since_leaves_older_lines_out(log):
    log.write("stdout", [b"old"])
    later = datetime.now(UTC)
    log.write("stdout", [b"new"])
    assert shown(log, since=later) == b"new\n"


def test_a_limit_cuts_at_the_byte(log):
    log.write("stdout", [b"12345", b"67890"])
    assert shown(log, limit_bytes=8) == b"12345\n67"


def test_a_rotated_log_loses_no_line_for_a_reader_who_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "_ROTATE_BYTES", 2_000)

    async def scenario():
        log = LogFile(tmp_path / "0.log")
        seen, start = [], log.read()[1]

        async def follow():
            async for lines in log.follow(start):
                seen.extend(logs.text_of(line) for line in lines)

        follower = asyncio.create_task(follow())
        for number in range(100):
            log.write("stdout", [f"line {number}".encode()])
            await asyncio.sleep(0)
        log.close()
        await follower
        return seen

    assert asyncio.run(scenario()) == [f"line {number}\n".encode() for number in range(100)]


def test_a_followed_log_ends_with_its_instance(tmp_path):
    async def scenario():
        log = LogFile(tmp_path / "0.log")
        reading = asyncio.create_task(collect(log))
        await asyncio.sleep(0)
        log.write("stdout", [b"last words"])
        log.close()
        return await reading

    async def collect(log):
        options = {"tail_lines": None, "since": None, "timestamps": False, "limit_bytes": None}
        return b"".join([chunk async for chunk in logs.read(log, follow=True, **options)])

    assert asyncio.run(scenario()) == b"last words\n"


def test_the_last_line_of_a_process_needs_no_end(tmp_path):
    async def scenario():
        log = LogFile(tmp_path / "0.log")
        lines = log.lines("stdout")
        lines.write(b"whole\nhal")
        lines.write(b"f")
        lines.end()
        return log

    assert shown(asyncio.run(scenario())) == b"whole\nhalf\n"
