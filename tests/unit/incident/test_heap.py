"""Reading dumps in an incident: what is said when there is none, one, two, or a broken one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.errors import UsageError
from runbook_lib.incident.heap import HeapExplorer
from runbook_lib.models.finding import Finding, FindingStatus
from runbook_lib.models.heap import SUFFIXES, HeapDump, HeapFormat
from tests.unit.analysis.heap.dumps import heapsnapshot

AT = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)


@pytest.fixture
def kept() -> list[Finding]:
    return []


@pytest.fixture
def heap(tmp_path: Path, kept: list[Finding]) -> HeapExplorer:
    return HeapExplorer(directory=tmp_path, keep=kept.append)


def a_dump(folder: Path, content: bytes, *, seconds: float = 0, kind: HeapFormat = "heapsnapshot", **fields: Any) -> Path:
    file = folder / f"{seconds:04.0f}-orders-1{SUFFIXES[kind]}"
    file.write_bytes(content)
    known = {
        "file": file.name, "format": kind, "runtime": "node", "pod": "orders-1", "container": "orders", "process": "u 7 4711",
        "taken_at": AT + timedelta(seconds=seconds), "bytes": len(content), "sha256": "0" * 64,
    }  # fmt: skip
    (folder / f"{file.name}.json").write_text(HeapDump.model_validate(known | fields).model_dump_json())
    return file


def orders(count: int) -> bytes:
    return heapsnapshot([("object", "Order", 24)] * count + [("string", "a secret", 4096)])


def test_without_a_dump_it_says_how_to_take_one(heap: HeapExplorer, kept: list[Finding]) -> None:
    assert "incident.resolve.take_heap_dump()" in heap.largest().summary
    assert "There is no dump" in heap.growth().summary
    assert len(kept) == 2


def test_the_largest_and_the_service_s_own_largest_are_told(heap: HeapExplorer, tmp_path: Path, kept: list[Finding]) -> None:
    a_dump(tmp_path, orders(10))
    finding = heap.largest()
    assert finding.summary == (
        "The heap of orders-1 holds 4.23 KiB, most of it (string): 4 KiB (94%) in 1; "
        "of the service's own types Order, 240 B in 10."
    )
    assert "DevTools" in finding.command
    assert kept == [finding]


def test_one_dump_asks_for_another(heap: HeapExplorer, tmp_path: Path) -> None:
    a_dump(tmp_path, orders(10))
    assert "one dump of orders-1" in heap.growth().summary


def test_growth_is_of_the_last_two_dumps_of_one_pod(heap: HeapExplorer, tmp_path: Path) -> None:
    a_dump(tmp_path, orders(1), seconds=0)
    a_dump(tmp_path, orders(10), seconds=60)
    a_dump(tmp_path, orders(99), seconds=100, pod="orders-2")
    a_dump(tmp_path, orders(110), seconds=180)
    finding = heap.growth()
    assert finding.summary == "Most grew: Order, +2.34 KiB in 120 s (+100); in all +2.34 KiB."
    assert finding.frame is not None
    assert list(finding.frame["name"]) == ["Order"]


def test_what_a_string_held_is_in_no_finding(heap: HeapExplorer, tmp_path: Path) -> None:
    a_dump(tmp_path, orders(1))
    assert "secret" not in str(heap.largest())


def test_two_processes_are_not_the_growth_of_one(heap: HeapExplorer, tmp_path: Path) -> None:
    a_dump(tmp_path, orders(1))
    a_dump(tmp_path, orders(9), seconds=60, process="u 7 9999")
    assert "started again" in heap.growth().notes[0]


def test_nothing_grew_is_an_answer(heap: HeapExplorer, tmp_path: Path) -> None:
    a_dump(tmp_path, orders(3))
    a_dump(tmp_path, orders(3), seconds=60)
    assert heap.growth().summary.startswith("Nothing grew in 60 s")


@pytest.mark.parametrize("content", [b"", b"garbage", orders(5)[:-20]])
def test_a_broken_dump_is_a_finding_and_no_crash(content: bytes, heap: HeapExplorer, tmp_path: Path) -> None:
    a_dump(tmp_path, orders(3))
    a_dump(tmp_path, content, seconds=60)
    for finding in (heap.largest(), heap.growth()):
        assert finding.status is FindingStatus.UNKNOWN
        assert "cannot be read" in finding.summary


def test_any_other_file_can_be_read_by_its_path(heap: HeapExplorer, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    before, after = elsewhere / "a.heapsnapshot", elsewhere / "b.heapsnapshot"
    before.write_bytes(orders(1))
    after.write_bytes(orders(3))
    assert "a.heapsnapshot holds" in heap.largest(before).summary.lower()
    assert heap.growth(before, after).summary.startswith("Most grew: Order, +48 B (+2)")


def test_a_name_of_no_dump_is_refused_with_what_was_expected(heap: HeapExplorer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.heapsnapshot"):
        heap.largest(tmp_path / "missing.txt")
    with pytest.raises(UsageError, match="two dumps"):
        heap.growth(before="a.hprof")


def test_a_word_about_a_dump_that_cannot_be_understood_does_not_hide_the_others(heap: HeapExplorer, tmp_path: Path) -> None:
    a_dump(tmp_path, orders(3))
    (tmp_path / "broken.json").write_text("{")
    assert len(heap.dumps()) == 1
