"""What a command in a container gave."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CommandResult"]


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """Its exit code (127: the image has no such program, 126: it could not be started), its output and its errors."""

    code: int
    out: str
    error: str
