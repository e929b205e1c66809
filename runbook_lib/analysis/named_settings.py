"""Whether an error names a setting: by its key, by its whole value, or by a part of the value such as a URL's host."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

__all__ = ["names_address", "names_setting"]

_SHORTEST_VALUE = 3  # a value that is shorter is found in any text
# What resolvers say of a host that there is not: glibc, musl, libpq, Go, Node, the JVM.
_UNKNOWN_HOST = re.compile(
    r"Name or service not known|name resolution|nodename nor servname|could not translate host name|no such host"
    r"|ENOTFOUND|EAI_AGAIN|Name does not resolve|UnknownHost|Could not resolve",
    re.IGNORECASE,
)


def names_setting(text: str, key: str, new: str, old: str = "") -> bool:
    """Whether an error speaks of a setting and of no other: by its key, its new value, or a host of it that nobody knows."""
    if key and re.search(rf"\b{re.escape(key)}\b", text):
        return True
    if len(new) >= _SHORTEST_VALUE and new in text:
        return True
    host = _parts(new).get("host", "")
    if not host or host == _parts(old).get("host"):
        return False
    return any(_UNKNOWN_HOST.search(line) and _has(line, host) for line in text.splitlines())


def names_address(text: str, new: str, old: str = "") -> bool:
    """Whether an error names a part of a URL that is not as it was: host, port, or the name behind them.

    A weaker sign than a setting's own name: the same error comes when what is at a right address fails.
    """
    was = _parts(old)
    return any(_has(text, part) for kind, part in _parts(new).items() if part != was.get(kind))


def _parts(value: str) -> dict[str, str]:
    """Host, port and first name of the path of a URL; nothing of what is none."""
    try:
        url = urlsplit(value.strip().removeprefix("jdbc:"))
        found = {"host": url.hostname or "", "port": str(url.port or ""), "name": url.path.strip("/").partition("/")[0]}
    except ValueError:  # such as a port that is no number
        return {}
    return {kind: part for kind, part in found.items() if len(part) >= _SHORTEST_VALUE} if url.scheme and url.hostname else {}


def _has(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", text, re.IGNORECASE) is not None
