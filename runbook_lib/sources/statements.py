"""SQL text: the named statements, what a statement is, and its text without the values in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["acting_function", "first_word", "named", "normalised", "rendered"]

_MAXIMUM = 2_000  # characters
_TOKENS = re.compile(
    r"""
      (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<string>\b[Ee]'(?:[^'\\]|''|\\.)*(?:'|\Z)           # only these know the backslash
        | (?:\b(?:[BbXxNn]|[Uu]&))?'(?:[^']|'')*(?:'|\Z)
        | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z))
    | (?P<identifier>"(?:[^"]|"")*(?:"|\Z))
    | (?P<number>(?<![\w$.])\d[\w.]*(?:(?<=[eE])[+-]\d+)?)
    """,
    re.VERBOSE | re.DOTALL,
)
_LISTS = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")
_FIRST = re.compile(r"[\s(]*([A-Za-z]+)")

# Functions that act on the server or on other sessions, and that a read-only transaction lets through.
_ACTING = re.compile(
    r"\b(pg_(?:terminate_backend|cancel_backend|reload_conf|rotate_logfile|promote|switch_wal|create_restore_point|wal_replay_\w+"
    r"|backup_\w+|start_backup|stop_backup|stat_reset\w*|stat_statements_reset|try_advisory\w*|advisory\w*|file_\w+|notify"
    r"|create_\w*replication_slot|drop_replication_slot|replication_slot_advance|copy_\w*replication_slot|replication_origin_\w+"
    r"|logical_\w+|log_backend_memory_contexts|export_snapshot)|set_config|dblink\w*|lo_\w+)\"?\s*\(",
    re.IGNORECASE,
)


@cache
def named(name: str) -> str:
    """The statement of `sql/<name>.sql`."""
    return resources.files("runbook_lib.sources").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def rendered(sql: str, parameters: Mapping[str, Any]) -> str:
    """A statement on one line, without comments and with its parameters in it, to be pasted into psql."""

    def literal(match: re.Match[str]) -> str:
        value = parameters[match[1]]
        return "'" + str(value).replace("'", "''") + "'" if isinstance(value, str) else str(value)

    text = _TOKENS.sub(lambda token: " " if token["comment"] else token[0], sql)
    if parameters:
        text = re.sub(r"%\((\w+)\)s", literal, text).replace("%%", "%")
    return " ".join(text.split()).rstrip("; ")


def normalised(sql: str) -> str:
    """A statement's text with every constant replaced by `?`: it may hold names, addresses, or card numbers.

    Comments go too. A text that the server has cut off in the midst of a constant (track_activity_query_size) is no exception.
    """
    text = _TOKENS.sub(lambda token: " " if token["comment"] else token[0] if token["identifier"] else "?", sql)
    return _LISTS.sub("(?, …)", " ".join(text.split()))[:_MAXIMUM]


def first_word(sql: str) -> str:
    """What kind of statement it is (`select`, `with`, `show`, …); empty when it begins with no word."""
    match = _FIRST.match(_TOKENS.sub(lambda token: " " if token["comment"] else token[0], sql))
    return match[1].lower() if match else ""


def acting_function(sql: str) -> str | None:
    """The function in a statement that would change something although the transaction is read-only; None when there is none.

    This stops accidents, such as a line pasted from a wiki. What a role must never do is for its grants to say.
    """
    code = _TOKENS.sub(lambda token: " " if token["comment"] or token["string"] else token[0], sql)
    match = _ACTING.search(code)
    return match[1].lower() if match else None
