"""Lines of a container's log as records: time, level, message and fields, with stack traces joined to what they belong to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from runbook_lib.service.models import LogFormat
from runbook_lib.sources.tables import instant

__all__ = ["Record", "records"]

_MAXIMUM_TRACE_LINES = 200
_MAXIMUM_MESSAGE = 16_000  # characters
_PARTIAL_BYTES = 16 * 1024  # at which container runtimes cut a line
_NEAR = timedelta(minutes=10)
_SOON = timedelta(seconds=2)

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?")
_CRI = re.compile(rb"(?:stdout|stderr) ([FP])(?::\S*)? ?")
_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_LEVEL_NAMES = {
    "warn": "warning", "wrn": "warning", "err": "error", "crit": "critical", "emergency": "emerg", "panic": "fatal",
    "dpanic": "fatal", "ftl": "fatal", "information": "info", "inf": "info", "dbg": "debug", "fine": "debug", "trc": "trace",
    "10": "trace", "20": "debug", "30": "info", "40": "warning", "50": "error", "60": "fatal",
}  # fmt: skip
_KLOG_LEVELS = {"I": "info", "W": "warning", "E": "error", "F": "fatal"}

_KLOG = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ ")
_KEY_LEVEL = re.compile(r"\b(?:level|lvl|severity)=\"?([A-Za-z]+)", re.IGNORECASE)
_WORDS = "TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|ERR|CRIT(?:ICAL)?|FATAL|SEVERE|ALERT|EMERG(?:ENCY)?|PANIC"
_WORD_LEVEL = re.compile(rf"(?<![\w/.=-])({_WORDS})(?![\w/=-])")
_SMALL_LEVEL = re.compile(rf"[\[(<]({_WORDS})[\])>]", re.IGNORECASE)
_LEVEL_WITHIN = 120  # characters: further back a word in capitals is part of the message

_HEAD = re.compile(
    r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d|\[?\d\d:\d\d:\d\d|[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d|[IWEF]\d{4} \d\d:|"
    r"(?:time|ts|level)=|\d{1,3}(?:\.\d{1,3}){3} \S+ \S+ \["
)
_EXCEPTION_NAME = re.compile(r"(?:[\w$]+\.)*[A-Z][\w$]*(?:Exception|Error|Throwable|Exit|Interrupt|Warning)\b(?::|$)")
_CONTINUES = re.compile(
    r"\s+\S|Caused by: |Suppressed: |\.\.\. \d+ (?:more|common frames)|goroutine \d+ \[|created by |exit status \d|[\])}]+[,;]?$|"
    r"\[signal "
)
_TRACEBACK = "Traceback (most recent call last):"
_TRACE_BEGINS = re.compile(rf"{re.escape(_TRACEBACK)}|Exception in thread |Unhandled exception|panic: |fatal error: |Uncaught ")
_KEY_BEGIN, _KEY_END = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "-----END "
_KEY_LINE = re.compile(r"[A-Za-z0-9+/]+={0,2}|-----END [A-Z ]*PRIVATE KEY-----|(?:Proc-Type|DEK-Info): .*")
_HARMLESS = ("", "trace", "debug", "info", "notice")


@dataclass(slots=True)
class Record:
    """One record. `level` is lower case, empty when the line has none; `fields` are those of a JSON line."""

    time: datetime
    level: str
    message: str
    fields: dict[str, Any] | None
    seen: datetime = field(repr=False)  # the kubelet's time of its last line
    lines: int = field(default=1, repr=False)


def records(lines: Iterable[bytes], log_format: LogFormat) -> list[Record]:
    """Read the lines of one container as the kubelet gives them with `timestamps=true`.

    A line without the kubelet's time belongs to the one before. JSON lines and text may alternate. The time is the application's
    own when it has one with an offset near the kubelet's, else the kubelet's: a clock or a zone that is off must not reorder.
    """
    built: list[Record] = []
    for time, text in _texts(lines):
        parsed = _from_json(time, text, log_format)
        if parsed is not None:
            built.append(parsed)
        elif not (built and _join(built[-1], time, text)) and text.strip():
            built.append(_from_text(time, text))
    for record in built:
        record.message = record.message[:_MAXIMUM_MESSAGE].rstrip()
    return built


def _texts(lines: Iterable[bytes]) -> Iterator[tuple[datetime, str]]:
    """The kubelet's time and the text of each line, partial lines joined, colours and control characters taken out."""
    time: datetime | None = None
    waiting = b""
    for line in lines:
        stamp = _STAMP.match(line)
        if stamp is not None:
            time = instant(stamp[1].decode()) or time
            line = line[stamp.end() :]
        if time is None:
            continue
        tag = _CRI.match(line)
        if tag is not None:
            line = line[tag.end() :]
        waiting += _without_inner_stamps(line)
        if tag is not None and tag[1] == b"P":
            continue
        text = waiting.decode("utf-8", "replace").rstrip("\r\n")
        waiting = b""
        yield time, text if text.isprintable() else _plain(text)


def _plain(text: str) -> str:
    """Without colours and control characters; of a progress line that overwrote itself, what was left standing."""
    return _CONTROLS.sub("", _COLOURS.sub("", text).rpartition("\r")[2])


def _without_inner_stamps(line: bytes) -> bytes:
    """Older kubelets put their time in front of every 16 KiB of a long line, in its midst."""
    at = _PARTIAL_BYTES
    while at < len(line) and (stamp := _STAMP.match(line, at)):
        line = line[:at] + line[stamp.end() :]
        at += _PARTIAL_BYTES
    return line


def _from_json(time: datetime, text: str, log_format: LogFormat) -> Record | None:
    stripped = text.strip()
    if not stripped.startswith("{"):
        return None
    try:
        fields = json.loads(stripped)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    message = _first(fields, log_format.message_fields)
    own = _own_time(_first(fields, log_format.time_fields), near=time)
    return Record(
        time=own or time,
        level=_level_name(_first(fields, log_format.level_fields)),
        message=message if isinstance(message, str) else stripped if message is None else json.dumps(message),
        fields=fields,
        seen=time,
    )


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of these fields that is there; a dotted name is also looked for as nested objects (`log.level`)."""
    for name in names:
        value: Any = fields.get(name)
        if value is None and "." in name:
            value = fields
            for part in name.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None and value != "" and not isinstance(value, Mapping):
            return value
    return None


def _own_time(value: Any, *, near: datetime) -> datetime | None:
    """The application's time, from ISO 8601 with an offset or from an epoch in s, ms, µs or ns."""
    own: datetime | None = None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        seconds = float(value)
        while seconds > 1e11:
            seconds /= 1000
        own = datetime.fromtimestamp(seconds, UTC)
    elif isinstance(value, str):
        own = _with_offset(value.strip().replace(",", "."))
    return own if own is not None and abs(own - near) <= _NEAR else None


def _with_offset(text: str) -> datetime | None:
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read.astimezone(UTC) if read.tzinfo is not None else None


def _from_text(time: datetime, text: str) -> Record:
    klog = _KLOG.match(text)
    begin = text[:_LEVEL_WITHIN]
    found = _KEY_LEVEL.search(begin) or _WORD_LEVEL.search(begin) or _SMALL_LEVEL.search(begin)
    level = _KLOG_LEVELS[klog[1]] if klog else _level_name(found[1]) if found else ""
    if not level and _TRACE_BEGINS.match(text):
        level = "error"
    own = _own_time(text.split(" ", 1)[0].strip("[]"), near=time)
    return Record(time=own or time, level=level, message=text, fields=None, seen=time)


def _level_name(value: Any) -> str:
    text = str(value).strip().lower() if value is not None else ""
    return _LEVEL_NAMES.get(text, text)


def _join(record: Record, time: datetime, text: str) -> bool:
    """Add a line to the record before it when it is the next line of its stack trace or of its text; say whether it was."""
    if time - record.seen > _SOON or not _continues(record, text):
        return False
    if record.lines < _MAXIMUM_TRACE_LINES:
        record.message += f"\n{text}"
    record.lines += 1
    record.seen = time
    return True


def _continues(record: Record, text: str) -> bool:
    if record.fields is not None or _HEAD.match(text):
        return False
    if not text.strip() or _CONTINUES.match(text) or _within_key(record, text):
        return True
    # A trace or an exception of its own must not hide behind the harmless line that happened to be written before it.
    in_trace = _TRACEBACK in record.message
    if text.startswith((_TRACEBACK, "The above exception was", "During handling of")):
        return in_trace or record.level not in _HARMLESS
    if _EXCEPTION_NAME.match(text):
        last = record.message.rpartition("\n")[2]
        return (in_trace and last.startswith(" ")) or (not in_trace and record.level not in _HARMLESS)
    return False


def _within_key(record: Record, text: str) -> bool:
    """A private key that was logged line by line stays in one record: by itself none of its lines looks like a secret."""
    begun = [*_KEY_BEGIN.finditer(record.message)]
    return bool(begun and _KEY_END not in record.message[begun[-1].end() :] and _KEY_LINE.fullmatch(text.strip()))
