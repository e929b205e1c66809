"""Names whose value is a secret: of variables, fields, headers and options. One list for service files, plans and the archive."""

from __future__ import annotations

import re

__all__ = ["KEY", "OPTION", "STATES", "names_secret", "option_value_follows"]

_WORD = (
    r"(?:passwords?|passwd|pwd)(?:[_-]?(?:hash|digest|salt))?|passwort|passphrase|passcode|secrets?|tokens?|bearer|"
    r"(?:api|auth|private|access|account|secret|shared|master|session|licen[cs]e|signing|encryption|hmac)[_-]?key|(?:client[_-]?)?key[_-]data|"
    r"credentials?|authorization|x-auth|cookies?|requirepass|masterauth|sess(?:ion)?[_-]?id"
)
# Short words are parts of many others (`compass`, `author`): they count after a separator or as a hump (`dbPass`) alone.
_SHORT = r"(?<=[_.\-])(?:pass|pw)|(?-i:(?<=[a-z0-9])(?:Pass|Pw|PW))"
_AUTH = r"(?<=[_.\-])auth|(?-i:(?<=[a-z0-9])Auth)"
# What follows the word in the name of yet another secret: a number, an environment, a role.
_ROLE = (
    "ro|rw|readonly|readwrite|prod|production|live|test|testing|staging|stage|dev|old|new|current|previous|next|primary|"
    "secondary|main|replica|backup|admin|root|base|plain|raw|b64|base64"
)
# Settings in capitals may end in anything (`API_KEY_STRIPE`) that does not make them a property of the secret (`TOKEN_TTL`).
_PROPERTY = (
    r"FILE|FILENAME|PATH|DIR|NAME|URL|URI|HOST|PORT|ENDPOINT|ADDR|ADDRESS|SERVER|TTL|EXP[A-Z]*|AGE|LIFETIME|MAX|MIN|LEN|LENGTH|SIZE|"
    r"COUNT|TOTAL|LIMIT|RATE|BUCKETS?|TIMEOUT|INTERVAL|SECONDS|MINUTES|HOURS|DAYS|MS|TYPE|MODE|METHOD|ENABLED?|DISABLED?|"
    r"REQUIRED|MISSING|POLICY|ALG[A-Z]*|ISSUER|AUDIENCE|SCOPES?|PREFIX|SUFFIX|HEADER|FIELD|DOMAIN|SECURE|HTTPONLY|SAMESITE|RESET|"
    r"ROTATION|VERSION|IDS?|STORE|PROVIDER|MANAGER|BACKEND|SERVICE|USER|USERNAME|REF|FORMAT|STRENGTH|HASHER|ROUNDS|COST|ERRORS?|"
    r"FAILED|FAILURES?|INVALID|STATUS|REGION|CLASS|MOUNT|ARN|AUTH[A-Z]*|CHECK|CHANGED|AT"
)
_SUFFIX = (
    rf"(?:[_.\-](?:{_ROLE})(?![a-z])|(?-i:_(?!(?:{_PROPERTY})(?![A-Z0-9]))[A-Z][A-Z0-9]{{0,30}})|[_.\-]?\d{{1,2}}(?!\d)){{0,3}}"
)

KEY = rf"[\w.\-]*(?:(?:{_WORD}|{_SHORT}){_SUFFIX}|(?P<auth>{_AUTH}))"
"""For a pattern that ignores case: such a name in text, from its begin. The group `auth`: one that may hold a method."""

OPTION = rf"-{{1,2}}+(?!no-)(?:[\w.\-]*(?:{_WORD}){_SUFFIX}|(?:[\w.\-]*[.\-])?(?:pass|pw|auth))"
"""For a pattern that ignores case: an option of a command whose value is a secret."""

STATES = (
    "ok|fail|failed|failure|passed|success|succeeded|error|denied|granted|enabled|disabled|optional|on|off|always|never|basic|"
    "digest|negotiate|plain|login|md5|cram-md5|scram|scram-sha-(?:1|256|512)|trust|peer|ident|cert|ldap|gss|sspi|kerberos|oauth2?|"
    "jwt|mtls|saml|oidc|iam|aws|pam|radius"
)
"""What the value of an `auth` may be without being a secret: how one logs in, and what came of it."""

_NAME = re.compile(
    rf"(?:.*[\w.\-/ \[])??(?:(?:{_WORD}|{_SHORT}|(?<![\w. \-])(?:pass|pw)){_SUFFIX}|(?P<auth>{_AUTH}|(?<![\w. \-])auth))"
    r"(?:\]?\.value)?\]?",
    re.IGNORECASE,
)
_OPTION_ALONE = re.compile(rf"{OPTION}|requirepass|masterauth", re.IGNORECASE)
_STATE = re.compile(rf"(?:{STATES}|none|null|true|false|yes|no|required)?", re.IGNORECASE)
_LONGEST = 300  # characters: what is longer is a text and no name


def names_secret(name: str, value: object = None) -> bool:
    """Whether what bears this name is a secret whatever it looks like.

    `name` may be a path (`containers[orders].env[DB_PASS]`), whose last part counts. With the value, a name such as `SMTP_AUTH`
    names no secret where the value is a method (`scram-sha-256`) or a state (`true`).
    """
    found = _NAME.fullmatch(name) if len(name) <= _LONGEST else None
    if found is None:
        return False
    return not (found["auth"] and isinstance(value, str | bool) and _STATE.fullmatch(str(value)))


def option_value_follows(element: str) -> bool:
    """Whether this element of a command's arguments (`--password`) says that the next one is a secret."""
    return len(element) <= _LONGEST and bool(_OPTION_ALONE.fullmatch(element))
