"""The JVM's class histogram (`jcmd <pid> GC.class_histogram`): no dump, and often all that one needs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from runbook_lib.analysis.heap.content import content_of
from runbook_lib.analysis.heap.java_names import readable
from runbook_lib.errors import HeapDumpUnreadable
from runbook_lib.models.heap import HeapContent

__all__ = ["read_class_histogram"]

_MOST_BYTES = 64 * 1024 * 1024
_LINE = re.compile(rb"^\s*\d+:\s+(\d+)\s+(\d+)\s+(\S+)", re.MULTILINE)
_TOTAL = re.compile(rb"^Total\s+\d+\s+\d+", re.MULTILINE)


def read_class_histogram(pieces: Iterable[bytes]) -> HeapContent:
    """Instances and bytes of each class, as the JVM counted them. Raises HeapDumpUnreadable when there is no such table."""
    text = b""
    for piece in pieces:
        text += piece
        if len(text) > _MOST_BYTES:
            raise HeapDumpUnreadable(f"a class histogram of more than {_MOST_BYTES // 1024**2} MiB is none")
    rows = [(readable(match[3].decode("utf-8", "replace")), int(match[1]), int(match[2])) for match in _LINE.finditer(text)]
    if not rows:
        begin = " ".join(text[:200].decode("utf-8", "replace").split())
        raise HeapDumpUnreadable(f"a class histogram was expected; found {begin!r}")
    notes = () if _TOTAL.search(text) else ("The histogram has no last line: it may be cut off.",)
    return content_of(rows, counted="classes", notes=notes)
