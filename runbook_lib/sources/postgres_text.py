"""Text from PostgreSQL that is not of the connection's encoding: shown as well as it can be, instead of failing what asks for it.

pg_stat_activity shows the statements of all databases byte by byte, whatever their encoding; and in a database of SQL_ASCII
text is of none at all.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runbook_lib.importing import importing

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["decoded", "encoded", "read_any_text"]

_TEXT_TYPES = ("text", "varchar", "name", "bpchar", '"char"')
_ANY = 0  # what psycopg knows no loader for: enums, domains of extensions


def read_any_text(session: Connection[Any]) -> None:
    """Let a session read text of any encoding as str, with a replacement character for what cannot be read."""
    with importing("psycopg"):
        from psycopg.adapt import Buffer, Loader
        from psycopg.pq import Format

    encoding = _encoding(session)

    class Text(Loader):
        def load(self, data: Buffer) -> str:
            return bytes(data).decode(encoding, errors="replace")

    class Json(Loader):
        def load(self, data: Buffer) -> Any:
            return json.loads(bytes(data).decode(encoding, errors="replace"))

    class BinaryText(Text):
        format = Format.BINARY

    class BinaryJson(Json):
        format = Format.BINARY

    for kind in _TEXT_TYPES:
        session.adapters.register_loader(kind, Text)
        session.adapters.register_loader(kind, BinaryText)
    for kind in ("json", "jsonb"):
        session.adapters.register_loader(kind, Json)
    session.adapters.register_loader("json", BinaryJson)
    session.adapters.register_loader(_ANY, Text)


def decoded(session: Connection[Any], data: bytes) -> str:
    """What the server sent past the session's own reading, as text."""
    return data.decode(_encoding(session), errors="replace")


def encoded(session: Connection[Any], text: str) -> bytes:
    """Text as the server expects it; `?` for what its encoding does not have."""
    return text.encode(_encoding(session), errors="replace")


def _encoding(session: Connection[Any]) -> str:
    """psycopg calls SQL_ASCII ascii: the server hands on bytes of any encoding, today mostly this one."""
    found: str = session.info.encoding
    return "utf-8" if found == "ascii" else found
