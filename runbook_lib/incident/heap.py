"""Reading the heap dumps of an incident: checks run when it opens, and dumps are taken later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runbook_lib.analysis.heap import READERS, growth_between
from runbook_lib.analysis.heap.own import is_own
from runbook_lib.errors import HeapDumpUnreadable, UsageError
from runbook_lib.models.figure import BarFigure
from runbook_lib.models.finding import Finding, FindingStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.heap import SUFFIXES, HeapContent, HeapDump, HeapFormat
from runbook_lib.models.units import written

__all__ = ["DUMP_COLUMNS", "HeapExplorer"]

DUMP_COLUMNS = ("taken_at", "pod", "format", "bytes", "file")

_PIECE_BYTES = 1024 * 1024
_BARS = 12
_ROWS = 200
_LONGEST_LABEL = 32
_TAKE = "incident.resolve.take_heap_dump()"
_TITLES = {"heap_contents": "What the heap holds", "heap_growth": "What grew in the heap"}
_TOOLS: dict[HeapFormat, str] = {
    "heapsnapshot": "open {file} in Chrome: DevTools, Memory, Load profile; it shows who keeps what",
    "hprof": "open {file} in Eclipse MAT: its dominator tree shows who keeps what",
    "class_histogram": "less {file}",
    "allocations": "jq '.sites[:20]' {file}",
}


@dataclass(frozen=True, slots=True)
class _Dump:
    """A dump and where its file lies. `known`: what was written down when it was taken; None for a file from elsewhere."""

    path: Path
    format: HeapFormat
    known: HeapDump | None

    @property
    def name(self) -> str:
        return f"the heap of {self.known.pod}" if self.known is not None else self.path.name


@dataclass(frozen=True, kw_only=True)
class HeapExplorer:
    """The heap dumps that were taken in this incident, and any other file of theirs.

    Every answer is a finding, kept like that of a check. A dump is read once, piece by piece; its own bytes stay where they are.
    """

    directory: Path
    keep: Callable[[Finding], None]
    _read: dict[Path, HeapContent] = field(default_factory=dict, init=False)

    def dumps(self) -> Frame:
        """The dumps of this incident, oldest first. Columns: taken_at, pod, format, bytes, file."""
        rows = [(one.taken_at, one.pod, one.format, one.bytes, str(self._path(one))) for one in self._taken()]
        return frame(rows, columns=list(DUMP_COLUMNS), source="heap dump", command=f"ls -l {self.directory}")

    def largest(self, dump: str | Path | None = None) -> Finding:
        """What takes most memory in the last dump, or in the file `dump`: by type, or for Python by line of code."""
        chosen = [self._file(dump)] if dump is not None else [self._dump(one) for one in self._taken()[-1:]]
        if not chosen:
            return self._nothing("heap_contents", f"No heap dump was taken in this incident: take one first, {_TAKE}.")
        try:
            content = self._content(chosen[0])
        except HeapDumpUnreadable as error:
            return self._unreadable("heap_contents", chosen[0], error)
        return self._kept(_contents(chosen[0], content))

    def growth(self, before: str | Path | None = None, after: str | Path | None = None) -> Finding:
        """What grew between the last two dumps of one pod, or between two files: what leaks goes on growing."""
        if (before is None) != (after is None):
            raise UsageError("growth compares two dumps: give both of them, or none for the last two of one pod")
        pair = [self._file(before), self._file(after)] if before is not None and after is not None else self._last_two()
        if len(pair) < 2:
            there = f"There is one dump of {pair[0].name.removeprefix('the heap of ')}" if pair else "There is no dump"
            return self._nothing(
                "heap_growth", f"{there}: growth shows with another of the same pod, some minutes later, {_TAKE}."
            )
        for one in pair:
            try:
                self._content(one)
            except HeapDumpUnreadable as error:
                return self._unreadable("heap_growth", one, error)
        return self._kept(_growth(pair[0], pair[1], self._content(pair[0]), self._content(pair[1])))

    def _taken(self) -> list[HeapDump]:
        """What was written down of each dump. What cannot be understood is passed over: its dump can be named by its path."""
        found = []
        for path in sorted(self.directory.glob("*.json")) if self.directory.is_dir() else ():
            try:
                found.append(HeapDump.model_validate_json(path.read_bytes()))
            except (ValidationError, OSError):
                continue
        return sorted((one for one in found if self._path(one).is_file()), key=lambda one: one.taken_at)

    def _last_two(self) -> list[_Dump]:
        """The last dump, after the one before it that can be compared with it; only the last when there is none."""
        taken = self._taken()
        if not taken:
            return []
        last = taken[-1]
        same = [one for one in taken if (one.pod, one.container, one.format) == (last.pod, last.container, last.format)]
        return [self._dump(one) for one in same[-2:]]

    def _path(self, dump: HeapDump) -> Path:
        return self.directory / dump.file

    def _dump(self, known: HeapDump) -> _Dump:
        return _Dump(self._path(known), known.format, known)

    def _file(self, path: str | Path) -> _Dump:
        """A file by its path, or by its name in the folder of dumps. Raises UsageError when there is none of a known format."""
        named = Path(path).expanduser()
        file = named if named.is_absolute() or named.exists() else self.directory / named
        known = next((one for one in self._taken() if self._path(one) == file), None)
        if known is not None:
            return self._dump(known)
        kind = next((kind for kind, suffix in SUFFIXES.items() if file.name.endswith(suffix)), None)
        if kind is None or not file.is_file():
            raise UsageError(
                f"a heap dump was expected, a file whose name ends in {', '.join(SUFFIXES.values())}; found {str(path)!r}"
            )
        return _Dump(file, kind, None)

    def _content(self, dump: _Dump) -> HeapContent:
        if dump.path not in self._read:
            try:
                self._read[dump.path] = READERS[dump.format](_pieces(dump.path))
            except OSError as error:
                raise HeapDumpUnreadable(f"{dump.path} cannot be read: {error.strerror or error}") from error
        return self._read[dump.path]

    def _nothing(self, name: str, text: str) -> Finding:
        return self._kept(Finding(name=name, title=_TITLES[name], summary=text, status=FindingStatus.INFO))

    def _unreadable(self, name: str, dump: _Dump, error: HeapDumpUnreadable) -> Finding:
        text = f"{dump.path.name} cannot be read: {error}."
        return self._kept(Finding(name=name, title=_TITLES[name], summary=text, status=FindingStatus.UNKNOWN))

    def _kept(self, finding: Finding) -> Finding:
        self.keep(finding)
        return finding


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _contents(dump: _Dump, content: HeapContent) -> Finding:
    table = content.table
    if table.empty:
        summary = f"{dump.name[:1].upper()}{dump.name[1:]} shows nothing: no {content.counted} are in it."
        return Finding(
            name="heap_contents",
            title=_TITLES["heap_contents"],
            summary=summary,
            status=FindingStatus.UNKNOWN,
            notes=content.notes,
        )
    first, own = table.iloc[0], _first_own(table, content)
    size = written(float(content.total_bytes), "bytes")
    share = first["bytes"] / content.total_bytes if content.total_bytes else 0.0
    summary = (
        f"{dump.name[:1].upper()}{dump.name[1:]} holds {size}, most of it {first['name']}: "
        f"{written(float(first['bytes']), 'bytes')} ({share:.0%}) in {first['count']:,}"
    )
    if own is not None and own["name"] != first["name"]:
        summary += (
            f"; of the service's own {content.counted} {own['name']}, {written(float(own['bytes']), 'bytes')} in {own['count']:,}"
        )
    return Finding(
        name="heap_contents",
        title=_TITLES["heap_contents"],
        summary=f"{summary}.",
        status=FindingStatus.INFO,
        command=_TOOLS[dump.format].format(file=dump.path),
        tables=((f"By {content.counted}", Frame(table.head(_ROWS))),),
        figure=_bars(f"{first['name']} takes most: {written(float(first['bytes']), 'bytes')} of {size}", table, "bytes"),
        notes=content.notes,
    )


def _growth(before: _Dump, after: _Dump, earlier: HeapContent, later: HeapContent) -> Finding:
    table = growth_between(earlier, later)
    grown = Frame(table[table["grown_bytes"] > 0])
    span = _span(before, after)
    total = later.total_bytes - earlier.total_bytes
    change = f"in all {'+' if total >= 0 else '-'}{written(float(abs(total)), 'bytes')}"
    notes = [*_comparable(before, after), *dict.fromkeys((*earlier.notes, *later.notes))]
    if grown.empty:
        summary = f"Nothing grew{span} in {after.name}; {change}."
        return Finding(
            name="heap_growth", title=_TITLES["heap_growth"], summary=summary, status=FindingStatus.INFO, notes=tuple(notes)
        )
    first, own = grown.iloc[0], _first_own(grown, later)
    most = f"Most grew: {first['name']}, +{written(float(first['grown_bytes']), 'bytes')}{span}"
    summary = f"{most} ({int(first['grown_count']):+,})"
    if own is not None and own["name"] != first["name"]:
        summary += (
            f"; of the service's own {later.counted} {own['name']}, +{written(float(own['grown_bytes']), 'bytes')} "
            f"({int(own['grown_count']):+,})"
        )
    return Finding(
        name="heap_growth",
        title=_TITLES["heap_growth"],
        summary=f"{summary}; {change}.",
        status=FindingStatus.INFO,
        command=_TOOLS[after.format].format(file=after.path),
        tables=((f"Growth by {later.counted}", Frame(table.head(_ROWS))),),
        figure=_bars(most, grown, "grown_bytes"),
        notes=tuple(notes),
    )


def _first_own(table: Frame, content: HeapContent) -> dict[str, Any] | None:
    for row in table.head(_ROWS).to_dict("records"):
        if is_own(str(row["name"]), content.counted):
            return {str(key): value for key, value in row.items()}
    return None


def _span(before: _Dump, after: _Dump) -> str:
    if before.known is None or after.known is None:
        return ""
    return f" in {(after.known.taken_at - before.known.taken_at).total_seconds():.0f} s"


def _comparable(before: _Dump, after: _Dump) -> Sequence[str]:
    if before.known is None or after.known is None or before.known.process == after.known.process:
        return ()
    return ("The process was started again between the two dumps: two processes are compared here, and not the growth of one.",)


def _bars(title: str, table: Frame, column: str) -> BarFigure:
    top = table.head(_BARS)
    data = {"category": [_tail(str(name)) for name in top["name"]], "value": [float(value) for value in top[column]]}
    return BarFigure(title=title, unit="bytes", frame=frame(data, unit="bytes", source="heap dump"))


def _tail(name: str) -> str:
    """The end of a long name says most: the class after its packages, the line after its directories."""
    return name if len(name) <= _LONGEST_LABEL else f"...{name[-_LONGEST_LABEL:]}"
