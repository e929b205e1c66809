"""From Prometheus' JSON to tidy frames.

A range answer is mostly numbers. Decoding them as JSON makes an object of each, and takes as long as Prometheus took to find
them; so the sample lists are cut out of the text and read by numpy, and only the labels are decoded as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from runbook_lib.errors import SourceAnswerInvalid
from runbook_lib.models.frame import Frame, frame

__all__ = ["Answer", "AnswerReader", "Series", "decode", "decode_names", "to_frame"]

_NAME = "prometheus"
_SAMPLES, _END, _METRIC = b'"values":[[', b"]]", b'{"metric":'
_NOT_NUMBERS = b'[]"'
_OF_THE_QUERY = ("PromQL warning", "PromQL info")
_PIECE_BYTES = 2**19  # some ten series of a day, minute by minute


@dataclass(frozen=True, slots=True)
class Series:
    """One series: labels, times (seconds since 1970) and values, both float64 arrays of the same length."""

    labels: Mapping[str, str]
    times: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answer:
    """A decoded answer, and what Prometheus warned of. `missing`: the warnings that it did not reach all that it asks itself."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class AnswerReader:
    """Reads the answer to an instant or range query while it comes in: Prometheus takes longer to write than we take to read.

    A label cannot imitate the marks by which series are found: its quotes are escaped. What is not laid out as Prometheus itself
    does it is read as JSON, at the end.
    """

    def __init__(self) -> None:
        self._series: list[Series] = []
        self._read = 0  # so many bytes have been read
        self._seen = 0
        self._usual = True

    def more(self, body: bytes | bytearray) -> None:
        """Take the series that are complete in what has come in so far, but not at every few bytes: that would cost more than it
        gains."""
        if len(body) - self._seen >= _PIECE_BYTES:
            self._take(body)

    def _take(self, body: bytes | bytearray) -> None:
        self._seen = len(body)
        while self._usual and (found := self._next(body)) is not None:
            self._series.append(found)

    def answer(self, body: bytes | bytearray) -> Answer:
        """The answer, now that all has come in. Raises SourceAnswerInvalid when it is none."""
        self._take(body)
        rest = _shell(body, self._read) if self._usual and self._series else None
        return _decode_json(bytes(body)) if rest is None else Answer(tuple(self._series), _warnings(rest), missing(rest))

    def _next(self, body: bytes | bytearray) -> Series | None:
        begin = body.find(_SAMPLES, self._read)
        end = body.find(_END, begin) if begin >= 0 else -1
        if end < 0:
            return None
        try:
            samples = _numbers(body[begin + len(_SAMPLES) : end])
            labels = json.loads(body[body.rindex(_METRIC, self._read, begin) + len(_METRIC) : begin].rstrip(b", \n"))
        except ValueError:
            self._usual = False
            return None
        self._read = end + len(_END)
        return Series(labels, samples[:, 0], samples[:, 1])


def decode(body: bytes) -> Answer:
    """Read a whole answer. Raises SourceAnswerInvalid when it is none."""
    return AnswerReader().answer(body)


def decode_names(body: bytes) -> tuple[list[str], tuple[str, ...]]:
    """Read a list of names, and what it may lack (see `missing`). Raises SourceAnswerInvalid when it is none."""
    answer = _success(body)
    names = answer.get("data")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SourceAnswerInvalid(_NAME, "something else than Prometheus answers: a list of names was expected")
    return names, missing(answer)


def _numbers(text: bytes | bytearray) -> npt.NDArray[np.float64]:
    """Samples as rows of time and value. Raises ValueError for anything else than numbers."""
    plain = text.translate(None, _NOT_NUMBERS)
    numbers = np.fromstring(plain.decode("ascii"), sep=",")
    if numbers.size != plain.count(b",") + 1:  # older numpy warns of what is no number, and leaves the rest out
        raise ValueError("not all of it is numbers")
    return numbers.reshape(-1, 2)


def _shell(body: bytes | bytearray, read: int) -> Mapping[str, Any] | None:
    """What stands around the series; None when that is not a whole answer."""
    try:
        shell = json.loads(body[: body.index(_METRIC)] + body[read:].lstrip(b"}"))
    except ValueError:
        return None
    return shell if isinstance(shell, dict) and shell.get("status") == "success" else None


def _success(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise SourceAnswerInvalid(_NAME, f"the answer is not JSON but {_beginning(body)}") from error
    if not isinstance(answer, dict) or answer.get("status") != "success":
        said = answer.get("error") if isinstance(answer, dict) else None
        raise SourceAnswerInvalid(_NAME, f"the answer is not a success: {said or _beginning(body)}")
    return answer


def _decode_json(body: bytes) -> Answer:
    answer = _success(body)
    try:
        return Answer(tuple(_series(answer["data"])), (*_warnings(answer), *_native(answer["data"])), missing(answer))
    except (KeyError, TypeError, ValueError) as error:
        raise SourceAnswerInvalid(_NAME, f"the answer has another shape than a query's: {_beginning(body)}") from error


def _series(data: Mapping[str, Any]) -> list[Series]:
    kind, result = data["resultType"], data["result"]
    if kind in ("scalar", "string"):
        return [_of_samples({}, [result])] if kind == "scalar" else []
    return [
        _of_samples(one["metric"], one["values"] if "values" in one else [one["value"]])
        for one in result
        if "values" in one or "value" in one  # a native histogram has neither: it is no number
    ]


def _native(data: Mapping[str, Any]) -> list[str]:
    """A word on series that are no numbers."""
    count = sum("histogram" in one or "histograms" in one for one in data["result"] if isinstance(one, dict))
    return [f"{count} native histogram(s) left out: take numbers of them, as by histogram_quantile"] if count else []


def _of_samples(labels: Mapping[str, str], samples: Sequence[Sequence[Any]]) -> Series:
    numbers = np.array([(float(time), float(value)) for time, value in samples], dtype=np.float64).reshape(-1, 2)
    return Series(labels, numbers[:, 0], numbers[:, 1])


def _warnings(answer: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(text) for key in ("warnings", "infos") for text in answer.get(key) or ())


def missing(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """The warnings of Thanos and Mimir that a store did not answer. Prometheus' own word on the query says nothing of that."""
    return tuple(str(text) for text in answer.get("warnings") or () if not str(text).startswith(_OF_THE_QUERY))


def _beginning(body: bytes) -> str:
    text = body[:80].decode("utf-8", errors="replace").strip()
    return repr(text) if text else "empty"


def to_frame(answer: Answer, *, query: str, command: str) -> Frame:
    """Columns: time, one per label, value. A label that is called like one of ours gets `label_` before its name."""
    lengths = np.array([len(one.times) for one in answer.series], dtype=np.intp)
    which = np.repeat(np.arange(len(answer.series)), lengths)
    labels = sorted({label for one in answer.series for label in one.labels})
    columns: dict[str, Any] = {"time": _times(answer.series)}
    for label in labels:
        each = pd.array([one.labels.get(label) for one in answer.series], dtype="str")
        columns[f"label_{label}" if label in ("time", "value") else label] = each.take(which)
    columns["value"] = np.concatenate([one.values for one in answer.series]) if answer.series else np.empty(0)
    built = frame(columns, source=_NAME, query=query, command=command)
    built.attrs |= {"notes": list(answer.warnings), "unanswered": list(answer.missing)}
    return built


def _times(series: Sequence[Series]) -> pd.DatetimeIndex:
    seconds = np.concatenate([one.times for one in series]) if series else np.empty(0)
    return pd.DatetimeIndex((seconds * 1000).round().astype("int64").view("datetime64[ms]")).tz_localize("UTC")
