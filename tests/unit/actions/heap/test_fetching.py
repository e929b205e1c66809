import hashlib
import random
import stat

import pytest

from runbook_lib.actions.heap.fetching import Fetch
from runbook_lib.errors import ActionFailed
from tests.unit.actions.heap.containers import LocalContainer

SIZE = 200_000
CONTENT = random.Random(1).randbytes(SIZE)
ALL = ("tail", "dd", "cat", "base64", "od", "sha256sum", "md5sum", "cksum")


@pytest.fixture
def file(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "it's a dump.hprof").write_bytes(CONTENT)
    return tmp_path / "there" / "it's a dump.hprof"


def fetch(file, tools=ALL, most_bytes=10**6, said=None, **fields):
    container = LocalContainer(file.parent, tools=tools, **fields)
    return container, Fetch(
        container=container,
        file=str(file),
        tools={tool: f"/usr/bin/{tool}" for tool in tools},
        most_bytes=most_bytes,
        clock=iter(range(10**6)).__next__,
        sleep=lambda _: None,
        progress=(said if said is not None else []).append,
    )


@pytest.mark.parametrize("tool", ["tail", "dd", "cat", "base64", "od"])
@pytest.mark.parametrize("checksum", ["sha256sum", "md5sum", "cksum"])
def test_any_tool_that_reads_and_any_that_computes_a_checksum_will_do(file, tmp_path, tool, checksum):
    _, one = fetch(file, tools=(tool, checksum))
    fetched = one.to(tmp_path / "here.hprof")
    assert fetched.path.read_bytes() == CONTENT
    assert (fetched.bytes, fetched.sha256) == (SIZE, hashlib.sha256(CONTENT).hexdigest())
    assert "both ends" in fetched.verified


def test_without_a_checksum_tool_it_says_that_only_the_size_was_compared(file, tmp_path):
    _, one = fetch(file, tools=("cat",))
    assert "size alone" in one.to(tmp_path / "here.hprof").verified


def test_what_is_fetched_is_for_its_owner_only(file, tmp_path):
    _, one = fetch(file)
    assert stat.S_IMODE(one.to(tmp_path / "here.hprof").path.stat().st_mode) == 0o600


@pytest.mark.parametrize("tool", ["tail", "dd", "cat", "base64", "od"])
def test_a_broken_connection_is_taken_up_where_it_broke(file, tmp_path, tool):
    said = []
    _, one = fetch(file, tools=(tool, "sha256sum"), breaks=[70_000, 140_000, 66_000], said=said)
    assert one.to(tmp_path / "here.hprof").path.read_bytes() == CONTENT
    assert [text for text in said if "going on after" in text]


def test_where_the_tool_can_it_goes_on_at_the_offset(file, tmp_path):
    container, one = fetch(file, breaks=[70_000])
    one.to(tmp_path / "here.hprof")
    assert [command.split()[2] for command in container.commands if command.startswith("tail")] == ["+1", "+70001"]


def test_progress_tells_bytes_and_rate(file, tmp_path):
    said = []
    _, one = fetch(file, said=said)
    one.to(tmp_path / "here.hprof")
    assert any("of 195 KiB" in text and "/s" in text for text in said)


def test_a_connection_that_breaks_again_and_again_gives_up_and_leaves_nothing(file, tmp_path):
    _, one = fetch(file, breaks=[0] * 50)
    with pytest.raises(ActionFailed, match="broke"):
        one.to(tmp_path / "here.hprof")
    assert list(tmp_path.glob("here*")) == []


def test_bytes_that_a_proxy_has_changed_are_fetched_once_more_in_an_encoding(file, tmp_path):
    def garble(command, data):
        return data.replace(b"\n", b"\r") if command.startswith("tail") else data

    container, one = fetch(file, garble=garble)
    assert one.to(tmp_path / "here.hprof").path.read_bytes() == CONTENT
    assert any(command.startswith("base64") for command in container.commands)


def test_a_file_that_arrives_wrong_in_any_case_is_not_kept(file, tmp_path):
    _, one = fetch(file, tools=("tail", "sha256sum"), garble=lambda command, data: data.replace(b"\n", b"\r"))
    with pytest.raises(ActionFailed, match="not what was sent"):
        one.to(tmp_path / "here.hprof")
    assert list(tmp_path.glob("here*")) == []


def test_a_file_larger_than_agreed_to_is_not_fetched(file, tmp_path):
    container, one = fetch(file, most_bytes=1000)
    with pytest.raises(ActionFailed, match="no more than 1000 B"):
        one.to(tmp_path / "here.hprof")
    assert not any(command.startswith("tail") for command in container.commands)


def test_a_folder_that_cannot_be_written_is_said(file, tmp_path):
    _, one = fetch(file)
    with pytest.raises(ActionFailed, match="cannot be written"):
        one.to(tmp_path / "missing" / "here.hprof")


def test_a_file_that_is_gone_is_said(file, tmp_path):
    _, one = fetch(file)
    file.unlink()
    with pytest.raises(ActionFailed, match="size cannot be read"):
        one.to(tmp_path / "here.hprof")
