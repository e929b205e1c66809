"""The shapes of secrets and personal data in text: a table of rules, each a pattern and what takes its place.

A rule replaces the secret and leaves what is around it, so that the line can still be read. Each must leave alone what an
incident is made of: pod names, image digests, UUIDs, timestamps, metric names, and references such as `env:NAME`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["MASK", "RULES", "SECRET_KEY", "WORTH_A_LOOK", "is_reference"]

MASK = "[redacted]"

_WORDS = (
    r"passwords?|passwd|pwd|passphrase|passcode|secrets?|tokens?|bearer|api[_-]?key|apikey|private[_-]?key|access[_-]?key|"
    r"account[_-]?key|secret[_-]?key|signing[_-]?key|encryption[_-]?key|client[_-]?key[_-]data|key[_-]data|credentials?|"
    r"authorization|x-auth|cookies?|requirepass|masterauth|sslpassword|session[_-]?id"
)
SECRET_KEY = re.compile(rf"(?:^|.*[_.\-/ ]|.*(?<=[a-z0-9]))(?:{_WORDS})", re.IGNORECASE)
"""Matched whole: names of fields, variables and headers whose value is a secret whatever it looks like."""

_KEY = rf"[\w.\-]*(?:{_WORDS})"
_QUOTE = r"(?:\\*[\"'`]|&quot;|&\#(?:39|34|x27);)"
_NOT_YET = r"(?!\[redacted\])"
# What a value may be without being a secret: nothing, a reference to one, or a placeholder.
_HARMLESS = re.compile(
    r"(?:none|null|nil|true|false|yes|no|undefined|required|missing|invalid|expired|bearer|basic|<[\w -]+>|\*+|x{3,}|\.{3}|…"
    r"|\d{1,3})?",
    re.IGNORECASE,
)
# What a command that is meant to be pasted holds in a header: the shell's variable for the secret.
_VARIABLE = re.compile(r"(?:(?:bearer|basic|token)\s+)?\$(?:\{[A-Za-z_]\w*\}|[A-Za-z_]\w*)", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:env|file):\S+|\$\{?\w+.*|\{\{.*")


def is_reference(value: str) -> bool:
    """Whether a value names a secret's place (`env:NAME`, `file:PATH`, `$NAME`), or is none (`null`, `***`)."""
    return bool(_REFERENCE.fullmatch(value) or _HARMLESS.fullmatch(value))


@dataclass(frozen=True, slots=True)
class Rule:
    """`pattern` finds, `replace` gives what stands there instead (the match itself: a false alarm)."""

    name: str
    pattern: re.Pattern[str]
    replace: Callable[[re.Match[str]], str]


def _whole(_match: re.Match[str]) -> str:
    return MASK


def _value(match: re.Match[str]) -> str:
    """Replace the group `value`, unless it only refers to a secret."""
    value = match["value"]
    if is_reference(value.strip()) or _VARIABLE.fullmatch(value.strip()) or value.startswith(MASK):
        return match[0]
    start, end = match.span("value")
    return match[0][: start - match.start()] + MASK + match[0][end - match.start() :]


def _either(match: re.Match[str]) -> str:
    """Replace the value of a named one, quoted or bare."""
    group = "quoted" if match["quoted"] is not None else "bare"
    value = match[group]
    if is_reference(value.strip()) or value.startswith(MASK):
        return match[0]
    start, end = match.span(group)
    return match[0][: start - match.start()] + MASK + match[0][end - match.start() :]


def _credentials(match: re.Match[str]) -> str:
    """A word after `Bearer` or `Basic` that is a credential and not prose (`bearer authentication failed`)."""
    value = match["value"]
    if match["scheme"].lower() == "basic" and not _is_basic(value):
        return match[0]
    prose = re.fullmatch(r"[A-Z]?[a-z]+[.,]?", value) and len(value) < 24
    return match[0] if prose or value == "token" else f"{match['scheme']}{match['space']}{MASK}"


def _is_basic(value: str) -> bool:
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def _address(match: re.Match[str]) -> str:
    """An e-mail address, unless it is `user@host` of a DSN or a name within the cluster or the machine."""
    before = match.string[max(0, match.start() - 3) : match.start()]
    inside = match["last"].lower() in ("svc", "local", "internal", "cluster", "service", "socket", "lan", "invalid")
    return match[0] if before == "://" or inside or match["name"] == "git" else MASK


def _card(match: re.Match[str]) -> str:
    """A payment card's number: the right length for its brand, and a right check digit."""
    digits = re.sub(r"\D", "", match[0])
    lengths = {"3": (14, 15), "4": (16, 19), "5": (16,), "2": (16,), "6": (16, 19)}
    total = sum(_doubled(int(digit)) if place % 2 else int(digit) for place, digit in enumerate(reversed(digits)))
    return MASK if len(digits) in lengths.get(digits[0], ()) and total % 10 == 0 else match[0]


def _doubled(digit: int) -> int:
    return 2 * digit - 9 if digit > 4 else 2 * digit


def _rule(name: str, pattern: str, replace: Callable[[re.Match[str]], str] = _whole, *, flags: int = re.IGNORECASE) -> Rule:
    return Rule(name, re.compile(pattern, flags), replace)


RULES: tuple[Rule, ...] = (
    _rule(
        "private key",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|[A-Za-z0-9+/=\s\\]*)",
        flags=re.DOTALL,
    ),
    _rule("JSON web token", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?", flags=0),
    _rule(
        "header",
        rf"\b(?:proxy-)?(?:authorization|(?:set-)?cookie|x-api-key|x-auth-token){_QUOTE}?[ \t]*[:=][ \t]*+{_QUOTE}?+"
        rf"{_NOT_YET}(?P<value>[^\r\n\"'`<>&\\]{{4,}})",
        _value,
    ),
    _rule("authorization", r"\b(?P<scheme>bearer|basic)(?P<space>\s+)(?P<value>[A-Za-z0-9._~+/-]{8,}=*)", _credentials),
    _rule(
        "password in a URL",
        rf"\b[a-z][a-z0-9+.-]*://[^/\s:@\"'<>]*:{_NOT_YET}(?!\d{{1,5}}/)(?P<value>[^\s\"'<>]*[^\s\"'<>/])(?=@[\w.\[%-])",
        _value,
    ),
    _rule(
        "named variable",
        rf"\bname{_QUOTE}?\s*[:=]\s*{_QUOTE}?{_KEY}{_QUOTE}?,?\s*{_QUOTE}?value{_QUOTE}?\s*[:=]\s*+"
        rf"(?:(?P<quote>{_QUOTE}){_NOT_YET}(?P<quoted>.*?)(?P=quote)|{_NOT_YET}(?P<bare>[^\s,;&}}\])]+))",
        _either,
    ),
    _rule(
        "named value",
        rf"(?<![\w.\-]){_KEY}{_QUOTE}?[ \t]*(?::|=>?+|%3D)[ \t]*+"
        rf"(?:(?P<quote>{_QUOTE}){_NOT_YET}(?P<quoted>(?:(?!(?P=quote)).)*)(?P=quote)|{_NOT_YET}(?P<bare>[^\s,;&}}\])\"'<>\\]+))",
        _either,
    ),
    _rule(
        "signed address",
        rf"[?&;](?:sig|signature|key|code|auth|x-amz-(?:signature|credential|security-token))=(?P<value>{_NOT_YET}[^\s&;\"'<>]+)",
        _value,
    ),
    _rule(
        "option",
        r"(?<!\S)--?(?:[\w-]*-)?(?:password|passwd|token|secret|api-key)[ \t]++"
        rf"{_QUOTE}?+{_NOT_YET}(?P<value>[^\s\"'`-][^\s\"'`]*)",
        _value,
    ),
    _rule("curl -u", rf"(?<=\s)(?:-u|--user)[ =]?+{_QUOTE}?+[^\s:\"']+:{_NOT_YET}(?P<value>[^\s\"'`]+)", _value, flags=0),
    _rule("redis-cli -a", rf"redis-cli\b[^\n|;]*?\s-a\s++{_QUOTE}?+{_NOT_YET}(?P<value>[^\s\"'`]+)", _value, flags=0),
    _rule("SQL", rf"\b(?:PASSWORD|IDENTIFIED\s+BY)\s+'{_NOT_YET}(?P<value>[^']+)'", _value),
    _rule("redis config", rf"\b(?:requirepass|masterauth)\s++{_QUOTE}?+{_NOT_YET}(?P<value>[^\s\"'`]+)", _value),
    _rule("AWS key", r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[0-9A-Z]{16}\b", flags=0),
    _rule("Google key", r"\bAIza[A-Za-z0-9_-]{35}|\bya29\.[A-Za-z0-9_-]{20,}|\bGOCSPX-[A-Za-z0-9_-]{20,}", flags=0),
    _rule("GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}|\bglpat-[A-Za-z0-9_-]{20,}", flags=0),
    _rule("Slack", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}|(?<=hooks\.slack\.com/)\S{10,}", flags=0),
    _rule(
        "other services' keys",
        r"\b[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{20,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bhv[sbr]\.[A-Za-z0-9_-]{20,}|"
        r"\bgl(?:sa|c)_[A-Za-z0-9_+/=]{20,}|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{30,}|\bdop_v1_[a-f0-9]{40,}",
        flags=0,
    ),
    _rule("e-mail", r"(?<![\w.+%-])(?P<name>[\w.+-]+)(?:@|%40)(?:[A-Za-z0-9-]+\.)+(?P<last>[A-Za-z]{2,})\b", _address),
    _rule("payment card", r"(?<![\w.-])\d(?:[ -]?\d){13,18}(?![\w-]|\.\d)", _card),
    _rule(
        "phone number",
        rf"\b\w*(?:phone|tel|telephone|mobile|cell|fax|msisdn)(?:[_ ]?(?:no|nr|number))?{_QUOTE}?[ \t]*[:=][ \t]*{_QUOTE}?"
        r"(?P<value>\+?\(?\d[\d ()./-]{5,}\d)",
        _value,
    ),
)
"""In the order in which they are applied."""

WORTH_A_LOOK = re.compile(
    rf"{_WORDS}|pass|auth|eyJ|BEGIN|://|@|%40|basic\s|AKIA|ASIA|AGPA|AIDA|AROA|AIza|ya29|GOCSPX|gh[pousr]_|glpat|github_pat|xox|xapp|slack|"
    r"[rsp]k_|sk-|SG\.|hv[sbr]\.|gl(?:sa|c)_|npm_|pypi-|dop_v1|\s-[ua]\b|--user|identified|phone|tel|mobile|cell|fax|msisdn|"
    r"[?&;](?:sig|key|code)|x-amz|(?:\d[ -]?){14}",
    re.IGNORECASE,
)
"""A cheap first look: text in which this finds nothing is left alone by every rule."""
