"""The frames of SPDY/3.1, as far as kubectl uses them: streams, their data, pings.

Kubernetes' clients do not use SPDY's flow control, and neither does this.
"""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

_VERSION = 3
_FIN = 0x01
_LARGEST_FRAME_BYTES = 1 << 20

# Header blocks are compressed with this text known in advance: common words with their lengths, then common values.
_TOKENS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length content-location "
    "content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match if-range "
    "if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer "
    "retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get status"
)
_WORDS = (*_TOKENS.split(), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_VALUES = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information"
    "204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error"
    "501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, "
    "Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.encode() for word in _WORDS) + _VALUES.encode()


class _Kind(IntEnum):
    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    PING = 6
    GOAWAY = 7


@dataclass(frozen=True)
class Opened:
    """The client opened a stream with these headers."""

    stream: int
    headers: dict[str, str]


@dataclass(frozen=True)
class Data:
    """The client wrote to a stream; `last` when it will write no more."""

    stream: int
    content: bytes
    last: bool


class Writer(Protocol):
    """Where the frames go."""

    def write(self, data: bytes, /) -> None:
        """Take bytes in."""

    async def drain(self) -> None:
        """Wait until the client keeps up."""


class SpdyConnection:
    """The server's end of a SPDY connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    async def frames(self) -> AsyncIterator[Opened | Data]:
        """Give what the client does, until it leaves; pings are answered, and opened streams accepted."""
        while True:
            try:
                head = await self._reader.readexactly(8)
                size = int.from_bytes(head[5:8])
                if size > _LARGEST_FRAME_BYTES:
                    return
                body = await self._reader.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            if not head[0] & 0x80:
                yield Data(int.from_bytes(head[:4]), body, bool(head[4] & _FIN))
                continue
            match int.from_bytes(head[2:4]):
                case _Kind.SYN_STREAM:
                    stream = int.from_bytes(body[:4]) & 0x7FFFFFFF
                    headers = self._headers(body[10:])
                    await self._control(_Kind.SYN_REPLY, struct.pack(">I", stream) + self._no_headers())
                    yield Opened(stream, headers)
                case _Kind.RST_STREAM:
                    # Given up in both directions; what is left to do for it is to end.
                    yield Data(int.from_bytes(body[:4]) & 0x7FFFFFFF, b"", last=True)
                case _Kind.PING:
                    # The answer is its echo.
                    await self._control(_Kind.PING, body)
                case _Kind.GOAWAY:
                    return

    async def write(self, stream: int, content: bytes, *, last: bool = False) -> None:
        """Write to a stream, and end it with `last`."""
        self._writer.write(struct.pack(">IB", stream, _FIN if last else 0) + len(content).to_bytes(3) + content)
        await self._writer.drain()

    async def _control(self, kind: _Kind, body: bytes) -> None:
        self._writer.write(struct.pack(">HHB", 0x8000 | _VERSION, kind, 0) + len(body).to_bytes(3) + body)
        await self._writer.drain()

    def _headers(self, block: bytes) -> dict[str, str]:
        """Read a header block: a count, then names and values, each with its length; the compression runs on over all blocks."""
        content = self._inflate.decompress(block)
        texts, at = [], 4
        while at < len(content):
            size = int.from_bytes(content[at : at + 4])
            texts.append(content[at + 4 : at + 4 + size].decode("latin-1"))
            at += 4 + size
        return dict(zip(texts[::2], texts[1::2], strict=False))

    def _no_headers(self) -> bytes:
        return self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
