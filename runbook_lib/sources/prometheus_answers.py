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

__all__ = ["Answer", "Series", "decode", "to_frame"]

_NAME = "prometheus"
_SAMPLES, _END, _METRIC = b'"values":[[', b"]]", b'{"metric":'
_NOT_NUMBERS = b'[]"'


@dataclass(frozen=True, slots=True)
class Series:
    """One series: labels, times (seconds since 1970) and values, both float64 arrays of the same length."""

    labels: Mapping[str, str]
    times: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answer:
    """A decoded answer, and what Prometheus warned of."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()


def decode(body: bytes) -> Answer:
    """Read the answer to an instant or range query. Raises SourceAnswerInvalid for anything else."""
    quick = _decode_samples(body)
    return quick if quick is not None else _decode_json(body)


def _decode_samples(body: bytes) -> Answer | None:
    """The quick way; None when the text is not laid out as Prometheus itself does it.

    A label cannot imitate the marks: its quotes are escaped.
    """
    parts = body.split(_SAMPLES)
    if len(parts) < 2:
        return None
    try:
        series, before = [], parts[0]
        for part in parts[1:]:
            numbers, end, after = part.partition(_END)
            if not end:
                return None
            samples = np.fromstring(numbers.translate(None, _NOT_NUMBERS).decode("ascii"), sep=",").reshape(-1, 2)
            labels = json.loads(before[before.rindex(_METRIC) + len(_METRIC) :].rstrip(b", \n"))
            series.append(Series(labels, samples[:, 0], samples[:, 1]))
            before = after
        shell = json.loads(parts[0][: parts[0].index(_METRIC)] + before.lstrip(b"}"))
        return Answer(tuple(series), _warnings(shell))
    except (ValueError, UnicodeDecodeError):
        return None


def _decode_json(body: bytes) -> Answer:
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise SourceAnswerInvalid(_NAME, f"the answer is not JSON but {_beginning(body)}") from error
    if not isinstance(answer, dict) or answer.get("status") != "success":
        said = answer.get("error") if isinstance(answer, dict) else None
        raise SourceAnswerInvalid(_NAME, f"the answer is not a success: {said or _beginning(body)}")
    try:
        return Answer(tuple(_series(answer["data"])), _warnings(answer))
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


def _of_samples(labels: Mapping[str, str], samples: Sequence[Sequence[Any]]) -> Series:
    numbers = np.array([(float(time), float(value)) for time, value in samples], dtype=np.float64).reshape(-1, 2)
    return Series(labels, numbers[:, 0], numbers[:, 1])


def _warnings(answer: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(text) for key in ("warnings", "infos") for text in answer.get(key) or ())


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
    built.attrs["notes"] = list(answer.warnings)
    return built


def _times(series: Sequence[Series]) -> pd.DatetimeIndex:
    seconds = np.concatenate([one.times for one in series]) if series else np.empty(0)
    return pd.DatetimeIndex((seconds * 1000).round().astype("int64").view("datetime64[ms]")).tz_localize("UTC")
