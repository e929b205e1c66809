"""The conditions under which a process of the shop runs: the lab's switches for what goes wrong in it.

They come in by a file in the process's own directory, beside the service and never through it: no route, metric, variable or log
line tells of them. The file belongs to one pod and outlives its container, so that a container which is started again has the
same trouble, and a new pod has none - as with a leak that took a week to fill the old one.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

FILE_NAME = ".conditions.json"
_LOOK_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What goes wrong. The defaults are a process in which nothing does.

    leaked_bytes_per_second: memory that is kept and never used again. lost_connection_ratio: of the requests that use the
    database, the share that never gives its connection back, its transaction open. answer_seconds: how long each answer is held
    back. slow_ratio: the share of the answers that is. outside_heap: 1 where what leaks is not the heap's, whose ceiling does not
    bound it then. cached_bytes: how much a cache comes to hold. load_factor: how many times the usual requests customers send, a
    while from now. searches_per_second: how often customers search.
    """

    leaked_bytes_per_second: float = 0.0
    lost_connection_ratio: float = 0.0
    answer_seconds: float = 0.0
    slow_ratio: float = 1.0
    outside_heap: float = 0.0
    cached_bytes: float = 0.0
    load_factor: float = 1.0
    searches_per_second: float = 0.4

    def write(self, directory: Path) -> None:
        """Put these conditions into a pod's directory."""
        path = directory / FILE_NAME
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)), encoding="utf-8")
        fresh.replace(path)

    @classmethod
    def read(cls, directory: Path) -> Conditions:
        """Give the conditions in a pod's directory; the defaults when there are none."""
        try:
            values = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return cls()
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    @staticmethod
    def clear(directory: Path) -> None:
        """Let all be well in a pod."""
        (directory / FILE_NAME).unlink(missing_ok=True)


class Watch:
    """The present conditions of this process, read again whenever the file has changed."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or Path(os.environ.get("LAB_DATA_DIR") or Path.cwd())
        self._stamp = self._read_stamp()
        self.now = Conditions.read(self._directory)
        self._listeners: list[Callable[[Conditions], None]] = []
        threading.Thread(target=self._run, name="conditions", daemon=True).start()

    def on_change(self, listener: Callable[[Conditions], None]) -> None:
        """Call with the present conditions, and with each new ones."""
        self._listeners.append(listener)
        listener(self.now)

    def _run(self) -> None:
        waiting = threading.Event()
        while True:
            waiting.wait(_LOOK_SECONDS)
            stamp = self._read_stamp()
            if stamp == self._stamp:
                continue
            self._stamp, self.now = stamp, Conditions.read(self._directory)
            for listener in self._listeners:
                try:
                    listener(self.now)
                except Exception:
                    logging.getLogger(__name__).exception("a setting could not be applied")

    def _read_stamp(self) -> tuple[int, int] | None:
        try:
            status = (self._directory / FILE_NAME).stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns
