"""Asking a Kubernetes API server: every request bounded in time and size, every list read in pages, answers as plain JSON.

The official client brings the login, TLS and the connections; its typed models are left out, see
docs/decisions/kubernetes-client.md for what they cost.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from runbook_lib.deadline import Deadline, DeadlineError, within
from runbook_lib.errors import SourceRefused
from runbook_lib.importing import importing
from runbook_lib.sources.kubernetes_errors import NAME, Asked, failed, from_status, not_kubernetes

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from runbook_lib.sources.kubeconfig import Login

__all__ = ["Kind", "KubernetesApi", "Listing"]

PAGE_ITEMS = 500  # what kubectl asks for
MAXIMUM_ITEMS = 10_000
MAXIMUM_BYTES = 256 * 2**20
_CHUNK_BYTES = 128 * 1024
_RETRY_SECONDS = 0.2
_RESTARTS = 2
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

_Result = TypeVar("_Result")
_Lines = tuple[list[bytes], bool]
_Enough = Callable[[bytes], bool] | None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: where the API serves it, and whether in namespaces."""

    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The path of the collection, of one object, or of its subresource."""
        namespace = namespace if self.namespaced else None
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [*(["namespaces", namespace] if namespace else []), self.plural, name, subresource]
        return "/".join([root, *(quote(part, safe="") for part in parts if part)])


@dataclass(frozen=True, slots=True)
class Listing:
    """The objects of a list; `left_out` is how many more there are beyond the bound."""

    items: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Question:
    """One request: a GET, or a POST when it has a body."""

    asked: Asked
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    accept: str = "application/json"


class _ExpiredError(Exception):
    """The list changed too much while its pages were read (HTTP 410)."""


class KubernetesApi:
    """One identity's view of one namespace. `seconds` bounds each call, all of its pages and the login included."""

    def __init__(self, log_in: Callable[[], Login], *, namespace: str, seconds: float) -> None:
        self.namespace = namespace
        self.seconds = seconds
        self._log_in = log_in
        self._login: Login | None = None
        self._lock = threading.Lock()

    @property
    def login(self) -> Login:
        """The client and its user; made on first use. Raises SourceUnreachable when there is nothing to log in with."""
        with self._lock:
            if self._login is None:
                self._login = self._log_in()
            return self._login

    @property
    def client(self) -> ApiClient:
        """The official client."""
        return self.login.client

    def get(self, kind: Kind, name: str) -> dict[str, Any]:
        """One object. Raises SourceMissingObject when there is none of this name."""
        asked = Asked(verb="get", resource=kind.plural, group=kind.group, namespace=self.namespace, name=name)
        question = _Question(asked, kind.path(self.namespace, name))
        return self._bounded(asked, lambda deadline: self._json(question, deadline))

    def metadata(self, kind: Kind, name: str) -> dict[str, Any]:
        """The metadata of one object, and nothing else: what it holds stays in the cluster."""
        asked = Asked(verb="get", resource=kind.plural, group=kind.group, namespace=self.namespace, name=name)
        question = _Question(asked, kind.path(self.namespace, name), accept=_METADATA_ONLY)
        found = self._bounded(asked, lambda deadline: self._json(question, deadline))
        return dict(found.get("metadata") or {})

    def create_review(self, kind: Kind, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask a review, the API's way of putting a question about oneself: a POST that stores nothing."""
        asked = Asked(verb="create", resource=kind.plural, group=kind.group)
        question = _Question(asked, kind.path(None), body=body)
        return self._bounded(asked, lambda deadline: self._json(question, deadline))

    def list(self, kind: Kind, *, labels: str = "", fields: str = "", maximum: int = MAXIMUM_ITEMS) -> Listing:
        """The objects that match, of the namespace or where they have none of the cluster: at most `maximum`, read in pages."""
        where = self.namespace if kind.namespaced else ""
        asked = Asked(verb="list", resource=kind.plural, group=kind.group, namespace=where)
        query = {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        question = _Question(asked, kind.path(self.namespace), query)
        return self._bounded(asked, lambda deadline: self._pages(question, maximum, deadline))

    def lines(
        self,
        pod: str,
        query: Mapping[str, str],
        *,
        deadline: Deadline,
        maximum_bytes: int,
        enough: Callable[[bytes], bool] | None,
    ) -> _Lines:
        """The lines of a container's log, and whether the rest was left unread: after `maximum_bytes`, or the time was up.

        Stops early when `enough` says so of the last line. To be called from a thread that may be left behind.
        """
        asked = Asked(verb="get", resource="pods/log", namespace=self.namespace, name=pod)
        question = _Question(asked, Kind("pods").path(self.namespace, pod, "log"), query)
        try:
            with self._answer(question, deadline) as response:
                return _lines(response, deadline, maximum_bytes, enough)
        except Exception as error:
            raise failed(error, asked=asked, seconds=deadline.seconds, server=self._server()) from error

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._login is not None:
                self._login.client.rest_client.close()
                self._login = None

    def _bounded(self, asked: Asked, call: Callable[[Deadline], _Result]) -> _Result:
        deadline = Deadline(self.seconds)
        try:
            return within(deadline, lambda: call(deadline))
        except Exception as error:
            raise failed(error, asked=asked, seconds=self.seconds, server=self._server()) from error

    def _server(self) -> str:
        """The address, for messages; never waits for a login that may be what hangs."""
        return str(self._login.client.configuration.host) if self._login is not None else "the API server"

    def _pages(self, question: _Question, maximum: int, deadline: Deadline) -> Listing:
        """Read page by page. When the server's snapshot expires (410), begin anew: half of two states would be a lie. The last
        attempt asks for all at once, as kubectl does."""
        for attempt in range(_RESTARTS + 1):
            page = min(PAGE_ITEMS, maximum) if attempt < _RESTARTS else 0
            try:
                return self._attempt(question, page, maximum, deadline)
            except _ExpiredError:
                continue
        raise from_status(410, b"", asked=question.asked)

    def _attempt(self, question: _Question, page: int, maximum: int, deadline: Deadline) -> Listing:
        items: list[dict[str, Any]] = []
        token = ""
        while True:
            chunk = {**question.query, **({"limit": str(page)} if page else {}), **({"continue": token} if token else {})}
            answer = self._json(replace(question, query=chunk), deadline)
            items.extend(answer.get("items") or ())
            metadata = answer.get("metadata") or {}
            token = metadata.get("continue") or ""
            if not token or len(items) >= maximum:
                more = int(metadata.get("remainingItemCount") or (1 if token else 0))
                return Listing(items[:maximum], more + max(0, len(items) - maximum))

    def _json(self, question: _Question, deadline: Deadline) -> dict[str, Any]:
        with self._answer(question, deadline) as response:
            content = _content(response, deadline)
            content_type = response.headers.get("Content-Type", "")
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or "kind" not in answer:
            raise not_kubernetes(content, asked=question.asked, content_type=content_type)
        return answer

    @contextmanager
    def _answer(self, question: _Question, deadline: Deadline) -> Iterator[Any]:
        """The answer to one request, when it is a 2xx; its connection is given back or closed. Raises what `from_status` says."""
        response = self._send(question, deadline)
        try:
            if not 200 <= response.status < 300:
                content = _content(response, deadline)
                if response.status == 410:
                    raise _ExpiredError
                kind = response.headers.get("Content-Type", "")
                raise from_status(response.status, content, asked=question.asked, content_type=kind)
            yield response
        except BaseException:
            response.close()
            raise
        finally:
            response.release_conn()

    def _send(self, question: _Question, deadline: Deadline) -> Any:
        """Send it; once more when a kept connection turns out to be closed, or the server asks to come back. Reads change
        nothing, so that this is safe."""
        with importing("urllib3"):
            from urllib3.exceptions import ProtocolError

        try:
            response = self._request(question, deadline)
        except ProtocolError:
            return self._request(question, deadline)
        pause = _retry_after(response)
        if response.status != 429 or pause >= deadline.left():
            return response
        response.close()
        time.sleep(pause)
        return self._request(question, deadline)

    def _request(self, question: _Question, deadline: Deadline) -> Any:
        with importing("urllib3"):
            from urllib3 import Timeout

        client = self.client
        headers = {**client.default_headers, **_authorization(client), "Accept": question.accept, "User-Agent": "runbook"}
        headers["Accept-Encoding"] = "gzip"
        if question.body is not None:
            headers["Content-Type"] = "application/json"
        left = deadline.left()
        return client.rest_client.pool_manager.request(
            "GET" if question.body is None else "POST",
            client.configuration.host + question.path + (f"?{urlencode(question.query)}" if question.query else ""),
            body=None if question.body is None else json.dumps(question.body).encode(),
            headers=headers,
            timeout=Timeout(connect=left, read=left),
            retries=False,
            redirect=False,
            preload_content=False,
        )


def _authorization(client: ApiClient) -> dict[str, str]:
    """The bearer token; asking for it renews one that expires (a projected token, a login helper's)."""
    token = (client.configuration.auth_settings().get("BearerToken") or {}).get("value")
    return {"Authorization": str(token)} if token else {}


def _retry_after(response: Any) -> float:
    try:
        return float(response.headers.get("Retry-After") or _RETRY_SECONDS)
    except ValueError:
        return _RETRY_SECONDS


def _content(response: Any, deadline: Deadline) -> bytes:
    """The whole body, as it arrives, so that a server that drips meets the deadline and a huge one the bound."""
    chunks: list[bytes] = []
    size = 0
    while chunk := response.read1(_CHUNK_BYTES, decode_content=True):
        deadline.left()
        chunks.append(chunk)
        size += len(chunk)
        if size > MAXIMUM_BYTES:
            raise SourceRefused(NAME, f"the answer is larger than {MAXIMUM_BYTES // 2**20} MiB; ask for fewer objects")
    return b"".join(chunks)


def _lines(response: Any, deadline: Deadline, maximum_bytes: int, enough: _Enough) -> _Lines:
    with importing("urllib3"):
        from urllib3.exceptions import TimeoutError as ReadTimeout

    lines: list[bytes] = []
    rest, size = b"", 0
    try:
        while chunk := response.read1(_CHUNK_BYTES, decode_content=True):
            size += len(chunk)
            *complete, rest = (rest + chunk).split(b"\n")
            lines.extend(complete)
            if (lines and enough is not None and enough(lines[-1])) or size >= maximum_bytes:
                response.close()
                return lines, size >= maximum_bytes
            deadline.left()
    except (DeadlineError, ReadTimeout):
        if not lines:
            raise
        response.close()
        return lines, True
    return ([*lines, rest] if rest else lines), False
