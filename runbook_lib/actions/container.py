"""What changes need of a container: commands in it, as `kubectl exec` runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from runbook_lib.models.command import CommandResult

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["Container", "OpenContainer"]


class Container(Protocol):
    """One container of a pod, which tells its place as text. All methods raise a SourceError."""

    @property
    def namespace(self) -> str:
        """The pod's."""

    @property
    def pod(self) -> str:
        """The pod's name."""

    @property
    def name(self) -> str:
        """Its own."""

    def run(self, command: Sequence[str], *, seconds: float | None = None) -> CommandResult:
        """Run a command to its end, within so many seconds."""

    def stream(self, command: Sequence[str], *, idle_seconds: float, stdin: bytes = b"") -> Iterator[bytes]:
        """The output of a command, piece by piece, as it comes; a silence of `idle_seconds` and an exit code other than 0 raise.

        `stdin` is sent first, and has no end: the command must know how much it reads.
        """


OpenContainer = Callable[["ApiClient", str, str, str, float], Container]
"""Takes the operator's client, namespace, pod and container, and for how long [s] a connection may be waited for."""
