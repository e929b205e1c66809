"""One rule of the redaction: a pattern, and what takes the place of what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from runbook_lib.archive.masking import whole

__all__ = ["Rule", "rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """`pattern` finds, `replace` gives what stands there instead (the match itself: a false alarm).

    A text in small letters that holds none of `hints` is left alone; without hints, every text is looked at.
    """

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    replace: Callable[[re.Match[str]], str]


def rule(
    name: str,
    hints: tuple[str, ...],
    pattern: str,
    replace: Callable[[re.Match[str]], str] = whole,
    *,
    flags: int = re.IGNORECASE,
) -> Rule:
    """A rule of a pattern that is written as text."""
    return Rule(name, hints, re.compile(pattern, flags), replace)
