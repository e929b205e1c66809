"""Commands in a container, as `kubectl exec` runs them: bounded in time and size, with the exit code.

The official client opens the WebSocket (login, TLS, proxy). Its own reading keeps all that has arrived in memory, and goes on
while more arrives; a heap dump may be larger than this machine's memory, so that frames are taken one by one here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from runbook_lib.deadline import Deadline, DeadlineError, within
from runbook_lib.errors import (
    SourceAnswerInvalid,
    SourceError,
    SourceMissingObject,
    SourceRefused,
    SourceTimeout,
    SourceUnreachable,
)
from runbook_lib.importing import importing
from runbook_lib.models.command import CommandResult
from runbook_lib.sources.kubernetes_errors import NAME

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["Container"]

_STDIN, _STDOUT, _STDERR, _STATUS = range(4)  # the channels of v4.channel.k8s.io
_MOST_BYTES = 1024 * 1024
_MOST_ERROR_BYTES = 16 * 1024
_NO_SUCH_PROGRAM, _NOT_STARTED = 127, 126  # as a shell says it
# How runtimes say that the image has no such program. The API server answers so in place of the WebSocket, or ends it so.
_MISSING = ("executable file not found", "no such file or directory")


@dataclass
class _Ending:
    """How a command ended; `code` is None until the cluster has told."""

    code: int | None = None
    message: str = ""
    error: bytearray = field(default_factory=bytearray)

    def result(self, out: bytes) -> CommandResult:
        """What the command gave, now that it has ended."""
        told = self.error.decode("utf-8", "replace").strip() or self.message
        code = self.code or 0
        missing = code and not out and any(words in told.lower() for words in _MISSING)
        return CommandResult(code=_NO_SUCH_PROGRAM if missing else code, out=out.decode("utf-8", "replace"), error=told)


@dataclass(frozen=True)
class Container:
    """One container of a pod. `seconds` bounds how long a connection may take, and a command that is run.

    All methods raise a SourceError: refused, no such pod, no answer in time, a connection that broke.
    """

    client: ApiClient
    namespace: str
    pod: str
    name: str
    seconds: float

    def __str__(self) -> str:
        return f"container {self.name} of pod/{self.pod}"

    def run(self, command: Sequence[str], *, seconds: float | None = None) -> CommandResult:
        """Run a command to its end, within `seconds`.

        A program that the image does not have is an answer: the exit code is 127. More output than 1 MiB is a
        SourceAnswerInvalid.
        """
        what, allowed = f"{command[0]} in {self}", seconds or self.seconds
        deadline = Deadline(allowed)
        opened = self._opened(command, what, deadline)
        if isinstance(opened, CommandResult):
            return opened
        try:
            return within(deadline, lambda: _whole(opened, what), abandon=opened.shutdown)
        except DeadlineError as error:
            raise SourceTimeout(NAME, f"{what} did not end within {allowed:.3g} s") from error
        finally:
            opened.shutdown()

    def stream(self, command: Sequence[str], *, idle_seconds: float, stdin: bytes = b"") -> Iterator[bytes]:
        """The output of a command, piece by piece, as it comes.

        `stdin` is sent first, and has no end: the command must know how much it reads. Raises SourceTimeout after a silence of
        `idle_seconds`, and SourceAnswerInvalid when the command ends with an error.
        """
        what, ending = f"{command[0]} in {self}", _Ending()
        opened = self._opened(command, what, Deadline(self.seconds), stdin=bool(stdin))
        if isinstance(opened, CommandResult):
            raise SourceAnswerInvalid(NAME, f"cannot run {what}: {opened.error}")
        try:
            yield from _pieces(opened, ending, what, idle_seconds=idle_seconds, stdin=stdin)
        finally:
            opened.shutdown()
        result = ending.result(b"")
        if result.code:
            reason = result.error or "no reason given"
            raise SourceAnswerInvalid(NAME, f"{what} ended with exit code {result.code}: {reason}")

    def _opened(self, command: Sequence[str], what: str, deadline: Deadline, *, stdin: bool = False) -> Any:
        """The WebSocket; or the answer, when the cluster says at once that there is no such program."""
        query = [*(("command", word) for word in command), ("container", self.name), ("stdout", "true"), ("stderr", "true")]
        query += [("stdin", "true")] if stdin else []
        path = f"/api/v1/namespaces/{quote(self.namespace, safe='')}/pods/{quote(self.pod, safe='')}/exec"
        try:
            return within(deadline, lambda: _connected(self.client, path, query, what))
        except DeadlineError as error:
            raise SourceTimeout(NAME, f"no connection for {what} within {deadline.seconds:.3g} s") from error


def _connected(client: ApiClient, path: str, query: list[tuple[str, str]], what: str) -> Any:
    with importing("kubernetes"):
        from kubernetes.stream import ws_client as typed
        from websocket import WebSocketBadStatusException, WebSocketException

    sockets: Any = typed  # its functions carry no types
    configuration = client.configuration
    token = (configuration.auth_settings().get("BearerToken") or {}).get("value")
    headers = {"authorization": str(token)} if token else {}
    try:
        return sockets.create_websocket(configuration, sockets.get_websocket_url(configuration.host + path, query), headers)
    except WebSocketBadStatusException as error:
        return _refused(int(error.status_code), error.resp_body, what)
    except (WebSocketException, OSError) as error:
        raise SourceUnreachable(NAME, f"no connection for {what}: {error or type(error).__name__}") from error


def _whole(socket: Any, what: str) -> CommandResult:
    ending, out = _Ending(), bytearray()
    for piece in _pieces(socket, ending, what):
        out += piece
        if len(out) > _MOST_BYTES:
            raise SourceAnswerInvalid(NAME, f"{what} says more than {_MOST_BYTES // 1024} KiB")
    return ending.result(bytes(out))


def _pieces(socket: Any, ending: _Ending, what: str, *, idle_seconds: float | None = None, stdin: bytes = b"") -> Iterator[bytes]:
    """The output as it comes; `ending` is filled in at the end."""
    with importing("websocket"):
        from websocket import ABNF, WebSocketException, WebSocketTimeoutException

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
        raise SourceTimeout(NAME, f"{what}: silent for {idle_seconds:g} s") from error
    except (WebSocketException, OSError) as error:
        raise SourceUnreachable(NAME, f"{what}: the connection broke ({error or type(error).__name__})") from error
    if ending.code is None:
        raise SourceUnreachable(NAME, f"{what}: the connection ended before the command did")


def _sorted(channel: int, data: bytes, ending: _Ending) -> Iterator[bytes]:
    """Give output; keep the beginning of the errors, and how the command ended."""
    if channel == _STDOUT and data:
        yield data
    elif channel == _STDERR:
        ending.error += data[: _MOST_ERROR_BYTES - len(ending.error)]
    elif channel == _STATUS:
        ending.code, ending.message = _status(data)


def _status(data: bytes) -> tuple[int, str]:
    """The exit code and the message of the Status that ends a command."""
    try:
        status = json.loads(data)
        if status["status"] == "Success":
            return 0, ""
        causes = (status.get("details") or {}).get("causes") or ()
        codes = [str(cause.get("message")) for cause in causes if cause.get("reason") == "ExitCode"]
        return (int(codes[0]) if codes and codes[0].isdigit() else _NOT_STARTED), str(status.get("message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return _NOT_STARTED, data[:200].decode("utf-8", "replace")


def _refused(status: int, body: bytes | None, what: str) -> CommandResult:
    """The answer that an API server gives in place of a WebSocket; raises the SourceError that it stands for."""
    try:
        message = str(json.loads(body or b"")["message"])
    except (ValueError, KeyError, TypeError):
        message = f"HTTP {status}"
    if any(words in message.lower() for words in _MISSING):
        return CommandResult(code=_NO_SUCH_PROGRAM, out="", error=message)
    kind: type[SourceError] = SourceAnswerInvalid
    if status in (401, 403):
        kind = SourceRefused
    elif status == 404:
        kind = SourceMissingObject
    raise kind(NAME, f"cannot run {what}: {message}")
