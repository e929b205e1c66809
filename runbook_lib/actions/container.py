"""Commands in a container, as `kubectl exec` runs them: their output as it comes, every wait bounded.

The official client opens the WebSocket (login, TLS, proxy). Its own reading keeps what has arrived in memory, and goes on while
more arrives; a heap dump may be larger than this machine's memory, so that frames are taken one by one here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from runbook_lib.actions.interface import Permission
from runbook_lib.errors import (
    SourceAnswerInvalid,
    SourceError,
    SourceMissingObject,
    SourceRefused,
    SourceTimeout,
    SourceUnreachable,
)
from runbook_lib.importing import importing

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["Container", "Ran", "may_execute"]

_Result = TypeVar("_Result")
_NAME = "kubernetes"
_STDIN, _STDOUT, _STDERR, _STATUS = range(4)
_MOST_BYTES = 1024 * 1024
_MOST_ERROR_BYTES = 16 * 1024
_NOT_FOUND = ("executable file not found", "no such file or directory")


def may_execute(pod: str) -> list[Permission]:
    """What the cluster must allow for commands in a pod.

    The WebSocket is opened by a GET; from Kubernetes 1.35 on it is let through only to those that may create as well.
    """
    return [Permission(verb=verb, resource="pods", name=pod, subresource="exec") for verb in ("get", "create")]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command gave: its exit code (126 and 127: it could not be started), output and errors."""

    code: int
    out: str
    error: str


@dataclass
class _Ending:
    """How a command ended; `code` is None until the cluster has said so."""

    code: int | None = None
    message: str = ""
    error: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True)
class Container:
    """One container of a pod. `seconds` bounds how long a connection may take.

    All methods raise a SourceError: refused, no such pod, no answer in time, a connection that broke.
    """

    client: ApiClient
    namespace: str
    pod: str
    name: str
    seconds: float

    def __str__(self) -> str:
        return f"container {self.name} of pod/{self.pod}"

    def run(self, command: Sequence[str], *, seconds: float | None = None) -> Ran:
        """Run a command to its end. Silence of `seconds` ends the waiting. Output beyond 1 MiB is a SourceAnswerInvalid."""
        ending, out = _Ending(), bytearray()
        for piece in self._output(command, ending, seconds or self.seconds):
            out += piece
            if len(out) > _MOST_BYTES:
                raise SourceAnswerInvalid(_NAME, f"{command[0]} in {self} says more than {_MOST_BYTES // 1024} KiB")
        return Ran(_code(ending), out.decode("utf-8", "replace"), _told(ending))

    def stream(self, command: Sequence[str], *, idle_seconds: float, stdin: bytes = b"") -> Iterator[bytes]:
        """The output of a command, piece by piece, as it comes.

        `stdin` is sent first, and has no end: the command must know how much it reads. Raises SourceTimeout after a silence of
        `idle_seconds`, and SourceAnswerInvalid when the command ends with an error.
        """
        ending = _Ending()
        yield from self._output(command, ending, idle_seconds, stdin)
        if code := _code(ending):
            raise SourceAnswerInvalid(
                _NAME, f"{command[0]} in {self} ended with exit code {code}: {_told(ending) or 'no reason given'}"
            )

    def _output(self, command: Sequence[str], ending: _Ending, idle_seconds: float, stdin: bytes = b"") -> Iterator[bytes]:
        with importing("websocket"):
            from websocket import ABNF, WebSocketException, WebSocketTimeoutException

        socket = _within(self.seconds, lambda: self._connected(command, stdin=bool(stdin)), f"no connection to {self}")
        try:
            socket.settimeout(idle_seconds)
            if stdin:
                socket.send(bytes([_STDIN]) + stdin, opcode=ABNF.OPCODE_BINARY)
            while ending.code is None:
                kind, frame = socket.recv_data_frame(True)
                if kind == ABNF.OPCODE_CLOSE:
                    break
                if kind in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) and frame.data:
                    yield from _sorted(frame.data[0], frame.data[1:], ending)
        except WebSocketTimeoutException as error:
            raise SourceTimeout(_NAME, f"{command[0]} in {self}: silent for {idle_seconds:g} s") from error
        except (WebSocketException, OSError) as error:
            raise SourceUnreachable(
                _NAME, f"{command[0]} in {self}: the connection broke ({error or type(error).__name__})"
            ) from error
        finally:
            socket.shutdown()
        if ending.code is None:
            raise SourceUnreachable(_NAME, f"{command[0]} in {self}: the connection ended before the command did")

    def _connected(self, command: Sequence[str], *, stdin: bool) -> Any:
        with importing("kubernetes"):
            from kubernetes.stream import ws_client as typed
            from websocket import WebSocketBadStatusException, WebSocketException

        stream: Any = typed  # its functions carry no types
        configuration = self.client.configuration
        token = (configuration.auth_settings().get("BearerToken") or {}).get("value")
        path = f"/api/v1/namespaces/{quote(self.namespace, safe='')}/pods/{quote(self.pod, safe='')}/exec"
        query = [*(("command", word) for word in command), ("container", self.name), ("stdout", "true"), ("stderr", "true")]
        query += [("stdin", "true")] if stdin else []
        headers = {"authorization": str(token)} if token else {}
        try:
            return stream.create_websocket(configuration, stream.get_websocket_url(configuration.host + path, query), headers)
        except WebSocketBadStatusException as error:
            raise _refused(int(error.status_code), error.resp_body, f"exec in {self}") from error
        except (WebSocketException, OSError) as error:
            raise SourceUnreachable(_NAME, f"exec in {self}: {error or type(error).__name__}") from error


def _sorted(channel: int, data: bytes, ending: _Ending) -> Iterator[bytes]:
    """Give output; keep the beginning of the errors, and how the command ended."""
    if channel == _STDOUT and data:
        yield data
    elif channel == _STDERR:
        ending.error += data[: _MOST_ERROR_BYTES - len(ending.error)]
    elif channel == _STATUS:
        ending.code, ending.message = _status(data)


def _status(data: bytes) -> tuple[int, str]:
    """The exit code and the message of the Status that ends a command; 126 for one that could not be started."""
    try:
        status = json.loads(data)
        if status["status"] == "Success":
            return 0, ""
        message = str(status.get("message") or "")
        causes = (status.get("details") or {}).get("causes") or ()
        codes = [str(cause.get("message")) for cause in causes if cause.get("reason") == "ExitCode"]
        return (int(codes[0]) if codes and codes[0].isdigit() else 126), message
    except (ValueError, KeyError, TypeError, AttributeError):
        return 126, data[:200].decode("utf-8", "replace")


def _code(ending: _Ending) -> int:
    assert ending.code is not None  # the output has ended
    return ending.code


def _told(ending: _Ending) -> str:
    return ending.error.decode("utf-8", "replace").strip() or ending.message


def _refused(status: int, body: bytes | None, what: str) -> SourceError:
    try:
        message = str(json.loads(body or b"")["message"])
    except (ValueError, KeyError, TypeError):
        message = f"HTTP {status}"
    if status in (401, 403):
        return SourceRefused(_NAME, f"{what}: {message}")
    if status == 404 or any(words in message for words in _NOT_FOUND):
        return SourceMissingObject(_NAME, f"{what}: {message}")
    return SourceAnswerInvalid(_NAME, f"{what}: {message}")


def _within(seconds: float, call: Callable[[], _Result], otherwise: str) -> _Result:
    """The client's own connecting has no limit in time. Its thread is a daemon: what hangs must not keep Python from ending."""
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="exec-connect")
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise SourceTimeout(_NAME, f"{otherwise} within {seconds:g} s")
    return results[0]
