"""The audit: durable, chained, redacted, and readable after a crash."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.actions.audit import AuditLog, verify_chain
from runbook_lib.errors import ArchiveError


def an_audit(folder: Path) -> AuditLog:
    return AuditLog(folder / "audit.jsonl", redact=lambda text: text.replace("hunter2", "(redacted)"))


def three_lines(folder: Path) -> Path:
    audit = an_audit(folder)
    for number in range(3):
        audit.append("intent", {"plan": f"plan-{number}"})
    return audit.path


def test_every_line_follows_from_the_one_before(tmp_path: Path) -> None:
    report = verify_chain(three_lines(tmp_path))
    assert report.intact
    assert report.entries == 3


@pytest.mark.parametrize(("damage", "broken_at"), [("altered", 3), ("removed", 2), ("inserted", 3), ("swapped", 1)])
def test_a_line_that_was_tampered_with_is_found(tmp_path: Path, damage: str, broken_at: int) -> None:
    path = three_lines(tmp_path)
    lines = path.read_text().splitlines()
    if damage == "altered":
        lines[1] = lines[1].replace("plan-1", "plan-X")
    elif damage == "removed":
        del lines[1]
    elif damage == "inserted":
        lines.insert(2, lines[1])
    else:
        lines[0], lines[1] = lines[1], lines[0]
    path.write_text("\n".join(lines) + "\n")
    report = verify_chain(path)
    assert not report.intact
    assert report.broken_at == broken_at


def test_a_line_cut_off_by_a_crash_is_told_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = three_lines(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    assert verify_chain(path).torn == (3,)
    an_audit(tmp_path).append("outcome", {"plan": "plan-3"})
    report = verify_chain(path)
    assert report.intact
    assert report.torn == (3,)
    assert "lost" in report.text
    assert [entry["plan"] for entry in an_audit(tmp_path).entries()] == ["plan-0", "plan-1", "plan-3"]


def test_an_altered_torn_line_is_found_as_well(tmp_path: Path) -> None:
    path = three_lines(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    an_audit(tmp_path).append("outcome", {})
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2][:10] + b"\n", *lines[3:]]))
    assert verify_chain(path).broken_at == 4


def test_writers_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: an_audit(tmp_path).append("intent", {"plan": str(number)}), range(40)))
    report = verify_chain(tmp_path / "audit.jsonl")
    assert (report.intact, report.entries) == (True, 40)


def test_every_text_is_redacted_wherever_it_stands(tmp_path: Path) -> None:
    audit = an_audit(tmp_path)
    audit.append("intent", {"command": "x hunter2", "steps": ["hunter2"], "bound_to": {"a": "hunter2"}, "path": Path("hunter2")})
    assert "hunter2" not in audit.path.read_text()


def test_an_audit_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="nothing is changed without it"):
        AuditLog(tmp_path / "file" / "audit.jsonl", redact=str).append("intent", {})


def test_the_audits_of_other_incidents_are_found(tmp_path: Path) -> None:
    for incident in ("2026-03-01/a", "2026-03-01/b"):
        AuditLog(tmp_path / incident / "audit.jsonl", redact=str, history=tmp_path).append("intent", {"plan": incident})
    audit = AuditLog(tmp_path / "2026-03-02/c" / "audit.jsonl", redact=str, history=tmp_path)
    now = datetime.now(UTC)
    found = audit.entries_of_all_incidents(since=now - timedelta(minutes=1))
    assert sorted(entry["plan"] for entry in found) == ["2026-03-01/a", "2026-03-01/b"]
    assert list(audit.entries_of_all_incidents(since=now + timedelta(minutes=1))) == []


@given(texts=st.lists(st.text(), min_size=1, max_size=5))
def test_whatever_is_written_is_read_back_and_chained(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    audit = an_audit(tmp_path_factory.mktemp("audit"))
    for text in texts:
        audit.append("intent", {"title": text})
    assert verify_chain(audit.path).intact
    assert [entry["title"] for entry in audit.entries()] == [text.replace("hunter2", "(redacted)") for text in texts]
    assert all(json.loads(line) for line in audit.path.read_bytes().splitlines())
