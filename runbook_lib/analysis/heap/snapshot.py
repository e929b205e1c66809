"""V8's heap snapshots (`.heapsnapshot`, of Node.js and Chrome), read as the JSON streams by.

The file is one JSON object: its layout first (`snapshot.meta`), then `nodes` and `edges` as long rows of integers, last the
`strings` that they refer to by number. V8 writes them in this order, so that one pass in bounded memory will do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from runbook_lib.analysis.heap.content import content_of
from runbook_lib.analysis.heap.pieces import Pieces
from runbook_lib.errors import HeapDumpUnreadable
from runbook_lib.models.heap import HeapContent

__all__ = ["read_heapsnapshot"]

_HEAD_BYTES = 1024 * 1024
_LONGEST_STRING_BYTES = 16 * 1024 * 1024
_LONGEST_NAME = 200
# Their name is their constructor's; that of a string is the string itself, which is nobody's business here.
_NAMED_BY_TYPE = ("object", "native")
# As Chrome's memory panel calls them.
_GROUPS = {"hidden": "(system)", "code": "(compiled code)", "closure": "Function", "regexp": "RegExp"}
_NUMBERS = b"0123456789,-"
_STRING = re.compile(rb'[\s,]*("(?:[^"\\]|\\.)*")', re.DOTALL)


@dataclass(frozen=True)
class _Layout:
    """Where in a node's row its type, name and size stand; what the types are called; how many nodes there are."""

    width: int
    type: int
    name: int
    size: int
    types: tuple[str, ...]
    nodes: int


def read_heapsnapshot(pieces: Iterable[bytes]) -> HeapContent:
    """Objects and bytes (their own: shallow) by constructor; what has none by its kind, such as `(string)`.

    Raises HeapDumpUnreadable for what is no snapshot, or not a whole one: the names stand at its end.
    """
    text = Pieces(pieces)
    try:
        layout = _layout(text)
        sums = _sums(text, layout)
        for _ in text.before(b'"strings":['):
            pass
        names = _strings(text, wanted={key - len(layout.types) for key in sums if key >= len(layout.types)})
    except EOFError:
        raise HeapDumpUnreadable(f"the heap snapshot is cut off after {text.position:,} bytes; take it again") from None
    return content_of(((_name(key, layout, names), count, size) for key, (count, size) in sums.items()), counted="types")


def _layout(text: Pieces) -> _Layout:
    head = text.until(b'"nodes":[', most=_HEAD_BYTES)
    try:
        snapshot: Any = json.loads(head.rstrip().removesuffix(b",") + b"}")["snapshot"]
        fields, types = snapshot["meta"]["node_fields"], snapshot["meta"]["node_types"][0]
        return _Layout(
            width=len(fields),
            type=fields.index("type"),
            name=fields.index("name"),
            size=fields.index("self_size"),
            types=tuple(map(str, types)),
            nodes=int(snapshot["node_count"]),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise HeapDumpUnreadable(f"this is no heap snapshot of V8: its head cannot be understood ({error!r})") from error


def _sums(text: Pieces, layout: _Layout) -> dict[int, tuple[int, int]]:
    """Count and bytes by group. A key below the number of types is a type; above it, the number of a name, shifted by that."""
    sums: dict[int, tuple[int, int]] = {}
    seen = 0
    own = np.isin(np.array(layout.types), _NAMED_BY_TYPE)
    for rows in _rows(text, layout.width):
        types, sizes = rows[:, layout.type], rows[:, layout.size]
        if len(rows) and (types.min() < 0 or types.max() >= len(layout.types) or sizes.min() < 0):
            raise HeapDumpUnreadable(f"the nodes of the heap snapshot hold what they cannot hold, before byte {text.position:,}")
        keys = np.where(own[types], rows[:, layout.name] + len(layout.types), types)
        groups, members, counts = np.unique(keys, return_inverse=True, return_counts=True)
        totals = np.bincount(members, weights=sizes, minlength=len(groups))
        for key, count, size in zip(groups.tolist(), counts.tolist(), totals.tolist(), strict=True):
            before = sums.get(key, (0, 0))
            sums[key] = (before[0] + count, before[1] + int(size))
        seen += len(rows)
    if seen != layout.nodes:
        raise HeapDumpUnreadable(f"the heap snapshot says that it has {layout.nodes:,} nodes, and has {seen:,}")
    return sums


def _rows(text: Pieces, width: int) -> Iterator[np.ndarray]:
    """The integers of `nodes`, a whole number of rows at a time."""
    rest, left = b"", np.empty(0, dtype=np.int64)
    for piece in text.before(b"]"):
        joined = rest + piece.translate(None, b" \r\n\t")
        whole, comma, rest = joined.rpartition(b",")
        left = np.concatenate([left, _integers(whole)]) if comma else left
        if len(left) >= width:
            rows, left = np.split(left, [len(left) // width * width])
            yield rows.reshape(-1, width)
    left = np.concatenate([left, _integers(rest)])
    if len(left) % width:
        raise HeapDumpUnreadable(f"the nodes of the heap snapshot are no whole rows of {width} numbers")
    yield left.reshape(-1, width)


def _integers(text: bytes) -> np.ndarray:
    if text.translate(None, _NUMBERS):
        raise HeapDumpUnreadable("among the nodes of the heap snapshot stands what is no number")
    try:
        return np.fromstring(text, dtype=np.int64, sep=",") if text else np.empty(0, dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise HeapDumpUnreadable(f"among the nodes of the heap snapshot stands what is no number ({error})") from error


def _strings(text: Pieces, wanted: set[int]) -> dict[int, str]:
    """The strings of these numbers; the others are passed over."""
    found: dict[int, str] = {}
    number, held = 0, b""
    for piece in text.rest():
        held, place = held + piece, 0
        while match := _STRING.match(held, place):
            if number in wanted:
                found[number] = _decoded(match[1])
            number, place = number + 1, match.end()
        held = held[place:]
        if held.lstrip(b" \r\n\t,").startswith(b"]"):
            return found
        if len(held) > _LONGEST_STRING_BYTES:
            raise HeapDumpUnreadable("the strings of the heap snapshot cannot be told apart")
    raise EOFError


def _decoded(quoted: bytes) -> str:
    try:
        return str(json.loads(quoted.decode("utf-8", "replace"), strict=False))[:_LONGEST_NAME]
    except ValueError:
        return quoted[1:-1].decode("utf-8", "replace")[:_LONGEST_NAME]


def _name(key: int, layout: _Layout, names: dict[int, str]) -> str:
    if key >= len(layout.types):
        return names.get(key - len(layout.types)) or "(without a name)"
    kind = layout.types[key]
    return _GROUPS.get(kind, f"({kind})")
