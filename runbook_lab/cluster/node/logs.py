"""A container's output on disk, each line with its time, as a container runtime keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

# A kubelet rotates at 10 MiB; what is older than one rotation is lost there too, sooner or later.
_ROTATE_BYTES = 10 * 1024 * 1024
_CHUNK_LINES = 500
_LONGEST_LINE = 16 * 1024


@dataclass(frozen=True)
class Position:
    """A place in a log: how often it had been rotated, and the offset in its newest file [bytes]."""

    rotation: int
    offset: int


class LogFile:
    """The log of one instance of a container: `<time> <stream> <line>`, with the time in UTC to the microsecond."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._news = asyncio.Event()
        self._rotation = 0
        self.closed = False

    def write(self, stream: str, lines: list[bytes]) -> None:
        """Append lines (without their ends) that a stream has brought just now."""
        prefix = f"{datetime.now(UTC).isoformat(timespec='microseconds').replace('+00:00', 'Z')} {stream} ".encode()
        self._file.write(b"".join(prefix + line + b"\n" for line in lines))
        if self._file.tell() > _ROTATE_BYTES:
            self._file.close()
            self.path.replace(self._rotated)
            self._file = self.path.open("ab", buffering=0)
            self._rotation += 1
        self._announce()

    def lines(self, stream: str) -> Lines:
        """Give a writer for one of the process's outputs."""
        return Lines(self, stream)

    def close(self) -> None:
        """Say that the instance has ended: followers stop after the last line."""
        self.closed = True
        self._file.close()
        self._announce()

    def delete(self) -> None:
        """Remove the log from disk."""
        for path in (self.path, self._rotated):
            path.unlink(missing_ok=True)

    def read(self, position: Position | None = None) -> tuple[list[bytes], Position]:
        """Give the stored lines after a position (None: all that is kept) as they are on disk, and the position after them."""
        lines: list[bytes] = []
        if position is None:
            lines += _lines_of(self._rotated, 0)
        elif position.rotation == self._rotation - 1:
            lines += _lines_of(self._rotated, position.offset)
        same_file = position is not None and position.rotation == self._rotation
        start = position.offset if position and same_file else 0
        lines += _lines_of(self.path, start)
        return lines, Position(self._rotation, self.path.stat().st_size)

    async def follow(self, position: Position) -> AsyncIterator[list[bytes]]:
        """Give the lines after a position as they come, until the instance ends."""
        while True:
            closed, news = self.closed, self._news
            lines, position = self.read(position)
            if lines:
                yield lines
            if closed:
                return
            await news.wait()

    def tail(self, number: int) -> bytes:
        """Give the last lines as the process wrote them."""
        return b"".join(text_of(line) for line in self.read()[0][-number:])

    @property
    def _rotated(self) -> Path:
        return self.path.with_suffix(".1")

    def _announce(self) -> None:
        # Whoever waits holds this very event, so that none misses news that come while it reads.
        self._news.set()
        self._news = asyncio.Event()


class Lines:
    """Cuts what an output brings into lines."""

    def __init__(self, log: LogFile, stream: str) -> None:
        self._log = log
        self._stream = stream
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Write the lines that are whole by now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        if lines:
            self._log.write(self._stream, lines)

    def end(self) -> None:
        """Write the last line, also without its end."""
        if self._rest:
            self._log.write(self._stream, [self._rest])


async def read(
    log: LogFile, *, follow: bool, tail_lines: int | None, since: datetime | None, timestamps: bool, limit_bytes: int | None
) -> AsyncIterator[bytes]:
    """Give a log as `kubectl logs` asks for it, in chunks of whole lines; only `limit_bytes` cuts one."""
    sent = 0
    async for chunk in _chunks(log, follow=follow, tail_lines=tail_lines, since=since):
        data = b"".join(_shown(line, timestamps=timestamps) for line in chunk)
        if limit_bytes is not None:
            data = data[: limit_bytes - sent]
        sent += len(data)
        if data:
            yield data
        if limit_bytes is not None and sent >= limit_bytes:
            return


async def _chunks(log: LogFile, *, follow: bool, tail_lines: int | None, since: datetime | None) -> AsyncIterator[list[bytes]]:
    stored, position = log.read()
    if since is not None:
        stored = [line for line in stored if time_of(line) >= since]
    if tail_lines is not None:
        stored = stored[-tail_lines:] if tail_lines else []
    for start in range(0, len(stored), _CHUNK_LINES):
        yield stored[start : start + _CHUNK_LINES]
    if follow:
        async for lines in log.follow(position):
            yield lines


def time_of(line: bytes) -> datetime:
    """Give a stored line's time."""
    return datetime.fromisoformat(line.split(b" ", 1)[0].decode())


def text_of(line: bytes) -> bytes:
    """Give a stored line as the process wrote it."""
    return line.split(b" ", 2)[2]


def _shown(line: bytes, *, timestamps: bool) -> bytes:
    time, _, text = line.split(b" ", 2)
    return time + b" " + text if timestamps else text


def _lines_of(path: Path, offset: int) -> list[bytes]:
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(offset)
        return file.readlines()
