"""What takes the place of a match: the mask for what is a secret, the text as it was for what only looks like one."""

from __future__ import annotations

import base64
import binascii
import re

from runbook_lib.service.secret_names import STATES

__all__ = [
    "MASK",
    "NOT_YET",
    "QUOTE",
    "VALUE",
    "access_rules",
    "card",
    "code",
    "credentials",
    "email",
    "iban",
    "is_reference",
    "key_line",
    "listed",
    "loose",
    "named",
    "random",
    "said",
    "setting",
    "value",
    "whole",
]

MASK = "[redacted]"

QUOTE = r"(?:\\*[\"'`]|&quot;|&\#(?:39|34|x27);|%2[27])"
NOT_YET = r"(?!\[redacted\])"

# A bare value goes on over a comma, an ampersand and the like, unless what follows has a name of its own.
_BARE = (
    r"(?:\$\{[^}\s]*\}|\$\([^)\s]*\)|\{\{[^}\r\n]{0,100}\}\}|\{(?!\s*\w+\s*[:=])[^{}\r\n\"']{1,200}\}|[^\s,;&}\])\"'<>\\])"
    r"(?:[^\s,;&}\])\"'<>\\]|[,&\]'](?=[\w!$%^*@#])(?!#?\w{1,8};|[\w.\- ]{1,40}[\"']?\s?[=:])|\\(?![nrtbfu\"'\\/]))*"
)
VALUE = (
    rf"(?:(?P<quote>[\"'`]|&quot;|&\#(?:39|34|x27);|%2[27]){NOT_YET}(?P<quoted>(?:\\.|(?!(?P=quote))[^\\\r\n])*+)(?P=quote)"
    rf"|(?P<escape>\\+[\"'`]){NOT_YET}(?P<escaped>(?:(?!(?P=escape))\\*+[^\\\r\n])*+)(?P=escape)"
    rf"|{QUOTE}?+{NOT_YET}(?P<bare>{_BARE}))"
)
"""The value of a named one: within quotes, in which escaped ones do not end it; within quotes that are escaped themselves, as in
JSON within JSON; or bare, also after a quote that a cut line never closed."""

# What a value may be without being a secret: nothing, a reference to one, or a placeholder.
_HARMLESS = re.compile(
    r"(?:none|null|nil|true|false|yes|no|undefined|required|missing|invalid|expired|bearer|basic|<[\w -]+>|\*+|x{3,}|\.{3}|…"
    r"|\d{1,3}|\?|%s|\$\d{1,3}|%\(\w+\)s)?",
    re.IGNORECASE,
)
# Variables of a shell in capitals alone: a password may begin with a dollar, too.
_SHELL = r"\$(?:[A-Z_][A-Z0-9_]*|\{[A-Za-z_]\w*(?::?[?-])?\}?|\([A-Za-z_]\w*\)?)"
_REFERENCE = re.compile(rf"env:[A-Z_][A-Z0-9_]*|file:[\w.~-]*/[\w./@+~-]*|{_SHELL}|\{{\{{(?:[^{{}}]*\}}\}})?")
# What stands for a secret where a plan or a comparison of templates was made.
_TOLD = re.compile(r"\((?:hidden|not set|from [^()]{1,300})\)(?: \((?:changed|differs)\))?")
# What a command that is meant to be pasted holds in a header.
_VARIABLE = re.compile(rf"(?:(?i:bearer|basic|token)\s+)?{_SHELL}")
_STATE = re.compile(STATES, re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z_]+[.,:]?|[\w.]+\(.*")


def is_reference(value: str) -> bool:
    """Whether a value names a secret's place (`env:NAME`, `file:PATH`, `$NAME`), or is none (`null`, `***`, `$1`)."""
    return any(pattern.fullmatch(value) for pattern in (_REFERENCE, _HARMLESS, _TOLD))


def whole(_match: re.Match[str]) -> str:
    """Replace all of it."""
    return MASK


def value(match: re.Match[str]) -> str:
    """Replace the group `value`, unless it only refers to a secret."""
    found = match["value"].strip()
    return match[0] if is_reference(found) or _VARIABLE.fullmatch(found) else _masked(match, "value")


def named(match: re.Match[str]) -> str:
    """Replace the value of a named one (VALUE), unless it refers to a secret, or tells a method under `auth`."""
    group = next(name for name in ("quoted", "escaped", "bare") if match[name] is not None)
    found = match[group].strip()
    method = match.groupdict().get("auth") and _STATE.fullmatch(found)
    return match[0] if is_reference(found) or method else _masked(match, group)


def loose(match: re.Match[str]) -> str:
    """The same for `pass`, `pw` and `auth` alone, which prose and code use as well: a word or a call is no secret."""
    group = next(name for name in ("quoted", "escaped", "bare") if match[name] is not None)
    found = match[group].strip()
    firm = group != "bare" or match["separator"] == "="
    plain = _WORD.fullmatch(found) and not (firm and match["name"].lower() != "auth")
    return match[0] if plain or _STATE.fullmatch(found) else named(match)


def setting(match: re.Match[str]) -> str:
    """Replace the group `value`, unless it is a method or a state."""
    return match[0] if _STATE.fullmatch(match["value"]) else value(match)


def listed(match: re.Match[str]) -> str:
    """Replace the second of two in a tuple, unless it is a word as the first is: then both are names."""
    return match[0] if re.fullmatch(r"[a-z_]+", match["value"]) else value(match)


def said(match: re.Match[str]) -> str:
    """A secret that a sentence gives away: what has capitals, small letters and digits is no word."""
    found = match["value"]
    mixed = all(re.search(kind, found) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return _masked(match, "value") if mixed else match[0]


def random(match: re.Match[str]) -> str:
    """What `session` or `signature` names, where it looks drawn at random: mixed, or long and hexadecimal; no time."""
    if re.match(r"\d{8}T\d|\d{4}-\d\d-\d\dT\d", match["value"]):
        return match[0]
    return _masked(match, "value") if re.fullmatch(r"[0-9a-f-]{24,}", match["value"]) else said(match)


def code(match: re.Match[str]) -> str:
    """A number of few digits that is asked for beside a password or a card."""
    return _masked(match, "value")


def credentials(match: re.Match[str]) -> str:
    """A word after `Bearer` or `Basic` that is a credential and not prose (`bearer authentication failed`)."""
    found = match["value"]
    if match["scheme"].lower() == "basic" and not _is_basic(found):
        return match[0]
    prose = re.fullmatch(r"[A-Z]?[a-z]+[.,]?", found) and len(found) < 24
    return match[0] if prose or found == "token" else f"{match['scheme']}{match['space']}{MASK}"


def key_line(match: re.Match[str]) -> str:
    """A line of a private key whose begin stands elsewhere. A digest has no capitals, or nothing else."""
    mixed = all(re.search(kind, match[0]) for kind in ("[g-z]", "[A-Z]", "[0-9]"))
    return MASK if mixed else match[0]


def access_rules(match: re.Match[str]) -> str:
    """The passwords among the rules that Redis is given for a user: `>secret`, `<secret` and hashes after `#` and `!`."""
    return re.sub(rf"(?<=[\s\"'])(>|<|&gt;|&lt;|[#!](?=[0-9a-f]{{64}})){NOT_YET}[^\s\"'`\\]+", rf"\1{MASK}", match[0])


def email(match: re.Match[str]) -> str:
    """An e-mail address, unless it is `user@host` of a DSN or a name within the cluster or the machine."""
    before = match.string[max(0, match.start() - 3) : match.start()]
    inside = match["last"].lower() in ("svc", "local", "internal", "cluster", "service", "socket", "lan", "invalid")
    return match[0] if before == "://" or inside or match["name"] == "git" else MASK


def iban(match: re.Match[str]) -> str:
    """An account's number: its check digits are right."""
    digits = re.sub(r"\W", "", match[0]).upper()
    number = "".join(str(int(sign, 36)) for sign in digits[4:] + digits[:4])
    return MASK if 15 <= len(digits) <= 34 and int(number) % 97 == 1 else match[0]


def card(match: re.Match[str]) -> str:
    """A payment card's number: the right length for its brand, and a right check digit."""
    digits = re.sub(r"\D", "", match[0])
    lengths = {"3": (14, 15), "4": (16, 19), "5": (16,), "2": (16,), "6": (16, 19)}
    total = sum(_doubled(int(digit)) if place % 2 else int(digit) for place, digit in enumerate(reversed(digits)))
    return MASK if len(digits) in lengths.get(digits[0], ()) and total % 10 == 0 else match[0]


def _masked(match: re.Match[str], group: str) -> str:
    start, end = match.span(group)
    if match[group].startswith(MASK):
        return match[0]
    return match[0][: start - match.start()] + MASK + match[0][end - match.start() :]


def _is_basic(text: str) -> bool:
    try:
        return b":" in base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def _doubled(digit: int) -> int:
    return 2 * digit - 9 if digit > 4 else 2 * digit
