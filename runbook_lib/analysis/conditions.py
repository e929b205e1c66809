"""Reading a condition as PostgreSQL writes it in a plan: which columns it compares with one value each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Comparison", "Condition", "condition"]

_NAME = r'(?:"(?:[^"]|"")+"|[a-z_\u0080-\uffff][\w$\u0080-\uffff]*)'
_COLUMN = rf"(?:(?P<qualifier>{_NAME})\.)?(?P<column>{_NAME})"
_CAST = re.compile(rf"\(\s*{_COLUMN}\s*\)::(?P<type>.+)", re.IGNORECASE)
_BARE = re.compile(_COLUMN, re.IGNORECASE)
_TYPE = r'(?:"[^"]+"|[\w ]+(?:\([\d, ]*\))?)(?:\[\])*'
_VALUE = re.compile(rf"\(*\s*(?:\$\d+|\?|true|false|-\?)\s*\)*(?:::{_TYPE})*\s*\)*", re.IGNORECASE)
_ANY = re.compile(r"ANY\s*\((?P<values>.*)\)", re.IGNORECASE | re.DOTALL)
_WORDS = frozenset({"true", "false", "null", "current_user", "current_date", "session_user"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """`column = one value`, or one of several. cast: the type to which the column was converted first; empty when it was not."""

    qualifier: str
    column: str
    cast: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """A conjunction, read: its comparisons for equality, and how many further parts it has that are something else."""

    equal: tuple[Comparison, ...]
    others: int


def condition(text: str) -> Condition:
    """Read a condition whose constants are written as `?` or `$1`. What is not understood counts among the others.

    An OR, a NOT, a function of the column or a pattern is one of the others: an index on the column might not help it.
    """
    equal: list[Comparison] = []
    others = 0
    for part in _conjuncts(text):
        found = _comparison(part)
        if found is None:
            others += 1
        elif found not in equal:
            equal.append(found)
    return Condition(tuple(equal), others)


def _conjuncts(text: str) -> Iterator[str]:
    inner = _stripped(text)
    if not inner:
        return
    parts = _split(inner, "AND")
    if len(parts) == 1:
        yield inner
        return
    if any(len(_split(part, "OR")) > 1 for part in parts):
        yield inner  # AND binds more closely: this is an OR, whose halves need not both hold
        return
    for part in parts:
        yield from _conjuncts(part)


def _stripped(text: str) -> str:
    """Without the parentheses around all of it."""
    inner = text.strip()
    while inner.startswith("(") and _closing(inner) == len(inner) - 1:
        inner = inner[1:-1].strip()
    return inner


def _closing(text: str) -> int:
    """Where the parenthesis at the beginning of a text is closed; -1 when it is not."""
    depth = 0
    for position, sign in _outside_quotes(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return position
    return -1


def _outside_quotes(text: str) -> Iterator[tuple[int, str]]:
    quoted = False
    for position, sign in enumerate(text):
        if sign == '"':
            quoted = not quoted
        elif not quoted:
            yield position, sign


def _split(text: str, word: str) -> list[str]:
    """The parts between a word that stands outside of parentheses and quotes."""
    depth, begin, parts = 0, 0, []
    plain = dict(_outside_quotes(text))
    for position, sign in plain.items():
        depth += (sign == "(") - (sign == ")")
        end = position + len(word)
        if depth == 0 and text[position:end].upper() == word and _alone(text, position, end):
            parts.append(text[begin:position])
            begin = end
    return [*parts, text[begin:]]


def _alone(text: str, begin: int, end: int) -> bool:
    before, after = text[begin - 1 : begin], text[end : end + 1]
    return not (before.isalnum() or before in ("_", "$", '"', ".")) and not (after.isalnum() or after in ("_", "$", '"', "."))


def _comparison(part: str) -> Comparison | None:
    sides = _sides(part)
    if sides is None:
        return None
    left, right = sides
    if _is_value(left):
        left, right = right, left
    if not _is_value(right):
        return None
    return _column(left)


def _sides(part: str) -> tuple[str, str] | None:
    """What stands before and after the one `=` at the top; None when there is another operator, or no or more than one."""
    depth, places = 0, []
    plain = dict(_outside_quotes(part))
    for position, sign in plain.items():
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and sign in "=<>!~+*/%|&^#@-":
            places.append(position)
    if len(places) != 1 or part[places[0]] != "=":
        return None
    return part[: places[0]].strip(), part[places[0] + 1 :].strip()


def _is_value(text: str) -> bool:
    several = _ANY.fullmatch(text)
    return _VALUE.fullmatch(several["values"] if several else text) is not None


def _column(text: str) -> Comparison | None:
    if (cast := _CAST.fullmatch(text)) and cast["column"].lower() not in _WORDS:
        return Comparison(_plain(cast["qualifier"]), _plain(cast["column"]), cast["type"].strip())
    bare = _BARE.fullmatch(_stripped(text))
    if bare is None or bare["column"].lower() in _WORDS:
        return None
    return Comparison(_plain(bare["qualifier"]), _plain(bare["column"]))


def _plain(name: str | None) -> str:
    if not name:
        return ""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
