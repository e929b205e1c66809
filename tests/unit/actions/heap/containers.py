"""A container that is a directory of this machine: its shell is ours, so that every command really runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runbook_lib.errors import SourceAnswerInvalid, SourceUnreachable
from runbook_lib.models.command import CommandResult

_PIECE = 32 * 1024


@dataclass
class LocalContainer:
    """`tools`: links to the only programs that there are. breaks: after how many bytes a stream breaks, call by call."""

    directory: Path
    tools: Sequence[str] = ()
    breaks: list[int] = field(default_factory=list)
    garble: Callable[[str, bytes], bytes] = lambda _, data: data
    commands: list[str] = field(default_factory=list)
    pod: str = "shop-0"
    name: str = "shop"
    namespace: str = "shop"

    def run(self, command: Sequence[str], *, seconds: float | None = None) -> CommandResult:
        self.commands.append(command[-1])
        done = subprocess.run(command, capture_output=True, cwd=self.directory, env=self._environment(), timeout=60, check=False)
        return CommandResult(code=done.returncode, out=done.stdout.decode(), error=done.stderr.decode())

    def stream(self, command: Sequence[str], *, idle_seconds: float, stdin: bytes = b"") -> Iterator[bytes]:
        self.commands.append(command[-1])
        done = subprocess.run(
            command, input=stdin, capture_output=True, cwd=self.directory, env=self._environment(), timeout=60, check=False
        )
        left = self.breaks.pop(0) if self.breaks else None
        output = self.garble(command[-1], done.stdout)
        for start in range(0, len(output), _PIECE):
            piece = output[start : start + _PIECE]
            if left is not None and len(piece) > left:
                yield piece[:left]
                raise SourceUnreachable("kubernetes", "the connection broke")
            left = left - len(piece) if left is not None else None
            yield piece
        if done.returncode:
            raise SourceAnswerInvalid("kubernetes", f"ended with exit code {done.returncode}: {done.stderr.decode()}")

    def _environment(self) -> dict[str, str]:
        if not self.tools:
            return dict(os.environ)
        folder = self.directory / "bin"
        folder.mkdir(exist_ok=True)
        for tool in ("sh", "wc", *self.tools):
            link = folder / tool
            if not link.exists():
                link.symlink_to(next(path for path in (Path("/usr/bin") / tool, Path("/bin") / tool) if path.exists()))
        return {"PATH": str(folder)}
