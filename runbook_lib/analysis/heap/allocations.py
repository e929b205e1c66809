"""Where a Python process has allocated what it still holds: a tracemalloc snapshot as JSON.

Python's own way to write a snapshot is a pickle, and reading one runs whatever it says; what a container sent is never
unpickled. docs/heap-dumps.md has the format, and the ten lines by which a service gives it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from runbook_lib.analysis.heap.content import content_of
from runbook_lib.errors import HeapDumpUnreadable
from runbook_lib.models.heap import HeapContent

__all__ = ["read_allocations"]

_MOST_BYTES = 64 * 1024 * 1024
_Amount = Annotated[int, Field(ge=0)]


class _Site(BaseModel):
    file: str
    line: _Amount
    bytes: _Amount
    blocks: _Amount


class _Snapshot(BaseModel):
    tracing: bool
    sites: tuple[_Site, ...]


def read_allocations(pieces: Iterable[bytes]) -> HeapContent:
    """Blocks and bytes by line of code, of what was allocated since tracing began. Raises HeapDumpUnreadable."""
    text = b""
    for piece in pieces:
        text += piece
        if len(text) > _MOST_BYTES:
            raise HeapDumpUnreadable(f"allocation sites of more than {_MOST_BYTES // 1024**2} MiB: let the service send fewer")
    try:
        snapshot = _Snapshot.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise HeapDumpUnreadable(
            f"allocation sites were expected as docs/heap-dumps.md has them; {where}: {first['msg']}"
        ) from error
    notes = ("It holds what was allocated since tracing began; what was there before is not seen.",)
    rows = ((f"{site.file}:{site.line}", site.blocks, site.bytes) for site in snapshot.sites)
    if not snapshot.tracing:
        notes = ("Tracing was off, so that nothing is known: begin it, wait, and take another.",)
    return content_of(rows, counted="allocation sites", notes=notes)
