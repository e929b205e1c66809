"""The kinds of values in a service file: durations, ratios, selectors, names - each refused with a word on what is right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from runbook_lib.durations import parse_duration
from runbook_lib.errors import ConfigurationError, UsageError
from runbook_lib.service.reference import PathReference

__all__ = [
    "AbsolutePath",
    "Count",
    "Duration",
    "DurationOrAuto",
    "Fields",
    "FilePath",
    "HostAndPort",
    "KubernetesName",
    "Name",
    "Ratio",
    "Seconds",
    "Selector",
    "Severity",
    "UrlPath",
    "require_unique",
]

_REQUIREMENT = re.compile(
    r"!?[A-Za-z0-9][\w./-]*"  # a key alone: it exists, or with `!` does not
    r"(?:\s*(?:==?|!=)\s*[\w.-]*|\s+(?:not)?in\s*\([\w.,\s-]+\))?"
)
_KUBERNETES_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


def _duration(text: str) -> str:
    try:
        parse_duration(text)
    except UsageError as error:
        raise ValueError("must be a duration longer than zero, such as 90s, 30m or 1h30m") from error
    return text


def _duration_or_auto(text: str) -> str:
    return text if text == "auto" else _duration(text)


def _selector(text: str) -> str:
    # Commas also stand inside `in (a,b)`, so that only those outside of brackets part the requirements.
    requirements = re.split(r",(?![^(]*\))", text)
    if not all(_REQUIREMENT.fullmatch(requirement.strip()) for requirement in requirements):
        raise ValueError("must be a label selector, such as app=orders or app=orders,tier in (web,api)")
    return text


def _kubernetes_name(text: str) -> str:
    if not _KUBERNETES_NAME.fullmatch(text):
        raise ValueError("must be the name of a Kubernetes object: lower-case letters, digits and -, such as orders")
    return text


def _absolute_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("must be a path that starts with /, such as /health")
    return text


def _file_path(text: str, info: ValidationInfo) -> str:
    try:
        return PathReference(text, base=(info.context or {}).get("base")).resolve()
    except ConfigurationError as error:
        raise ValueError(f"must be the path of a file: {error}") from error


def _host_and_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("must be a host and a port, as a pod of the service connects to it, such as postgres:5432")
    return text


def require_unique(names: Sequence[str], what: str) -> None:
    """Refuse a list that has a name twice; `what` says what it lists."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"must name each {what} once; found {', '.join(repeated)} more than once")


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Duration = Annotated[str, AfterValidator(_duration)]
DurationOrAuto = Annotated[str, AfterValidator(_duration_or_auto)]
Selector = Annotated[str, AfterValidator(_selector)]
KubernetesName = Annotated[str, AfterValidator(_kubernetes_name)]
UrlPath = Annotated[str, AfterValidator(_absolute_path)]
AbsolutePath = Annotated[str, AfterValidator(_absolute_path)]
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
FilePath = Annotated[str, AfterValidator(_file_path)]
Name = Annotated[str, Field(min_length=1)]
Severity = Literal["SEV-1", "SEV-2", "SEV-3", "SEV-4"]


class Fields(BaseModel):
    """A part of a service file: frozen, unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)
