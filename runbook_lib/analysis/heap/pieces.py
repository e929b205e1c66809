"""A file that comes in pieces, read forwards once: only what is not yet read is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runbook_lib.errors import HeapDumpUnreadable

__all__ = ["Pieces"]


class Pieces:
    """The bytes that are left of a file. `position`: how many were read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = b""
        self._at = 0
        self.position = 0

    def take(self, length: int) -> bytes:
        """The next `length` bytes. Raises EOFError when there are fewer."""
        self._hold(length)
        start = self._at
        self._at += length
        self.position += length
        return self._held[start : self._at]

    def skip(self, length: int) -> None:
        """Read on without looking. Raises EOFError when there is less."""
        while (there := len(self._held) - self._at) < length:
            self.position += there
            length -= there
            self._held, self._at = self._next(), 0
        self._at += length
        self.position += length

    def until(self, mark: bytes, *, most: int) -> bytes:
        """What stands before the mark, which is read as well. Raises HeapDumpUnreadable when it is not within `most` bytes."""
        found = b""
        for piece in self.before(mark):
            found += piece
            if len(found) > most:
                break
        else:
            return found
        raise HeapDumpUnreadable(f"{mark.decode()} was expected within the first {most:,} bytes, and is not there")

    def before(self, mark: bytes) -> Iterator[bytes]:
        """What stands before the mark, in pieces; the mark is read as well. Raises EOFError when it never comes."""
        while True:
            place = self._held.find(mark, self._at)
            if place >= 0:
                piece = self._held[self._at : place]
                self._at = place + len(mark)
                self.position += len(piece) + len(mark)
                yield piece
                return
            # The mark may be parted between two pieces.
            end = max(self._at, len(self._held) - len(mark) + 1)
            piece, rest = self._held[self._at : end], self._held[end:]
            self.position += len(piece)
            if piece:
                yield piece
            self._held, self._at = rest + self._next(), 0

    def more(self, length: int = 1) -> bool:
        """Whether so many bytes are left."""
        try:
            self._hold(length)
        except EOFError:
            return False
        return True

    def held(self, least: int) -> tuple[bytes, int]:
        """What is held, and from where on it is not yet read; more than `least` bytes, where the file has them. To be followed
        by `skip`."""
        self.more(least + 1)
        return self._held, self._at

    def rest(self) -> Iterator[bytes]:
        """All that is left, in pieces."""
        yield self._held[self._at :]
        yield from self._pieces

    def _hold(self, length: int) -> None:
        if len(self._held) - self._at >= length:
            return
        parts = [self._held[self._at :]]
        there = len(parts[0])
        try:
            while there < length:
                parts.append(self._next())
                there += len(parts[-1])
        finally:
            self._held, self._at = b"".join(parts), 0

    def _next(self) -> bytes:
        for piece in self._pieces:
            if piece:
                return piece
        raise EOFError
