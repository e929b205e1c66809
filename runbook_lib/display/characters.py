"""Text from logs, metrics and servers, without the characters that do something instead of being read."""

from __future__ import annotations

import re

__all__ = ["visible"]

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
# Control characters move a terminal's cursor or set its title; bidirectional ones make a line read other than it is;
# half a surrogate pair (an undecodable byte) cannot be sent to the browser at all.
_ACTING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with colour codes taken out and every other acting character spelled, such as `\\x07`. Tabs and lines stay."""
    plain = _ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _ACTING.sub(_spelled, plain)


def _spelled(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
