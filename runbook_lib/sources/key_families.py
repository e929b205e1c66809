"""What keys of a cache have in common, so that they can be counted and shown: a whole key may hold a person's name or a token."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["OTHER", "families", "family_of"]

OTHER = "(other keys)"
_BEFORE_A_SEPARATOR = re.compile(r"([A-Za-z][A-Za-z_.-]{0,30})(?=[:/|#;{\[(\d])")
_A_WORD = re.compile(r"[A-Za-z][A-Za-z_.-]{0,30}")
_MOST_WORDS = 8  # more single words than these are values themselves, such as the names of users


def family_of(key: str) -> str:
    """`prices:eu:4711` is of the family `prices:*`, `session42` of `session*`; a word alone is its own, all else is OTHER."""
    if begins := _BEFORE_A_SEPARATOR.match(key):
        return f"{begins[1]}{key[begins.end()] if not key[begins.end()].isdigit() else ''}*"
    return key if _A_WORD.fullmatch(key) else OTHER


def families(keys: Iterable[str]) -> list[str]:
    """The family of each key, in their order. Words that stand alone are OTHER when there are many of them."""
    found = [family_of(key) for key in keys]
    words = {family for family in found if not family.endswith("*") and family != OTHER}
    return found if len(words) <= _MOST_WORDS else [OTHER if family in words else family for family in found]
