"""What a Kubernetes API server's refusals and failures mean, in words that name the mend."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from runbook_lib.deadline import DeadlineError
from runbook_lib.errors import (
    SourceAnswerInvalid,
    SourceError,
    SourceMissingObject,
    SourceRefused,
    SourceTimeout,
    SourceUnreachable,
)
from runbook_lib.importing import importing

__all__ = ["NAME", "Asked", "failed", "from_status", "not_kubernetes"]

NAME = "kubernetes"
_USER = re.compile(r'User "([^"]+)"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What was asked for, as RBAC knows it."""

    verb: str
    resource: str
    group: str = ""
    namespace: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        named = f"{self.resource}/{self.name}" if self.name else self.resource
        group = f".{self.group}" if self.group and not self.name else ""
        return f"{self.verb} {named}{group}" + (f" in namespace {self.namespace}" if self.namespace else "")


def from_status(status: int, body: bytes, *, asked: Asked, content_type: str = "") -> SourceError:
    """The error that an answer other than 2xx stands for."""
    message, reason, details = _status_of(body)
    if status == 401:
        return SourceRefused(NAME, "the cluster does not accept the credentials (HTTP 401); log in again, or renew the token")
    if status == 403:
        return SourceRefused(NAME, _forbidden(message, asked))
    if status == 404:
        return _missing(message, details, asked)
    if status == 504 or reason == "Timeout":
        return SourceTimeout(NAME, f"the API server gave up on {asked}: {message or 'HTTP 504'}")
    if status == 429:
        return SourceTimeout(NAME, f"the API server is overloaded and turned {asked} away (HTTP 429); try again in a moment")
    if status == 503:
        return SourceUnreachable(NAME, f"what serves {asked} is unavailable (HTTP 503): {message or 'no reason given'}")
    if 300 <= status < 400:
        return SourceAnswerInvalid(
            NAME, f"answered {asked} with a redirect (HTTP {status}): is a login page in front of the API?"
        )
    if not message:
        return not_kubernetes(body, asked=asked, content_type=content_type, status=status)
    return SourceAnswerInvalid(NAME, f"answered {asked} with HTTP {status}: {message}")


def not_kubernetes(body: bytes, *, asked: Asked, content_type: str, status: int = 200) -> SourceAnswerInvalid:
    """The error for an answer that no Kubernetes API server gives: a proxy's page, garbage, an object of another kind."""
    begin = " ".join(body[:200].decode("utf-8", "replace").split())[:80]
    kind = content_type.split(";")[0] or "no content type"
    return SourceAnswerInvalid(NAME, f"answered {asked} with HTTP {status} and no Kubernetes object ({kind}): {begin!r}")


def failed(error: BaseException, *, asked: Asked, seconds: float, server: str) -> SourceError:
    """The error that a broken connection or a passed deadline stands for."""
    with importing("urllib3"):
        from urllib3 import exceptions

    if isinstance(error, SourceError):
        return error
    if isinstance(error, exceptions.NewConnectionError):  # urllib3 takes it for a kind of timeout
        return SourceUnreachable(NAME, f"no connection to {server}: {_reason(error)}")
    if isinstance(error, exceptions.ConnectTimeoutError):
        return SourceUnreachable(NAME, f"no connection to {server} within {seconds:.3g} s; check the address, VPN and firewall")
    if isinstance(error, (DeadlineError, TimeoutError, exceptions.TimeoutError)):
        return SourceTimeout(NAME, f"no complete answer to {asked} within {seconds:.3g} s")
    if isinstance(error, exceptions.SSLError):
        return SourceUnreachable(
            NAME, f"no trusted connection to {server}: {_reason(error)}; check the cluster's CA in the kubeconfig"
        )
    if isinstance(error, exceptions.DecodeError) or "IncompleteRead" in str(error):
        return SourceAnswerInvalid(NAME, f"the answer to {asked} was cut off or damaged: {_reason(error)}")
    if isinstance(error, (exceptions.HTTPError, OSError)):
        return SourceUnreachable(NAME, f"no connection to {server}: {_reason(error)}")
    return SourceAnswerInvalid(NAME, f"the answer to {asked} cannot be understood: {type(error).__name__}: {error}")


def _status_of(body: bytes) -> tuple[str, str, dict[str, Any]]:
    """Message, reason and details of a Status object; empty for anything else."""
    try:
        status = json.loads(body)
    except ValueError:
        return "", "", {}
    if not isinstance(status, dict) or status.get("kind") != "Status":
        return "", "", {}
    return str(status.get("message") or ""), str(status.get("reason") or ""), status.get("details") or {}


def _forbidden(message: str, asked: Asked) -> str:
    user = _USER.search(message)
    who = f" as {user[1]}" if user else ""
    group = f" of API group {asked.group}" if asked.group else ""
    where = f" in namespace {asked.namespace}" if asked.namespace else ""
    named = f" {asked.name}" if asked.name else ""
    text = f"cannot {asked.verb} {asked.resource}{named}{where}{who}; needs verb {asked.verb} on {asked.resource}{group}"
    return text if message else f"{text} (HTTP 403 without a reason: it may come from a proxy)"


def _missing(message: str, details: dict[str, Any], asked: Asked) -> SourceError:
    if asked.name and details.get("name"):
        return SourceMissingObject(NAME, f"there is no {_singular(asked.resource)} {asked.name} in namespace {asked.namespace}")
    group = asked.group or "core"
    reason = message or "not found"
    return SourceMissingObject(NAME, f"the cluster does not serve {asked.resource} of API group {group} ({reason})")


def _singular(resource: str) -> str:
    return resource.split("/", maxsplit=1)[0].removesuffix("s")


def _reason(error: BaseException) -> str:
    """The innermost cause, without the addresses of Python objects that urllib3 puts in front of it."""
    inner: BaseException = error
    while (deeper := getattr(inner, "reason", None)) is not None and isinstance(deeper, BaseException):
        inner = deeper
    text = re.sub(r"<[^<>]* at 0x[0-9a-f]+>:?\s*", "", str(inner))
    return re.sub(r"^\w+\(host=[^)]*\):\s*", "", text) or type(inner).__name__
