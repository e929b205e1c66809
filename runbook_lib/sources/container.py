"""Commands in a container, as `kubectl exec` runs them: bounded in time and size, with the exit code.

The official client opens the WebSocket (login, TLS, proxy); its own reading has no bound in size, so that frames are taken here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from runbook_lib.errors import (
    SourceAnswerInvalid,
    SourceError,
    SourceMissingObject,
    SourceRefused,
    SourceTimeout,
    SourceUnreachable,
)
from runbook_lib.importing import importing
from runbook_lib.sources.deadline import Deadline, DeadlineError, within
from runbook_lib.sources.interface import CommandResult
from runbook_lib.sources.kubernetes_errors import NAME

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["run_in_container"]

_STDOUT, _STDERR, _STATUS = 1, 2, 3  # the channels of v4.channel.k8s.io
_MOST_BYTES = 256 * 1024
_MOST_ERROR_BYTES = 16 * 1024
_NO_SUCH_PROGRAM = 127  # as a shell says it
# How runtimes say that the image has no such program. The API server answers so in place of the WebSocket, or ends it so.
_MISSING = ("executable file not found", "no such file or directory")


@dataclass
class _Output:
    """What has come so far; `code` is None until the cluster has told how the command ended."""

    code: int | None = None
    message: str = ""
    out: bytearray = field(default_factory=bytearray)
    error: bytearray = field(default_factory=bytearray)

    def take(self, channel: int, data: bytes) -> None:
        """Take one frame."""
        if channel == _STDOUT:
            self.out += data
        elif channel == _STDERR:
            self.error += data[: _MOST_ERROR_BYTES - len(self.error)]
        elif channel == _STATUS:
            self.code, self.message = _ended(data)

    def result(self) -> CommandResult:
        """What the command gave, once it has ended."""
        told = self.error.decode("utf-8", "replace").strip() or self.message
        code = self.code if self.code is not None else 0
        missing = code and not self.out and any(words in told.lower() for words in _MISSING)
        return CommandResult(code=_NO_SUCH_PROGRAM if missing else code, out=self.out.decode("utf-8", "replace"), error=told)


def run_in_container(
    client: ApiClient, *, namespace: str, pod: str, container: str, command: Sequence[str], seconds: float
) -> CommandResult:
    """Run a command to its end.

    A program that the image does not have is an answer: the exit code is 127. Raises a SourceError: refused, no such pod, no end
    in time, a connection that broke, more output than anybody reads.
    """
    what, deadline = f"{command[0]} in container {container} of pod/{pod}", Deadline(seconds)
    query = [*(("command", word) for word in command), ("container", container), ("stdout", "true"), ("stderr", "true")]
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/exec"
    try:
        opened = within(deadline, lambda: _opened(client, path, query, what))
    except DeadlineError as error:
        raise SourceTimeout(NAME, f"no connection for {what} within {seconds:g} s") from error
    if isinstance(opened, CommandResult):
        return opened
    output = _Output()
    try:
        within(deadline, lambda: _read(opened, output, what), abandon=opened.shutdown)
    except DeadlineError as error:
        raise SourceTimeout(NAME, f"{what} did not end within {seconds:g} s") from error
    finally:
        opened.shutdown()
    return output.result()


def _opened(client: ApiClient, path: str, query: list[tuple[str, str]], what: str) -> Any:
    """The WebSocket; or the answer, when the cluster says at once that there is no such program."""
    with importing("kubernetes"):
        from kubernetes.stream.ws_client import create_websocket, get_websocket_url
        from websocket import WebSocketBadStatusException, WebSocketException

    configuration = client.configuration
    token = (configuration.auth_settings().get("BearerToken") or {}).get("value")
    headers = {"authorization": str(token)} if token else {}
    try:
        url = get_websocket_url(configuration.host + path, query)  # type: ignore[no-untyped-call]
        return create_websocket(configuration, url, headers)  # type: ignore[no-untyped-call]
    except WebSocketBadStatusException as error:
        return _refused(int(error.status_code), error.resp_body, what)
    except (WebSocketException, OSError) as error:
        raise SourceUnreachable(NAME, f"no connection for {what}: {error or type(error).__name__}") from error


def _read(socket: Any, output: _Output, what: str) -> None:
    with importing("websocket"):
        from websocket import ABNF, WebSocketException

    try:
        while output.code is None:
            kind, frame = socket.recv_data_frame(True)
            if kind == ABNF.OPCODE_CLOSE:
                break
            if kind in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) and frame.data:
                output.take(frame.data[0], frame.data[1:])
            if len(output.out) > _MOST_BYTES:
                raise SourceAnswerInvalid(NAME, f"{what} says more than {_MOST_BYTES // 1024} KiB")
    except (WebSocketException, OSError) as error:
        raise SourceUnreachable(NAME, f"{what}: the connection broke ({error or type(error).__name__})") from error
    if output.code is None:
        raise SourceUnreachable(NAME, f"{what}: the connection ended before the command did")


def _ended(data: bytes) -> tuple[int, str]:
    """The exit code and the message of the Status that ends a command; 126 for one that could not be started."""
    try:
        status = json.loads(data)
        if status["status"] == "Success":
            return 0, ""
        causes = (status.get("details") or {}).get("causes") or ()
        codes = [str(cause.get("message")) for cause in causes if cause.get("reason") == "ExitCode"]
        return (int(codes[0]) if codes and codes[0].isdigit() else 126), str(status.get("message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return 126, data[:200].decode("utf-8", "replace")


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
