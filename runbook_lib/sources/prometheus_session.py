"""The HTTP under the Prometheus client: bounded in time and size, and every way to fail as one of our errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

import requests
from requests.auth import AuthBase
from urllib3.util.retry import Retry

from runbook_lib.deadline import Deadline, DeadlineError, within
from runbook_lib.errors import (
    SourceAnswerInvalid,
    SourceError,
    SourceRefused,
    SourceTimeout,
    SourceUnreachable,
    UsageError,
)
from runbook_lib.service.models import PrometheusConnection

__all__ = ["NAME", "PrometheusSession", "retries"]

NAME = "prometheus"
_MAXIMUM_BYTES = 64 * 2**20
_CHUNK_BYTES = 2**16
_MAXIMUM_WORDS = 160  # characters of what a stranger answered
_LONGEST_ADDRESS = 2_000  # characters of parameters; proxies refuse longer addresses, and Prometheus takes queries by POST
_HTTP_ERRORS_WITH_A_TIMEOUT = (408, 504)
Arriving = Callable[[bytearray], None]


def retries() -> Retry:
    """Once more, soon, when the connection broke or a proxy says 'not now': during an incident, seconds count.

    An error of Prometheus itself is not asked for twice.
    """
    return Retry(
        total=1,
        backoff_factor=0.2,
        status_forcelist=(429, 502, 503),
        allowed_methods=("GET", "POST"),
        raise_on_status=False,
        respect_retry_after_header=False,
    )


class _Bearer(AuthBase):
    """As an auth object rather than a header: requests replaces a bare Authorization header by what ~/.netrc says."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class PrometheusSession(requests.Session):
    """A session for prometheus-api-client that never hangs and never swallows the memory. Safe for several threads.

    `request` gives a whole answer with a 2xx status, or raises a SourceError - UsageError when Prometheus calls the query wrong.
    """

    def __init__(self, connection: PrometheusConnection) -> None:
        super().__init__()
        self._merged: dict[str, Any] | None = None
        self._seconds = connection.timeout_seconds
        if connection.bearer_token:
            self.auth = _Bearer(connection.bearer_token.resolve())
        elif connection.username and connection.password:
            self.auth = (connection.username, connection.password.resolve())
        tls = connection.tls
        self.verify = tls.ca_file or tls.verify
        self.cert = (tls.certificate_file, tls.key_file) if tls.certificate_file and tls.key_file else tls.certificate_file
        self.headers.update({name: reference.resolve() for name, reference in connection.headers.items()})

    def request(self, method: str, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """One question. `timeout` and `stream` of the caller do not count: the connection's own bounds do."""
        return self._asked(method, url, args, options, arriving=lambda _: None)

    def read(self, url: str, params: Mapping[str, Any], *, arriving: Arriving) -> bytes:
        """The body of an answer. `arriving` is shown all that has come in so far, after each piece of it."""
        return self._asked("GET", url, (), {"params": params}, arriving=arriving).content

    def merge_environment_settings(self, url: str, *settings: Any) -> Any:
        """What the environment says of proxies. A session has one server and one set of bounds, so that it is read once: to go
        through all of the environment takes longer than the rest of a question."""
        if self._merged is None:
            self._merged = super().merge_environment_settings(url, *settings)
        return dict(self._merged)

    def _asked(
        self, method: str, url: str | bytes, args: tuple[Any, ...], options: dict[str, Any], *, arriving: Arriving
    ) -> requests.Response:
        params = options.get("params") or {}
        if method == "GET" and isinstance(params, Mapping) and len(urlencode(params, doseq=True)) > _LONGEST_ADDRESS:
            method, options = "POST", {**options, "params": None, "data": params}
        # requests takes an environment's CA bundle for the session's own unless it is given with each request
        options = {**options, "timeout": self._seconds, "stream": True, "verify": self.verify}
        deadline = Deadline(self._seconds)
        try:
            return within(deadline, lambda: self._whole(method, url, args, options, deadline, arriving))
        except DeadlineError as error:
            raise SourceTimeout(NAME, f"no complete answer within {self._seconds:.3g} s") from error
        except requests.RequestException as error:
            raise _translated(error, self._seconds) from error

    def _whole(
        self,
        method: str,
        url: str | bytes,
        args: tuple[Any, ...],
        options: dict[str, Any],
        deadline: Deadline,
        arriving: Arriving,
    ) -> requests.Response:
        with super().request(method, url, *args, **options) as response:
            body = bytearray()
            for chunk in response.iter_content(_CHUNK_BYTES):
                deadline.left()
                body += chunk
                if len(body) > _MAXIMUM_BYTES:
                    raise SourceAnswerInvalid(
                        NAME, f"the answer is larger than {_MAXIMUM_BYTES // 2**20} MiB; ask for fewer series or a shorter window"
                    )
                arriving(body)
            response._content = bytes(body)
        if not response.ok:
            raise _refusal(response)
        return response


def _translated(error: requests.RequestException, seconds: float) -> SourceError:
    if isinstance(error, requests.exceptions.SSLError):
        return SourceUnreachable(NAME, f"TLS failed: {_innermost(error)}; see connections.prometheus.tls")
    if isinstance(error, requests.Timeout):
        return SourceTimeout(NAME, f"no answer within {seconds:.3g} s")
    if isinstance(error, requests.exceptions.ContentDecodingError | requests.exceptions.ChunkedEncodingError):
        return SourceAnswerInvalid(NAME, f"the answer broke off: {_innermost(error)}")
    if isinstance(error, requests.ConnectionError):
        if isinstance(_deepest(error), HTTPException):
            return SourceAnswerInvalid(NAME, f"something else than HTTP answers: {_innermost(error)}")
        return SourceUnreachable(NAME, f"no connection: {_innermost(error)}")
    return SourceAnswerInvalid(NAME, f"{type(error).__name__}: {_innermost(error)}")


def _innermost(error: BaseException) -> str:
    """What the system said, printable and short, without the layers around it (which repeat the whole query)."""
    reason = _deepest(error)
    text = str(reason).rpartition(": ")[2] if "HTTPConnection" in str(reason) else str(reason)
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:_MAXIMUM_WORDS])
    return shown or type(reason).__name__


def _deepest(error: BaseException) -> BaseException:
    """What lies under the layers of requests and urllib3."""
    reason = error
    while True:
        deeper = getattr(reason, "reason", None)
        if not isinstance(deeper, BaseException):
            deeper = next((one for one in reason.args if isinstance(one, BaseException)), None)
        if deeper is None:
            return reason
        reason = deeper


def _refusal(response: requests.Response) -> Exception:
    """What an answer with an error status means."""
    status, said = response.status_code, _said(response)
    if status == 400 and said:
        return UsageError(f"Prometheus cannot take the question: {said}")
    if status in (401, 403):
        return SourceRefused(NAME, f"HTTP {status}: {said or 'the credentials are missing or wrong'}; see connections.prometheus")
    if status == 404:
        return SourceAnswerInvalid(
            NAME, "HTTP 404: no Prometheus API at this address; does the url need a path, such as /prometheus?"
        )
    if status in _HTTP_ERRORS_WITH_A_TIMEOUT or "timed out" in said:
        return SourceTimeout(NAME, f"HTTP {status}: {said or 'it gave up'}")
    if status == 429:
        return SourceRefused(NAME, f"HTTP 429: {said or 'too many questions'}")
    return SourceAnswerInvalid(NAME, f"HTTP {status}{f': {said}' if said else ''}")


def _said(response: requests.Response) -> str:
    """Prometheus' own words; empty when something else answers."""
    try:
        answer = json.loads(response.content)
    except ValueError:
        return ""
    return str(answer.get("error", ""))[:500] if isinstance(answer, dict) else ""
