"""Secrets and personal data as statements, and what PostgreSQL tells of a statement that failed, hold them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runbook_lib.archive.masking import MASK, NOT_YET, QUOTE, value
from runbook_lib.archive.rule import rule
from runbook_lib.service.secret_names import KEY, names_secret

__all__ = ["SQL_RULES"]

# A literal may be cut off by the end of the text: `track_activity_query_size` is 1 KiB.
_LITERAL = r"'(?:[^'\\]|''|\\.)*+(?:'|\Z)"
_CALL = rf"\((?:{_LITERAL}|[^'()])*+\)?"
_ROW = rf"\((?:{_LITERAL}|{_CALL}|[^'()])*+\)?"
_INSIDE = r"(?P<value>(?:[^'\\\n]|''|\\.)+)"
_PART = re.compile(rf"{_LITERAL}|[(),]", re.DOTALL)
_NUMBER_OR_TIME = re.compile(r"[\d.:+\-][\d.:+\- T]{0,40}Z?")


def _inserted(match: re.Match[str]) -> str:
    """The rows of an INSERT without the literals of columns whose name is a secret's."""
    columns = [name.strip(' \t\r\n"`') for name in match["columns"].split(",")]
    secret = {place for place, name in enumerate(columns) if names_secret(name)}
    if not secret:
        return match[0]
    return match[0][: match.start("rows") - match.start()] + "".join(_without(match["rows"], secret))


def _without(rows: str, secret: set[int]) -> Iterator[str]:
    """The pieces of some rows, with a mask for each literal in a place of `secret`."""
    depth = place = done = 0
    for part in _PART.finditer(rows):
        yield rows[done : part.start()]
        done = part.end()
        match part[0]:
            case "(":
                depth, place = depth + 1, place if depth else 0
            case ")":
                depth -= 1
            case ",":
                place += depth == 1
        masked = part[0][0] == "'" and place in secret
        yield f"'{MASK}'" if masked else part[0]
    yield rows[done:]


def _key(match: re.Match[str]) -> str:
    """What a unique or foreign key was violated by, where one of its columns is a secret's."""
    secret = any(names_secret(name.strip(' "')) for name in match["columns"].split(","))
    return value(match) if secret else match[0]


def _parameter(match: re.Match[str]) -> str:
    """A statement's parameter: nothing says what it is, so that numbers and times alone stay."""
    return match[0] if _NUMBER_OR_TIME.fullmatch(match["value"]) else value(match)


SQL_RULES = (
    rule(
        "SQL",
        ("password", "identified"),
        rf"\b(?:PASSWORD|IDENTIFIED\b[^\n;']{{0,60}}?\bBY)\s{{1,20}}(?:E|U&)?(?:'|\"(?=[^\"\n]{{1,200}}\")){NOT_YET}"
        r"(?P<value>(?:[^'\"\\\n]|''|\\.|(?<!')\"(?=[^\"\n]*'))+)",
        value,
    ),
    rule(
        "SQL in dollars",
        ("password $",),
        rf"\bPASSWORD\s{{1,20}}(?P<tag>\$\w{{0,60}}\$){NOT_YET}(?P<value>(?:(?!(?P=tag)).){{1,500}})",
        value,
    ),
    rule(
        "INSERT",
        ("insert",),
        rf"\bINSERT\s{{1,20}}INTO\s{{1,20}}[^\s()]{{1,200}}(?:\s{{1,20}}AS\s{{1,20}}\w{{1,60}})?\s{{0,20}}\((?P<columns>[^()']{{1,8000}})\)"
        rf"\s{{0,20}}VALUES\s{{0,20}}(?P<rows>{_ROW}(?:\s{{0,20}},\s{{0,20}}{_ROW})*+)",
        _inserted,
        flags=re.IGNORECASE | re.DOTALL,
    ),
    rule("crypt", ("crypt",), rf"\bcrypt\s?\(\s{{0,20}}E?'{NOT_YET}{_INSIDE}", value),
    rule(
        "key of a cipher",
        ("crypt", "hmac"),
        rf"\b(?:(?:pgp_sym_)?(?:en|de)crypt(?:_bytea|_iv)?|hmac)\s?\(\s{{0,20}}(?:E?{_LITERAL}|{_CALL}|[^',()]++){{1,9}},\s{{0,20}}E?'{NOT_YET}{_INSIDE}",
        value,
    ),
    rule("set_config", ("set_config",), rf"\bset_config\s?\(\s{{0,20}}'{KEY}'\s{{0,20}},\s{{0,20}}E?'{NOT_YET}{_INSIDE}", value),
    rule("parameter", ("$1 = ",), rf"\$\d{{1,5}} = (?P<quote>{QUOTE}?)'{NOT_YET}{_INSIDE}", _parameter),
    rule("failing row", ("failing row",), rf"\bfailing row contains \({NOT_YET}(?P<value>[^\r\n]+)\)", value),
    rule("violated key", ("key (",), rf"\bKey \((?P<columns>[^()\r\n]{{1,500}})\)=\({NOT_YET}(?P<value>[^\r\n]+?)\)(?= )", _key),
)
"""In the order in which they are applied."""
