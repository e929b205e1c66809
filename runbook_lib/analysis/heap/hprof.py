"""The JVM's heap dumps (`.hprof`): a class histogram, counted as the objects stream by.

A dump tells an object's fields, not its size in the heap: references are always written in full, although the JVM keeps them in
4 bytes below a heap of 32 GiB. Sizes are therefore computed as HotSpot lays objects out (header of 12 bytes, or of 16; fields;
rounded up to 8), and whether references are compressed is seen from where in the heap the arrays stand.

The format: https://hg.openjdk.org/jdk/jdk/file/tip/src/hotspot/share/services/heapDumper.cpp (its comment describes it).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from runbook_lib.analysis.heap.content import content_of
from runbook_lib.analysis.heap.hprof_classes import Classes
from runbook_lib.analysis.heap.pieces import Pieces
from runbook_lib.errors import HeapDumpUnreadable
from runbook_lib.models.heap import HeapContent

__all__ = ["read_hprof"]

_FORMATS = (b"JAVA PROFILE 1.0.1", b"JAVA PROFILE 1.0.2", b"JAVA PROFILE 1.0.3")
_STRING, _LOAD_CLASS, _HEAP_DUMP, _HEAP_SEGMENT, _END = 0x01, 0x02, 0x0C, 0x1C, 0x2C
_CLASS, _INSTANCE, _OBJECT_ARRAY, _PRIMITIVE_ARRAY, _PRIMITIVE_ARRAY_NO_DATA = 0x20, 0x21, 0x22, 0x23, 0xC3
# Beyond this no more names are kept: of an application they take some ten megabytes.
_MOST_NAME_BYTES = 256 * 1024 * 1024
# Sub-records that only say where references come from, with their length: identifiers, and further bytes.
_ROOTS = {
    0xFF: (1, 0), 0x01: (2, 0), 0x02: (1, 8), 0x03: (1, 8), 0x04: (1, 4), 0x05: (1, 0), 0x06: (1, 4), 0x07: (1, 0),
    0x08: (1, 8), 0x89: (1, 0), 0x8A: (1, 0), 0x8B: (1, 0), 0x8C: (1, 0), 0x8D: (1, 0), 0x8E: (1, 8), 0xFE: (1, 4), 0x90: (1, 0),
}  # fmt: skip
# The longest head of an instance or an array, its tag included; more is looked at than is there only at the end of a file.
_LONGEST_HEAD = 32
_TYPE_BYTES = {4: 1, 5: 2, 6: 4, 7: 8, 8: 1, 9: 2, 10: 4, 11: 8}


def read_hprof(pieces: Iterable[bytes]) -> HeapContent:
    """Instances and bytes (their own: shallow) by class.

    Of a dump that is cut off it counts what is there, and a note says so. Raises HeapDumpUnreadable for what is no dump, or holds
    no object.
    """
    reader = _Reader(Pieces(pieces))
    notes = []
    try:
        reader.read()
    except EOFError:
        notes.append(f"The dump is cut off after {reader.file.position:,} bytes: these are the figures up to there.")
    except HeapDumpUnreadable as error:
        if not reader.classes.counted:
            raise
        notes.append(f"{error}: these are the figures up to there.")
    if not reader.classes.counted:
        raise HeapDumpUnreadable(f"the heap dump holds no object within its {reader.file.position:,} bytes; take it again")
    return content_of(reader.classes.rows(), counted="classes", notes=notes)


class _Reader:
    """One pass over a dump."""

    def __init__(self, file: Pieces) -> None:
        self.file = file
        self.classes = Classes()
        self._width = 8
        self._heads = struct.Struct(">QIQI"), struct.Struct(">QIIB"), struct.Struct(">QIIQ")
        self._name_bytes = 0

    def read(self) -> None:
        """All records. Raises EOFError where the file ends too early."""
        self._head()
        while True:
            tag = self.file.take(1)[0]
            _, length = struct.unpack(">II", self.file.take(8))
            if tag == _STRING:
                self._string(length)
            elif tag == _LOAD_CLASS:
                self._loaded(self.file.take(length))
            elif tag in (_HEAP_DUMP, _HEAP_SEGMENT):
                self._objects(length)
            elif tag == _END:
                return
            else:
                self.file.skip(length)
            # Where there is but one HEAP_DUMP, nothing need follow it.
            if tag == _HEAP_DUMP and not self.file.more():
                return

    def _head(self) -> None:
        try:
            name = self.file.take(19)
            if not name.endswith(b"\0") or name[:-1] not in _FORMATS:
                raise HeapDumpUnreadable(f"this is no heap dump of a JVM: it begins with {name!r}")
            self._width = int(struct.unpack(">I", self.file.take(4))[0])
            self.file.skip(8)
        except EOFError:
            raise HeapDumpUnreadable("this is no heap dump of a JVM: it ends within its head") from None
        code = {4: "I", 8: "Q"}.get(self._width)
        if code is None:
            raise HeapDumpUnreadable(f"identifiers of 4 or 8 bytes were expected in the heap dump; found {self._width}")
        self._heads = struct.Struct(f">{code}I{code}I"), struct.Struct(f">{code}IIB"), struct.Struct(f">{code}II{code}")

    def _identifier(self, data: bytes, at: int = 0) -> int:
        return int.from_bytes(data[at : at + self._width], "big")

    def _string(self, length: int) -> None:
        self._name_bytes += length
        if self._name_bytes > _MOST_NAME_BYTES or length < self._width:
            self.file.skip(length)
            return
        data = self.file.take(length)
        self.classes.strings[self._identifier(data)] = data[self._width :]

    def _loaded(self, data: bytes) -> None:
        if len(data) < 8 + 2 * self._width:
            raise HeapDumpUnreadable(f"a class of the heap dump cannot be understood, before byte {self.file.position:,}")
        self.classes.names[self._identifier(data, 4)] = self._identifier(data, 8 + self._width)

    def _objects(self, length: int) -> None:
        """The sub-records of one segment."""
        end = self.file.position + length
        while self.file.position < end:
            if not self._common_objects(end):
                self._rare(self.file.take(1)[0])

    def _common_objects(self, end: int) -> bool:
        """Instances and arrays up to the first sub-record that is neither, or to the end of what is held; whether there was any.

        Nearly all of a dump goes through this loop, which is why it does by itself what the rest leaves to methods.
        """
        file, classes, width = self.file, self.classes, self._width
        held, begin = file.held(_LONGEST_HEAD)
        stop, at = min(len(held) - _LONGEST_HEAD, begin + end - file.position), begin
        instance, primitives, objects = self._heads
        while at < stop:
            tag = held[at]
            if tag == _INSTANCE:
                identifier, _, own, size = instance.unpack_from(held, at + 1)
                classes.count_instance(identifier, own)
                at += 1 + instance.size + size
            elif tag == _PRIMITIVE_ARRAY:
                identifier, _, number, kind = primitives.unpack_from(held, at + 1)
                size = _TYPE_BYTES.get(kind)
                if size is None:
                    break
                classes.count_primitives(identifier, kind, number * size)
                at += 1 + primitives.size + number * size
            elif tag == _OBJECT_ARRAY:
                identifier, _, number, own = objects.unpack_from(held, at + 1)
                classes.count_objects(identifier, own, number)
                at += 1 + objects.size + number * width
            else:
                break
        file.skip(at - begin)
        return at > begin

    def _rare(self, tag: int) -> None:
        """A sub-record of another kind; or one of the common kinds at the very end of the file."""
        file, width = self.file, self._width
        if tag == _CLASS:
            self._class()
        elif tag == _PRIMITIVE_ARRAY_NO_DATA:
            file.skip(width + 9)
        elif tag in _ROOTS:
            identifiers, more = _ROOTS[tag]
            file.skip(identifiers * width + more)
        elif tag in (_INSTANCE, _PRIMITIVE_ARRAY, _OBJECT_ARRAY) and not file.more(_LONGEST_HEAD):
            raise EOFError  # a segment is followed by at least the record that ends the dump
        else:
            raise HeapDumpUnreadable(f"the heap dump holds an unknown record 0x{tag:02x} at byte {file.position - 1:,}")

    def _bytes_of(self, kind: int) -> int:
        """The bytes of a value: of a primitive type, or of a reference (2)."""
        size = self._width if kind == 2 else _TYPE_BYTES.get(kind)
        if size is None:
            raise HeapDumpUnreadable(f"the heap dump holds a value of unknown type {kind} at byte {self.file.position:,}")
        return size

    def _class(self) -> None:
        """A class: what is kept of it is its superclass and what its own fields take."""
        file, width = self.file, self._width
        head = file.take(7 * width + 8)
        for _ in range(self._number()):  # the constant pool
            file.skip(2)
            file.skip(self._bytes_of(file.take(1)[0]))
        for _ in range(self._number()):  # static fields
            file.skip(width)
            file.skip(self._bytes_of(file.take(1)[0]))
        references = primitives = 0
        for _ in range(self._number()):
            kind = file.take(width + 1)[-1]
            if kind == 2:
                references += 1
            else:
                primitives += self._bytes_of(kind)
        self.classes.define(self._identifier(head), self._identifier(head, width + 4), references, primitives)

    def _number(self) -> int:
        return int.from_bytes(self.file.take(2), "big")
