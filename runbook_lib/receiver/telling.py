"""What the receiver tells on its console."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from runbook_lib.display.characters import visible

__all__ = ["in_lines"]


def in_lines(told: Callable[[str], None]) -> Callable[[str], None]:
    """`told`, given each thing as one line that it can show: an alert's labels are its sender's, and may hold anything.

    A console that takes nothing - gone, or a file on a full disk - keeps nobody from working.
    """

    def tell(text: str) -> None:
        with suppress(OSError):
            told(" ".join(visible(text).split()))

    return tell
