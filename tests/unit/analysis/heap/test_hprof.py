import re
import shutil
import subprocess
import textwrap
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.analysis.heap.histogram import read_class_histogram
from runbook_lib.analysis.heap.hprof import read_hprof
from runbook_lib.errors import HeapDumpUnreadable
from tests.unit.analysis.heap.dumps import Hprof, pieces

OBJECT, ORDER, ORDERS = 0x100, 0x200, 0x300
REFERENCE, LONG, INT, BYTE = 2, 11, 10, 8


def a_dump(width: int = 8, *, apart: int = 0) -> bytes:
    """Two orders (a reference, a long; above them an int), and an array of 20; `apart`: bytes from its begin to the next."""
    dump = Hprof(width).name(OBJECT, "java/lang/Object").name(ORDER, "shop/Order").name(ORDERS, "[Lshop/Order;").root()
    dump.define(OBJECT, 0, [INT]).define(ORDER, OBJECT, [REFERENCE, LONG])
    dump.instance(0x1000, ORDER, width + 12).segment().references(4096, ORDERS, 20)
    dump.primitives(4096 + (apart or 96), BYTE, b"x" * 41, 41).instance(0x2000, ORDER, width + 12)
    return dump.whole()


def counted(data: bytes, size: int = 11) -> dict[str, tuple[int, int]]:
    return {name: (count, size) for name, count, size in read_hprof(pieces(data, size)).table.itertuples(index=False)}


@pytest.mark.parametrize("width", [4, 8])
def test_instances_and_arrays_are_counted_by_class(width):
    # 12 of header, 4 of the parent's int, 4 of a compressed reference, 8 of a long: 28, rounded up.
    assert counted(a_dump(width)) == {"shop.Order": (2, 64), "shop.Order[]": (1, 96), "byte[]": (1, 64)}


def test_where_the_next_object_stands_tells_whether_references_are_compressed():
    assert counted(a_dump(apart=176))["shop.Order[]"] == (1, 176)
    assert counted(a_dump(apart=176))["shop.Order"] == (2, 64)  # 12 + 4 + 8 + 8


@given(size=st.integers(1, 500))
def test_it_does_not_matter_how_the_file_is_parted(size):
    assert counted(a_dump(), size) == counted(a_dump(), 10**6)


@given(end=st.integers(0, len(a_dump()) - 1), size=st.integers(5, 300))
def test_a_dump_that_is_cut_off_is_counted_up_to_there_and_says_so(end, size):
    try:
        content = read_hprof(pieces(a_dump()[:end], size))
    except HeapDumpUnreadable:
        return
    assert content.total_count <= 4
    assert content.notes


@given(data=st.binary(max_size=400))
def test_garbage_is_said_to_be_no_dump(data):
    with pytest.raises(HeapDumpUnreadable):
        read_hprof([data])


@given(place=st.integers(0, len(a_dump()) - 1), byte=st.integers(0, 255))
def test_a_damaged_byte_gives_another_answer_or_a_refusal_but_never_a_crash(place, byte):
    data = bytearray(a_dump())
    data[place] = byte
    with suppress(HeapDumpUnreadable):
        read_hprof(pieces(bytes(data), 50))


def test_a_dump_of_a_jvm_agrees_with_the_histogram_of_the_jvm_itself(tmp_path):
    java, javac, jcmd = (shutil.which(name) for name in ("java", "javac", "jcmd"))
    if not (java and javac and jcmd):
        pytest.fail("this test needs a JDK on the PATH (apt-get install openjdk-17-jdk-headless)")
    (tmp_path / "Shop.java").write_text(
        textwrap.dedent(
            """
            public class Shop {
                static class Order { long id; int number; String note; boolean paid; Order next; }
                static class Gift extends Order { byte wrap; Object card; }
                static Object[] kept = new Object[3000];
                public static void main(String[] arguments) throws Exception {
                    for (int i = 0; i < 3000; i++) kept[i] = i % 3 == 0 ? new Gift() : new Order();
                    System.out.println("ready");
                    System.in.read();
                }
            }
            """
        )
    )
    subprocess.run([javac, "-d", str(tmp_path), str(tmp_path / "Shop.java")], check=True, timeout=120)
    command = [java, "-Xmx64m", "-cp", str(tmp_path), "Shop"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shop:
        assert shop.stdin is not None
        assert shop.stdout is not None
        assert shop.stdout.readline() == "ready\n"
        pid, file = str(shop.pid), tmp_path / "shop.hprof"
        subprocess.run([jcmd, pid, "GC.heap_dump", str(file)], check=True, capture_output=True, timeout=120)
        told = subprocess.run([jcmd, pid, "GC.class_histogram"], check=True, capture_output=True, timeout=120).stdout
        shop.stdin.close()
    with file.open("rb") as opened:
        seen = read_hprof(iter(lambda: opened.read(65536), b"")).table.set_index("name")
    own = read_class_histogram([told]).table.set_index("name")
    for name in ("Shop$Order", "Shop$Gift"):
        assert tuple(seen.loc[name]) == tuple(own.loc[name])
    assert seen.loc["java.lang.String", "bytes"] == pytest.approx(own.loc["java.lang.String", "bytes"], rel=0.2)
    assert re.search(r"\[L", " ".join(seen.index)) is None
