"""Checksums as the tools of a container print them, computed here as the bytes arrive."""

from __future__ import annotations

import hashlib
import zlib
from typing import Protocol

__all__ = ["Checksums", "PosixChecksum"]

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Checksum(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class PosixChecksum:
    """The CRC of POSIX `cksum`: that of zlib with every byte's bits in reverse, begun at 0, and the length appended."""

    def __init__(self) -> None:
        self._crc = 0xFFFFFFFF
        self._length = 0

    def update(self, data: bytes, /) -> None:
        """Go on with more bytes."""
        self._crc = zlib.crc32(data.translate(_REVERSED), self._crc)
        self._length += len(data)

    def hexdigest(self) -> str:
        """The checksum as `cksum` prints it: in decimal, whatever the name says."""
        length = self._length.to_bytes((self._length.bit_length() + 7) // 8, "little")
        crc = zlib.crc32(length.translate(_REVERSED), self._crc)
        return str(int(f"{crc:032b}"[::-1], 2))


class Checksums:
    """All that a container may be able to compute; `sha256` is what is kept."""

    def __init__(self) -> None:
        self._all: dict[str, _Checksum] = {
            "sha256sum": hashlib.sha256(),
            "md5sum": hashlib.md5(usedforsecurity=False),
            "cksum": PosixChecksum(),
        }

    def update(self, data: bytes) -> None:
        """Go on with more bytes."""
        for one in self._all.values():
            one.update(data)

    def of(self, tool: str) -> str:
        """What this tool would print of the bytes so far."""
        return self._all[tool].hexdigest()
