"""Fetching a file out of a container with what there is in it: no `tar`, as `kubectl cp` needs, no more than `cat` and a shell.

Nothing is held in memory, a broken connection is taken up where it broke, and what is not whole and verified has another name.
"""

from __future__ import annotations

import base64
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runbook_lib.actions.container import Container
from runbook_lib.actions.heap.checksum import Checksums
from runbook_lib.errors import ActionFailed, SourceAnswerInvalid, SourceError, SourceRefused
from runbook_lib.models.units import written

__all__ = ["Fetch", "Fetched"]

_IDLE_SECONDS = 30.0
_DIGEST_SECONDS = 300.0  # silent while it reads the whole file
_TRIES = 5  # without a byte more than before
_BLOCK = 64 * 1024
_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is here now, as it is there. `verified`: by what; by its size alone where the container has no tool."""

    path: Path
    bytes: int
    sha256: str
    verified: str


@dataclass(frozen=True, slots=True)
class _Original:
    """The file in the container: its size, and its checksum by one of the tools there (empty: by none)."""

    bytes: int
    tool: str
    checksum: str


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """One file to be fetched. most_bytes: a larger one is not. clock and sleep are in seconds; tools: what the container has."""

    container: Container
    file: str
    tools: Mapping[str, str]
    most_bytes: int
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    progress: Callable[[str], None]

    def to(self, target: Path) -> Fetched:
        """Fetch it to this path, with permissions for its owner only. Raises ActionFailed; nothing of this name is left then."""
        part = target.with_name(f"{target.name}.part")
        try:
            original = self._original()
            fetched = self._whole(original, part)
            part.replace(target)
        except OSError as error:
            raise ActionFailed(f"fetch {self.file}: {target.parent} cannot be written: {error.strerror or error}") from error
        except SourceError as error:
            raise ActionFailed(f"fetch {self.file}: {error.reason}") from error
        finally:
            part.unlink(missing_ok=True)
        return Fetched(target, original.bytes, fetched.of("sha256sum"), _verified(original))

    def _original(self) -> _Original:
        tool = next((name for name in ("sha256sum", "md5sum", "cksum") if name in self.tools), "")
        commands = f"wc -c <{shlex.quote(self.file)}" + (f" && {tool} <{shlex.quote(self.file)}" if tool else "")
        ran = self.container.run(["sh", "-c", commands], seconds=_DIGEST_SECONDS)
        words = ran.out.split()
        if ran.code or not words or not words[0].isdigit():
            raise ActionFailed(f"fetch {self.file}: its size cannot be read: {ran.error or ran.out or 'no answer'}")
        size = int(words[0])
        if size > self.most_bytes:
            most = written(self.most_bytes, "bytes")
            raise ActionFailed(f"fetch {self.file}: it has {written(size, 'bytes')}; no more than {most} were agreed to")
        return _Original(size, tool if len(words) > 1 else "", words[1] if len(words) > 1 else "")

    def _whole(self, original: _Original, part: Path) -> Checksums:
        """Fetch all of it; once more, and encoded, when what arrived is not what was sent."""
        for ways in (_ways(self.tools), [way for way in _ways(self.tools) if way.decode is not None]):
            if not ways:
                continue
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as local:
                checksums = self._copied(original, ways, local.write)
                local.flush()
                os.fsync(descriptor)
            if not original.tool or checksums.of(original.tool) == original.checksum:
                return checksums
        raise ActionFailed(f"fetch {self.file}: what arrived is not what was sent, by its {original.tool}")

    def _copied(self, original: _Original, ways: list[_Way], write: Callable[[bytes], object]) -> Checksums:
        checksums, there, tries = Checksums(), 0, 0
        began = said = self.clock()
        while there < original.bytes:
            before = there
            try:
                for data in ways[0].read(self.container, self.file, there):
                    write(data)
                    checksums.update(data)
                    there += len(data)
                    if there > original.bytes:
                        raise ActionFailed(f"fetch {self.file}: it grew while it was read")
                    if self.clock() - said >= _EVERY_SECONDS:
                        said = self.clock()
                        self.progress(self._said(there, original.bytes, said - began))
                if there == before:
                    raise SourceAnswerInvalid("kubernetes", f"{self.file} ends after {there:,} of {original.bytes:,} bytes")
            except SourceRefused:
                raise
            except SourceError as error:
                tries = tries + 1 if there == before else 1
                # A tool that does not do what it does elsewhere gives way to the next one.
                if isinstance(error, SourceAnswerInvalid) and there == before and len(ways) > 1:
                    ways = ways[1:]
                elif tries >= _TRIES:
                    raise
                else:
                    self.progress(f"{error.reason}; going on after {written(there, 'bytes')}")
                    self.sleep(float(tries))
        return checksums

    def _said(self, there: int, size: int, seconds: float) -> str:
        rate = written(there / seconds, "bytes/s") if seconds > 0 else "unknown rate"
        return f"fetched {written(there, 'bytes')} of {written(size, 'bytes')} ({there / size:.0%}), {rate}"


@dataclass(frozen=True, slots=True)
class _Way:
    """A tool that reads the file.

    command: for the shell; {file}, {start} (counted from 1), {block} and {blocks} are replaced. decode: the bytes of its text;
    None where it prints them as they are. begins: where it begins when it is asked for a place.
    """

    tool: str
    command: str
    decode: Callable[[Iterable[bytes]], Iterator[bytes]] | None
    begins: Callable[[int], int]

    def read(self, container: Container, file: str, place: int) -> Iterator[bytes]:
        """The bytes of the file from this place on."""
        command = self.command.format(file=shlex.quote(file), start=place + 1, block=_BLOCK, blocks=place // _BLOCK)
        pieces: Iterable[bytes] = container.stream(["sh", "-c", command], idle_seconds=_IDLE_SECONDS)
        skipped = place - self.begins(place)
        for data in self.decode(pieces) if self.decode is not None else pieces:
            if kept := data[skipped:]:
                yield kept
            skipped = max(0, skipped - len(data))


def _base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        text = rest + piece.translate(None, b" \r\n\t")
        end = len(text) // 4 * 4
        yield _decoded(base64.b64decode, text[:end])
        rest = text[end:]
    yield _decoded(base64.b64decode, rest)


def _hexadecimal(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        text = rest + piece.translate(None, b" \r\n\t")
        end = len(text) // 2 * 2
        yield _decoded(lambda digits: bytes.fromhex(digits.decode("ascii")), text[:end])
        rest = text[end:]


def _decoded(decode: Callable[[bytes], bytes], text: bytes) -> bytes:
    try:
        return decode(text)
    except ValueError as error:
        raise SourceAnswerInvalid("kubernetes", f"what arrived cannot be decoded: {error}") from error


def _ways(tools: Mapping[str, str]) -> list[_Way]:
    """What there is, the best first. `cat` and the encodings begin anew after a broken connection: what was read is skipped."""
    every = [
        _Way("tail", "tail -c +{start} {file}", None, lambda place: place),
        _Way("dd", "dd if={file} bs={block} skip={blocks} 2>/dev/null", None, lambda place: place // _BLOCK * _BLOCK),
        _Way("cat", "cat {file}", None, lambda _: 0),
        _Way("base64", "base64 {file}", _base64, lambda _: 0),
        _Way("od", "od -An -v -tx1 {file}", _hexadecimal, lambda _: 0),
    ]
    there = [way for way in every if way.tool in tools]
    return there or [way for way in every if way.tool == "cat"]


def _verified(original: _Original) -> str:
    names = {"sha256sum": "SHA-256", "md5sum": "MD5", "cksum": "CRC"}
    return (
        f"by size and {names[original.tool]} at both ends"
        if original.tool
        else "by its size alone: the container has no checksum tool"
    )
