"""Small heap dumps, built by hand as V8 and the JVM write them."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence

TYPES = ["hidden", "array", "string", "object", "code", "closure", "regexp", "number", "native"]
FIELDS = ["type", "name", "id", "self_size", "edge_count", "trace_node_id", "detachedness"]


def pieces(data: bytes, size: int = 7) -> Iterator[bytes]:
    """The file in pieces of this size, as odd as can be."""
    return (data[start : start + size] for start in range(0, len(data), size))


def heapsnapshot(nodes: Sequence[tuple[str, str, int]], *, fields: Sequence[str] = FIELDS) -> bytes:
    """A snapshot of nodes (type, name, bytes), laid out as V8 lays it out."""
    strings = list(dict.fromkeys(name for _, name, _ in nodes))
    rows = []
    for number, (kind, name, size) in enumerate(nodes):
        values = {"type": TYPES.index(kind), "name": strings.index(name), "id": 2 * number + 1, "self_size": size}
        rows.append(",".join(str(values.get(field, 0)) for field in fields))
    meta = {
        "node_fields": list(fields),
        "node_types": [TYPES, "string", "number"],
        "edge_fields": ["type", "name_or_index", "to_node"],
    }
    head = json.dumps({"meta": meta, "node_count": len(nodes), "edge_count": 1})
    body = "\n,".join(rows)
    text = (
        f'{{"snapshot":{head},\n"nodes":[{body}\n],\n"edges":[1,0,0\n],\n"trace_function_infos":[],\n"trace_tree":[],\n'
        f'"samples":[],\n"locations":[0,1,2,3],\n"strings":{json.dumps(strings, indent=0)}}}'
    )
    return text.encode()


class Hprof:
    """A dump of the JVM, record by record; `width`: bytes of an identifier."""

    def __init__(self, width: int = 8) -> None:
        self.width = width
        self._records = [b"JAVA PROFILE 1.0.2\0" + struct.pack(">IQ", width, 0)]
        self._objects: list[bytes] = []

    def name(self, own: int, name: str) -> Hprof:
        """A class is loaded that has this name."""
        self._records.append(self._record(0x01, self._id(own + 1) + name.encode()))
        self._records.append(self._record(0x02, struct.pack(">I", 1) + self._id(own) + bytes(4) + self._id(own + 1)))
        return self

    def define(self, own: int, parent: int, kinds: Iterable[int]) -> Hprof:
        """A class with fields of these types."""
        fields = [self._id(1) + bytes([kind]) for kind in kinds]
        static = self._id(1) + b"\x0a" + bytes(4)
        constant = struct.pack(">HB", 1, 8) + b"x"
        body = self._id(own) + bytes(4) + self._id(parent) + 5 * self._id(0) + bytes(4)
        body += (
            struct.pack(">H", 1) + constant + struct.pack(">H", 1) + static + struct.pack(">H", len(fields)) + b"".join(fields)
        )
        self._objects.append(b"\x20" + body)
        return self

    def instance(self, identifier: int, own: int, size: int) -> Hprof:
        """An object whose fields take so many bytes in the dump."""
        self._objects.append(b"\x21" + self._id(identifier) + bytes(4) + self._id(own) + struct.pack(">I", size) + bytes(size))
        return self

    def references(self, identifier: int, own: int, number: int) -> Hprof:
        """An array of references."""
        head = self._id(identifier) + bytes(4) + struct.pack(">I", number) + self._id(own)
        self._objects.append(b"\x22" + head + number * self._id(0))
        return self

    def primitives(self, identifier: int, kind: int, data: bytes, number: int) -> Hprof:
        """An array of primitives."""
        self._objects.append(b"\x23" + self._id(identifier) + bytes(4) + struct.pack(">IB", number, kind) + data)
        return self

    def root(self) -> Hprof:
        """A reference from a thread's stack."""
        self._objects.append(b"\x03" + self._id(9) + bytes(8))
        return self

    def segment(self) -> Hprof:
        """What was put in so far is one segment."""
        self._records.append(self._record(0x1C, b"".join(self._objects)))
        self._objects = []
        return self

    def whole(self) -> bytes:
        """The file."""
        return b"".join([*self.segment()._records, self._record(0x2C, b"")])

    def _id(self, value: int) -> bytes:
        return value.to_bytes(self.width, "big")

    def _record(self, tag: int, body: bytes) -> bytes:
        return struct.pack(">BII", tag, 0, len(body)) + body
