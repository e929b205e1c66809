"""Health and admin endpoints, read and never changed."""

from __future__ import annotations

import json
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from runbook_lib.deadline import Deadline, DeadlineError, within
from runbook_lib.errors import ConfigurationError
from runbook_lib.importing import importing
from runbook_lib.models.finding import SourceState, SourceStatus
from runbook_lib.service.models import HttpConnection
from runbook_lib.sources.interface import HttpAnswer

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpEndpoints"]

_MAXIMUM_BYTES = 2**20


class HttpEndpoints:
    """Asks any number of addresses; see `Http` in interface.py. No redirect is followed: a login page is not a health endpoint.

    The bearer token goes only to the addresses whose host the caller names as the service's own.
    """

    name = "http"

    def __init__(self, connection: HttpConnection, *, own: tuple[str, ...] = ()) -> None:
        self._connection = connection
        self._own = own
        self._opening = threading.Lock()
        self._client: httpx.Client | None = None

    def get(self, url: str, *, timeout_seconds: float | None = None) -> HttpAnswer:
        """Never raises for a sick server: the answer says what happened, and how long it took."""
        with importing("httpx"):
            import httpx

        seconds = timeout_seconds or self._connection.timeout_seconds
        deadline, started = Deadline(seconds), time.monotonic()

        def failed(state: SourceState, error: str) -> HttpAnswer:
            return HttpAnswer(url=url, status=None, seconds=time.monotonic() - started, error=error, state=state)

        try:
            response, body = within(deadline, lambda: self._whole(url, seconds, deadline))
        except (DeadlineError, httpx.TimeoutException):
            return failed("timeout", f"no answer within {seconds:.3g} s")
        except httpx.ConnectError as error:
            return failed("unreachable", f"no connection: {error}")
        except (httpx.HTTPError, httpx.InvalidURL, ConfigurationError, OSError) as error:
            return failed("invalid_answer", f"{type(error).__name__}: {error}")
        refused = response.status_code in (401, 403)
        state: SourceState = "refused" if refused else "ok" if response.is_success else "invalid_answer"
        return HttpAnswer(
            url=url,
            status=response.status_code,
            seconds=time.monotonic() - started,
            body=_read(body),
            error=None if response.is_success else f"HTTP {response.status_code}",
            state=state,
        )

    def probe(self) -> SourceStatus:
        """There is no one system behind it: what counts is that its credentials can be read."""
        try:
            self._open()
        except (ConfigurationError, OSError) as error:
            return SourceStatus(name=self.name, status="not_configured", error=str(error))
        return SourceStatus(name=self.name, status="ok", seconds=0.0)

    def close(self) -> None:
        """Give back the connections."""
        with self._opening:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _whole(self, url: str, seconds: float, deadline: Deadline) -> tuple[httpx.Response, bytes]:
        headers = self._credentials(url)
        with self._open().stream("GET", url, timeout=seconds, headers=headers) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                deadline.left()
                body += chunk
                if len(body) >= _MAXIMUM_BYTES:
                    break
        return response, bytes(body[:_MAXIMUM_BYTES])

    def _credentials(self, url: str) -> dict[str, str]:
        with importing("httpx"):
            import httpx

        token = self._connection.bearer_token
        if token is None or httpx.URL(url).host not in self._own:
            return {}
        return {"Authorization": f"Bearer {token.resolve()}"}

    def _open(self) -> httpx.Client:
        with importing("httpx"):
            import httpx

        with self._opening:
            if self._client is None:
                self._client = httpx.Client(verify=self._verify(), follow_redirects=False)
            return self._client

    def _verify(self) -> ssl.SSLContext | bool:
        tls = self._connection.tls
        if not tls.verify:
            return False
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.certificate_file:
            context.load_cert_chain(tls.certificate_file, tls.key_file)
        return context


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", errors="replace")
