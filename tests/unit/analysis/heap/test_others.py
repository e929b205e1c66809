import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.analysis.heap import growth_between
from runbook_lib.analysis.heap.allocations import read_allocations
from runbook_lib.analysis.heap.content import content_of
from runbook_lib.analysis.heap.histogram import read_class_histogram
from runbook_lib.analysis.heap.own import is_own
from runbook_lib.errors import HeapDumpUnreadable

HISTOGRAM = b"""7:
 num     #instances         #bytes  class name (module)
-------------------------------------------------------
   1:          1008          44359  [B (java.base@17.0.15)
   2:           500          20000  shop.Order
   3:            31           2592  [Ljava.lang.Object; (java.base@17.0.15)
Total          1539          66951
"""
SITES = [
    {"file": "/app/orders.py", "line": 91, "bytes": 500, "blocks": 5},
    {"file": "<frozen os>", "line": 1, "bytes": 9, "blocks": 1},
]


def test_a_class_histogram_is_read_with_names_as_people_write_them():
    content = read_class_histogram([HISTOGRAM[:100], HISTOGRAM[100:]])
    assert content.table.values.tolist() == [
        ["byte[]", 1008, 44359],
        ["shop.Order", 500, 20000],
        ["java.lang.Object[]", 31, 2592],
    ]
    assert content.notes == ()


def test_a_histogram_without_its_last_line_may_be_cut_off():
    assert "cut off" in read_class_histogram([HISTOGRAM[:250]]).notes[0]


def test_what_jcmd_says_in_place_of_a_histogram_is_told():
    with pytest.raises(HeapDumpUnreadable, match="Unable to open socket file"):
        read_class_histogram([b"7: Unable to open socket file /proc/7/root/tmp/.java_pid7"])


def test_allocation_sites_are_lines_of_code():
    content = read_allocations([json.dumps({"tracing": True, "sites": SITES}).encode()])
    assert content.table.values.tolist() == [["/app/orders.py:91", 5, 500], ["<frozen os>:1", 1, 9]]


def test_without_tracing_it_says_that_nothing_is_known():
    assert "Tracing was off" in read_allocations([b'{"tracing": false, "sites": []}']).notes[0]


def test_a_pickle_is_refused_and_never_run():
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("it was unpickled",))

    with pytest.raises(HeapDumpUnreadable, match="allocation sites were expected"):
        read_allocations([pickle.dumps(Bomb())])


@given(data=st.binary(max_size=200))
def test_garbage_is_refused(data):
    for read in (read_allocations, read_class_histogram):
        with pytest.raises(HeapDumpUnreadable):
            read([data])


def test_what_grew_most_stands_first_and_what_is_the_same_is_left_out():
    before = content_of([("Order", 10, 100), ("byte[]", 5, 900), ("Gone", 1, 50)], counted="classes")
    after = content_of([("Order", 30, 300), ("byte[]", 5, 900), ("New", 2, 20)], counted="classes")
    assert growth_between(before, after).values.tolist() == [
        ["Order", 200, 20, 300, 30], ["New", 20, 2, 20, 2], ["Gone", -50, -1, 0, 0],
    ]  # fmt: skip


@given(rows=st.lists(st.tuples(st.text(max_size=5), st.integers(0, 99), st.integers(0, 999)), max_size=20))
def test_nothing_grows_between_a_dump_and_itself(rows):
    content = content_of(rows, counted="types")
    assert growth_between(content, content).empty


@pytest.mark.parametrize(
    ("name", "counted", "own"),
    [
        ("shop.Order", "classes", True), ("java.lang.String", "classes", False), ("byte[][]", "classes", False),
        ("shop.Order[]", "classes", True), ("Order", "types", True), ("(string)", "types", False), ("Uint8Array", "types", False),
        ("ArrayOfOrders", "types", True), ("/app/orders.py:91", "allocation sites", True),
        ("/usr/lib/python3.11/json/decoder.py:353", "allocation sites", False),
        ("/venv/lib/python3.11/site-packages/httpx/_client.py:1", "allocation sites", False),
    ],
)  # fmt: skip
def test_the_service_s_own_is_told_from_what_the_runtime_brings(name, counted, own):
    assert is_own(name, counted) is own
