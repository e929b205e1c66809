"""One cluster per home: a second one would end the pods of the first."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class HomeInUseError(RuntimeError):
    """A lab cluster already runs in this home; take it down first, or choose another home."""


class HomeLock:
    """Holds a home for one process. The kernel lets go of it when that process dies, however it dies."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the home. Raises HomeInUseError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise HomeInUseError(
                f"expected no cluster to run in {self._path.parent.parent}, found one; take it down first"
            ) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the home go; no harm when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()
