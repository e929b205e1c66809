import json
import shutil
import subprocess
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.analysis.heap.snapshot import read_heapsnapshot
from runbook_lib.errors import HeapDumpUnreadable
from tests.unit.analysis.heap.dumps import FIELDS, TYPES, heapsnapshot, pieces

NODES = [
    ("object", "Order", 24), ("object", "Order", 24), ("string", "secret@example.com", 40), ("array", "", 100),
    ("closure", "leak", 64), ("hidden", "system / Map", 8), ("native", "ArrayBuffer", 500), ("string", "another", 16),
]  # fmt: skip


def counted(data: bytes, size: int = 7) -> dict[str, tuple[int, int]]:
    table = read_heapsnapshot(pieces(data, size)).table
    return {name: (count, size) for name, count, size in table.itertuples(index=False)}


def test_objects_are_counted_by_constructor_and_the_rest_by_its_kind():
    assert counted(heapsnapshot(NODES)) == {
        "ArrayBuffer": (1, 500), "(array)": (1, 100), "Function": (1, 64), "(string)": (2, 56), "Order": (2, 48),
        "(system)": (1, 8),
    }  # fmt: skip


def test_the_content_of_strings_is_nowhere_in_what_is_read():
    assert "example.com" not in str(read_heapsnapshot([heapsnapshot(NODES)]))


@pytest.mark.parametrize("fields", [FIELDS[:5], FIELDS[:6], [*FIELDS[2:], *FIELDS[:2]]])
def test_the_layout_is_taken_from_the_file_since_v8_has_changed_it(fields):
    assert counted(heapsnapshot(NODES, fields=fields))["Order"] == (2, 48)


@pytest.mark.parametrize("name", ['a "quoted" \\ name', "]", '"strings":[', "ünïcode \U0001f600", "{", ""])
def test_names_may_hold_what_looks_like_json(name):
    data = heapsnapshot([("object", name, 8), ("object", "Order", 24)])
    assert counted(data, 3) == {name or "(without a name)": (1, 8), "Order": (1, 24)}


@given(
    nodes=st.lists(st.tuples(st.sampled_from(TYPES), st.text(max_size=20), st.integers(0, 2**40)), min_size=1, max_size=30),
    size=st.integers(1, 200),
)
def test_the_sums_are_those_of_the_nodes_however_the_file_is_parted(nodes, size):
    content = read_heapsnapshot(pieces(heapsnapshot(nodes), size))
    assert (content.total_count, content.total_bytes) == (len(nodes), sum(bytes_ for _, _, bytes_ in nodes))


@given(end=st.integers(0, len(heapsnapshot(NODES)) - 2))
def test_a_snapshot_that_is_cut_off_is_said_to_be(end):
    with pytest.raises(HeapDumpUnreadable):
        read_heapsnapshot(pieces(heapsnapshot(NODES)[:end]))


@given(data=st.binary(max_size=400))
def test_garbage_is_said_to_be_no_snapshot(data):
    with pytest.raises(HeapDumpUnreadable):
        read_heapsnapshot([data])


@given(place=st.integers(0, len(heapsnapshot(NODES)) - 1), byte=st.integers(0, 255))
def test_a_damaged_byte_gives_another_answer_or_a_refusal_but_never_a_crash(place, byte):
    data = bytearray(heapsnapshot(NODES))
    data[place] = byte
    with suppress(HeapDumpUnreadable):
        read_heapsnapshot(pieces(bytes(data)))


def test_a_snapshot_of_a_real_node_process_has_its_objects(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.fail("this test needs node on the PATH (apt-get install nodejs)")
    file = tmp_path / "real.heapsnapshot"
    program = (
        "class Order { constructor(i) { this.i = i; } } const kept = []; for (let i = 0; i < 1234; i++) kept.push(new Order(i));"
        f"require('v8').writeHeapSnapshot({json.dumps(str(file))}); console.log(process.memoryUsage().heapUsed)"
    )
    used = subprocess.run([node, "-e", program], check=True, capture_output=True, timeout=120)
    with file.open("rb") as opened:
        content = read_heapsnapshot(iter(lambda: opened.read(65536), b""))
    assert content.table.set_index("name").loc["Order", "count"] == 1234
    assert content.total_bytes == pytest.approx(float(used.stdout), rel=0.5)
