"""Changes by the admin endpoints of the service's own pods: one call a pod, since each pod keeps its own state."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runbook_lib.actions.cluster import PODS, operator
from runbook_lib.actions.interface import ActionContext, ChangeRefused, Permission, Settling
from runbook_lib.deadline import Deadline, DeadlineError, within
from runbook_lib.errors import ActionFailed, ConfigurationError, SourceError
from runbook_lib.importing import importing
from runbook_lib.models.plan import Refusal
from runbook_lib.service.reference import Reference

if TYPE_CHECKING:
    import httpx

__all__ = ["AdminCall", "AdminClient", "CallFailed", "Endpoint", "endpoint_of_service", "endpoints_of_pods", "same_endpoints"]


class CallFailed(SourceError):  # noqa: N818 - named like the other errors of the hierarchy
    """An admin endpoint did not answer with a 2xx. The message says what it did instead."""

    def __init__(self, reason: str) -> None:
        super().__init__("http", reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Who is told: a pod by name and uid, or the whole service (no uid). `ready` pods get traffic."""

    name: str
    base: str
    uid: str = ""
    ready: bool = True


def endpoints_of_pods(context: ActionContext) -> list[Endpoint]:
    """The running pods of the application, by name. Raises ChangeRefused when there is none, or its port is not known."""
    application = context.service.components.application
    found = []
    for pod in operator(context).list(PODS, application.selector):
        status = pod.get("status") or {}
        if status.get("phase") != "Running" or not status.get("podIP") or pod["metadata"].get("deletionTimestamp"):
            continue
        ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions") or ())
        address = f"[{status['podIP']}]" if ":" in status["podIP"] else status["podIP"]
        base = f"{_scheme(context)}://{address}:{_port(pod, application.container, context)}"
        found.append(Endpoint(name=str(pod["metadata"]["name"]), uid=str(pod["metadata"]["uid"]), base=base, ready=ready))
    if not found:
        raise ChangeRefused(
            Refusal(by="target", reason=f"no pod of {application.selector} runs, so that there is nobody to tell")
        )
    return sorted(found, key=lambda one: one.name)


def endpoint_of_service(context: ActionContext) -> Endpoint:
    """The service's own address. Raises ChangeRefused when the service file has none."""
    application = context.service.components.application
    if application.url is None:
        mend = "set components.application.url in the service file"
        raise ChangeRefused(Refusal(by="target", reason="the address of the service is not known", mend=mend))
    try:
        return Endpoint(name=context.service.name, base=application.url.resolve().rstrip("/"))
    except ConfigurationError as error:
        raise ChangeRefused(Refusal(by="target", reason=str(error))) from error


def same_endpoints(planned: Sequence[str], present: Sequence[Endpoint]) -> None:
    """Raise ChangeRefused when the pods are no longer those that the plan saw; `planned` are `name uid`."""
    now = {f"{one.name} {one.uid}" for one in present}
    if now != set(planned):
        raise ChangeRefused(
            Refusal(
                by="unchanged since the plan",
                reason="the pods are not the same as when the plan was made",
                mend="run the cell again and read the new plan",
            )
        )


def _scheme(context: ActionContext) -> str:
    url = context.service.components.application.url
    try:
        return urlsplit(url.resolve()).scheme if url is not None else "http"
    except ConfigurationError:
        return "http"


def _port(pod: Any, container: str | None, context: ActionContext) -> int:
    """The container's port named http, else its first, else that of the service's address."""
    containers = [one for one in pod["spec"].get("containers") or () if container in (None, one.get("name"))]
    ports = [port for one in containers[:1] for port in one.get("ports") or ()]
    named = [port for port in ports if port.get("name") == "http"] or ports
    if named:
        return int(named[0]["containerPort"])
    url = endpoint_of_service(context).base
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


class AdminClient:
    """Calls with the timeout, TLS and token of the service file. Nothing is retried, no redirect followed."""

    def __init__(self, context: ActionContext, token: Reference | None) -> None:
        self._settings = context.service.connections.http
        self._token = token or self._settings.bearer_token

    def get(self, url: str) -> Any:
        """The answer's JSON, or its text. Raises CallFailed."""
        response = self._send("GET", url)
        try:
            return response.json()
        except ValueError:
            return response.text

    def post(self, url: str) -> None:
        """Raises CallFailed."""
        self._send("POST", url)

    def stream(self, url: str, *, seconds: float) -> Iterator[bytes]:
        """A large answer, piece by piece. `seconds`: how long to wait for its begin, and between pieces.

        Raises CallFailed, also for an answer that is cut off.
        """
        with self._calling("GET", url), self._client(seconds) as client, client.stream("GET", url) as response:
            if not response.is_success:
                response.read()
                raise _unsuccessful("GET", url, response)
            yield from response.iter_bytes()

    def _send(self, method: str, url: str) -> httpx.Response:
        seconds = self._settings.timeout_seconds
        with self._calling(method, url), self._client(seconds) as client:
            try:
                response = within(Deadline(seconds), lambda: client.request(method, url))
            except DeadlineError as error:
                raise CallFailed(f"{method} {url}: no complete answer within {seconds:g} s") from error
        if not response.is_success:
            raise _unsuccessful(method, url, response)
        return response

    def _client(self, seconds: float) -> httpx.Client:
        # Late: most incidents never call an admin endpoint.
        with importing("httpx"):
            import httpx

        headers = {"Authorization": f"Bearer {self._token.resolve()}"} if self._token is not None else {}
        timeout = httpx.Timeout(self._settings.timeout_seconds, read=seconds)
        # A proxy from the environment does not know the addresses of pods.
        return httpx.Client(timeout=timeout, verify=self._verify(), trust_env=False, headers=headers)

    @contextmanager
    def _calling(self, method: str, url: str) -> Iterator[None]:
        with importing("httpx"):
            import httpx

        try:
            yield
        except httpx.HTTPError as error:
            raise CallFailed(f"{method} {url}: {error or type(error).__name__}") from error
        except (ConfigurationError, OSError) as error:
            raise CallFailed(f"{method} {url}: {error}") from error

    def _verify(self) -> ssl.SSLContext | bool:
        tls = self._settings.tls
        if not tls.verify:
            return False
        trusted = ssl.create_default_context(cafile=tls.ca_file)
        if tls.certificate_file:
            trusted.load_cert_chain(tls.certificate_file, tls.key_file)
        return trusted


def _unsuccessful(method: str, url: str, response: httpx.Response) -> CallFailed:
    return CallFailed(f"{method} {url}: HTTP {response.status_code} {response.text[:200]}".rstrip())


@dataclass
class AdminCall:
    """Tell one endpoint.

    `state()` reads its present state (None: it does not say); `planned` is what the plan saw, `wanted` what is to be.
    """

    client: AdminClient
    endpoint: Endpoint
    path: str
    inverse_path: str | None
    text: str
    wanted: str
    planned: str | None
    state: Callable[[], str | None]
    _done: bool = field(default=False, init=False)

    @property
    def permissions(self) -> Sequence[Permission]:
        """The pods are found through the cluster."""
        return [PODS.may("list")] if self.endpoint.uid else []

    def preview(self) -> None:
        """There is no dry run of an admin endpoint: see that it answers, and that its state is the one that the plan saw."""
        try:
            now = self.state()
        except CallFailed as failed:
            mend = "run this where the pods can be reached, and check the token"
            raise ChangeRefused(Refusal(by="admin endpoint", reason=failed.reason, mend=mend)) from failed
        if now != self.planned:
            reason = f"{self.endpoint.name} is {now} now; the plan saw {self.planned}"
            raise ChangeRefused(Refusal(by="unchanged since the plan", reason=reason, mend="run the cell again"))

    def apply(self) -> str:
        """Call it. When its answer is lost, its state tells whether it arrived."""
        try:
            self.client.post(self.endpoint.base + self.path)
        except CallFailed as failed:
            if self._state_or_none() != self.wanted:
                raise ActionFailed(f"{self.text}: {failed.reason}") from failed
        self._done = True
        return f"{self.text}: done"

    def revert(self) -> str:
        """Call the endpoint that takes it back."""
        if not self._done:
            return f"{self.text}: nothing to take back"
        if self.inverse_path is None:
            raise ActionFailed(f"{self.text} could not be taken back: the service file names no endpoint for that")
        try:
            self.client.post(self.endpoint.base + self.inverse_path)
        except CallFailed as failed:
            raise ActionFailed(f"{self.text} could not be taken back: {failed.reason}") from failed
        self._done = False
        return f"{self.text}: taken back"

    def settling(self) -> Settling:
        """In effect once the endpoint says so; where it says nothing, its 2xx has to do."""
        now = self._state_or_none()
        return Settling(done=now in (None, self.wanted), text=f"{self.endpoint.name} is {now or 'told'}")

    def _state_or_none(self) -> str | None:
        try:
            return self.state()
        except CallFailed:
            return None


def curl(path: str, endpoints: Sequence[Endpoint], *, token: bool) -> str:
    """What a person would type to tell them all."""
    header = '-H "Authorization: Bearer $TOKEN" ' if token else ""
    urls = [f"curl -fsS -X POST {header}'{one.base}{path}'" for one in endpoints]
    return " && ".join(urls) if len(urls) <= 3 else "\n".join(urls)


def written_state(value: Any) -> str:
    """A state in one spelling: `HALF-OPEN` is half_open."""
    return re.sub(r"[\s-]+", "_", str(value).strip().lower())
