"""The shapes of secrets and personal data in text: a table of rules, each a pattern and what takes its place.

A rule replaces the secret and leaves what is around it, so that the line can still be read. Each must leave alone what an
incident is made of: pod names, image digests, UUIDs, timestamps, metric names, and references such as `env:NAME`. Each must be
done with a line of a megabyte: what repeats within a pattern has an upper end, or can begin at few places only.
"""

from __future__ import annotations

import re

from runbook_lib.archive.masking import (
    NOT_YET,
    QUOTE,
    VALUE,
    access_rules,
    card,
    code,
    credentials,
    email,
    iban,
    key_line,
    listed,
    loose,
    named,
    random,
    said,
    setting,
    value,
)
from runbook_lib.archive.rule import Rule, rule
from runbook_lib.archive.sql_patterns import SQL_RULES
from runbook_lib.service.secret_names import KEY, OPTION

__all__ = ["RULES"]

_NAMES = ("pass", "pwd", "pw", "secret", "token", "bearer", "key", "credential", "auth", "cookie", "session", "sessid")


RULES: tuple[Rule, ...] = (
    rule(
        "private key",
        ("private key-----",),
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
        r"(?:(?:(?!-----BEGIN ).)*?-----END [A-Z ]{0,40}PRIVATE KEY-----|[A-Za-z0-9+/=\s\\]*)",
        flags=re.DOTALL,
    ),
    rule("line of a private key", (), r"(?<![^\s\"'])[A-Za-z0-9+/]{64}(?![^\s\"'\\])", key_line, flags=0),
    rule("JSON web token", ("eyj",), r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?", flags=0),
    rule(
        "header",
        ("authorization", "cookie", "x-api-key", "x-auth-token"),
        rf"\b(?:proxy-)?(?:authorization|(?:set-)?cookie|x-api-key|x-auth-token){QUOTE}?[ \t]*[:=][ \t]*+{QUOTE}?+"
        rf"{NOT_YET}(?P<value>(?:={QUOTE}[^\r\n\"'`<>&\\]*+{QUOTE}(?=[;,\s\"'\\]|$)|[^\r\n\"'`<>&\\]){{4,}})",
        value,
    ),
    rule(
        "authorization",
        ("bearer", "basic"),
        r"\b(?P<scheme>bearer|basic)(?P<space>\s{1,20})(?P<value>[A-Za-z0-9._~+/-]{8,}=*)",
        credentials,
    ),
    rule(
        "password in a URL",
        ("://",),
        rf"(?<=://)[^/\s:@\"'<>]{{0,200}}:{NOT_YET}(?!\d{{1,5}}/)(?P<value>[^\s\"'<>]{{0,1000}}[^\s\"'<>/])(?=@[\w.\[%-])",
        value,
    ),
    rule(
        "password in an encoded URL",
        ("%3a%2f%2f",),
        rf"(?<=%3A%2F%2F)(?:(?!%3A|%2F|%40)[^\s\"'&<>]){{0,200}}%3A{NOT_YET}"
        r"(?P<value>(?:(?!%40|%3A%2F%2F)[^\s\"'&<>]){1,500})(?=%40)",
        value,
    ),
    rule(
        "password of a Go DSN",
        ("@tcp(", "@unix(", "@udp("),
        rf"(?<![\w.\-])[\w.\-]{{1,100}}:{NOT_YET}(?P<value>[^\s\"'<>]{{1,500}})(?=@(?:tcp|unix|udp)\()",
        value,
    ),
    rule(
        "token in a URL",
        ("https://", "http://"),
        rf"(?<=://){NOT_YET}(?P<value>(?=[^\s@/]{{0,200}}\d)[^/\s:@\"'<>?#]{{12,300}})(?=@[\w\[])",
        value,
    ),
    rule("password of Oracle", ("jdbc:oracle",), rf"\bjdbc:oracle:\w+:[^\s/:@\"']+/{NOT_YET}(?P<value>[^\s\"'@]+)(?=@)", value),
    rule(
        "block",
        _NAMES,
        rf"(?:^|(?<=\\n)|(?<=[\"']))(?P<indent>[-+]?[ \t]*+)(?:-[ \t]+)?{QUOTE}?{KEY}{QUOTE}?:[ \t]*"
        rf"(?P<value>[|>][-+0-9]{{0,2}}[ \t]*(?:\r?\n(?P=indent)[ \t]+[^\n]+|\\n(?P=indent)[ \t]+(?:[^\n\\\"]|\\(?!n))+)+)",
        value,
        flags=re.IGNORECASE | re.MULTILINE,
    ),
    rule(
        "value on the next line",
        _NAMES,
        rf"(?:^|(?<=\\n))(?P<indent>[-+]?[ \t]*+){KEY}:[ \t]*(?:\r?\n|\\n)(?P=indent)[ \t]+{NOT_YET}"
        r"(?P<value>(?!-[ \t])[^\s:\\]+)[ \t]*(?=\r?$|\\n|[\"'])",
        value,
        flags=re.IGNORECASE | re.MULTILINE,
    ),
    rule(
        "element",
        ("</", "&lt;/"),
        rf"(?<=[<:;]){KEY}(?:\s[^<>&]{{0,200}})?(?:>|&gt;){NOT_YET}(?P<value>(?:(?!&lt;)[^<>]){{1,4000}})(?=</|&lt;/)",
        value,
    ),
    rule(
        "named variable",
        ("name", "key"),
        rf"\b(?:name|key){QUOTE}?\s{{0,20}}[:=]\s{{0,20}}{QUOTE}?{KEY}{QUOTE}?,?\s{{0,100}}{QUOTE}?value{QUOTE}?\s{{0,20}}[:=]\s{{0,20}}+{VALUE}",
        named,
    ),
    rule("named value", _NAMES, rf"(?<![\w.\-]){KEY}{QUOTE}?[ \t]*(?::|=>?+|%3[AD])[ \t]*+{VALUE}", named),
    rule(
        "pass and auth",
        ("pass", "pw", "auth"),
        rf"(?<![\w.\-])(?P<name>pass|pw|auth)(?:{QUOTE}[ \t]*(?:=>?|:)[ \t]*|(?P<separator>=)|[ \t]*=>?[ \t]*){VALUE}",
        loose,
    ),
    rule(
        "pass and auth, of YAML",
        ("pass: ", "pw: ", "auth: "),
        rf"(?<![\w.\-])(?:pass|pw|auth):[ \t]{{1,20}}{NOT_YET}"
        r"(?P<value>(?=[^\s]{0,200}[^\sA-Za-z_.,:])[^\s,;\"'()]+)(?=[ \t]*\r?$)",
        setting,
        flags=re.MULTILINE,
    ),
    rule(
        "signed address",
        ("=",),
        r"(?:[?&;]|(?<=\s)(?=x-amz-)|(?<=SharedAccessSignature ))"
        rf"(?:sig|signature|key|code|auth|x-amz-(?:signature|credential|security-token))=(?P<value>{NOT_YET}[^\s&;\"'<>]+)",
        value,
    ),
    rule(
        "session",
        ("session", "sid", "csrf", "xsrf", "nonce", "saml", "signature", "salt", "licen"),
        rf"(?<![\w\-])(?:[\w\-]{{1,60}}[.\-_])?(?:session|sid|csrf|xsrf|nonce|saml(?:response|request|assertion)|signature|salt|licen[cs]e)"
        rf"{QUOTE}?[ \t]*[:=][ \t]*+{QUOTE}?+{NOT_YET}(?P<value>[A-Za-z0-9+/_.~%=!\-]{{10,}})",
        random,
    ),
    rule(
        "one-time password",
        ("otp", "2fa", "mfa", "verification", "cvv", "cvc"),
        rf"(?<![\w\-])(?:\w{{0,60}}[._\-])?(?:t?otp|2fa|mfa|verification|cvv2?|cvc2?)"
        rf"(?:[_ \-]?(?:code|token))?{QUOTE}?[ \t]*[:=][ \t]*+{QUOTE}?+(?P<value>\d{{3,8}})(?!\w)",
        code,
    ),
    rule(
        "option",
        _NAMES,
        rf"(?<![\w\-]){OPTION}(?:[ \t]++|{QUOTE}[ \t]*,?\s{{0,100}}(?={QUOTE})|\r?\n[-+]?[ \t]*-[ \t]+)"
        rf"{QUOTE}?+{NOT_YET}(?P<value>[^\s\"'`\\-][^\s\"'`\\]*)",
        value,
    ),
    rule(
        "pair",
        _NAMES,
        rf"[(\[]\s{{0,20}}{QUOTE}{KEY}{QUOTE}\s{{0,20}},\s{{0,20}}(?P<quote>{QUOTE}){NOT_YET}"
        r"(?P<value>(?:(?!(?P=quote))[^\r\n]){1,4000})(?P=quote)\s{0,20}[)\]]",
        listed,
    ),
    rule(
        "curl -u",
        (" -u", "--user"),
        rf"(?<=\s)(?:-u|--user)[ =]?+{QUOTE}?+[^\s:\"']{{1,200}}:{NOT_YET}(?P<value>[^\s\"'`]+)",
        value,
        flags=0,
    ),
    rule(
        "redis-cli -a",
        ("redis-cli",),
        rf"redis-cli\b[^\n|;]{{0,300}}?\s-a\s++{QUOTE}?+{NOT_YET}(?P<value>[^\s\"'`]+)",
        value,
        flags=0,
    ),
    rule(
        "mysql -p",
        ("mysql", "mariadb", "sshpass"),
        rf"\b(?:mysql|mariadb|sshpass)(?:-?(?:dump|admin|import|check|show|sh))?(?=\s)[^\n|;]{{0,300}}?"
        rf"\s-p(?:(?<=sshpass -p) )?{QUOTE}?+"
        rf"{NOT_YET}(?P<value>[^\s\"'`]+)",
        value,
        flags=0,
    ),
    *SQL_RULES,
    rule(
        "redis config",
        ("requirepass", "masterauth"),
        rf"\b(?:requirepass|masterauth){QUOTE}?(?:\s{{1,20}}+|,\s{{0,20}}+){QUOTE}?+{NOT_YET}(?P<value>[^\s\"'`\\]+)",
        value,
    ),
    rule("redis users", ("setuser",), r"\bSETUSER\b[^\r\n]{1,2000}", access_rules),
    rule(
        "redis AUTH, quoted",
        ("auth",),
        rf"(?P<quote>{QUOTE})auth(?P=quote)\s{{1,20}}(?:(?P=quote)[^\s\"'\\]{{1,200}}(?P=quote)\s{{1,20}})?+(?P=quote){NOT_YET}"
        r"(?P<value>[^\s\"'\\]+)(?=(?P=quote))",
        value,
    ),
    rule("redis AUTH", ("auth ",), rf"\bAUTH +default +{NOT_YET}(?P<value>[^\s\"'\\]+)", value, flags=0),
    rule(
        "SMTP and Redis AUTH",
        ("auth ",),
        rf"\bAUTH +(?:[\w-]{{1,60}} +)?{NOT_YET}(?P<value>[^\s\"'\\]{{8,}})(?=[\s\"'\\]|$)",
        said,
        flags=0,
    ),
    rule(
        "secret in a sentence",
        ("password", "passphrase", "passwd", "secret", "token", "key ", "apikey"),
        rf"\b(?:password|passphrase|passwd|secret|token|api[ _-]?key)[ \t]{{1,20}}"
        rf"(?:(?:for|of)[ \t]{{1,20}}[^\s]{{1,60}}[ \t]{{1,20}})?(?:(?:is|was)[ \t]{{1,20}})?{QUOTE}?{NOT_YET}"
        r"(?P<value>[A-Za-z0-9/+_!$%^*~=-]{10,})(?=[.,;\s\"'\\]|$)",
        said,
    ),
    rule(
        "docker login -p",
        (" login ",),
        rf"\blogin\b[^\n|;]{{0,300}}?\s-p[ =]?{QUOTE}?+{NOT_YET}(?P<value>[^\s\"'`]+)",
        value,
        flags=0,
    ),
    rule("AWS key", ("akia", "asia", "agpa", "aida", "aroa"), r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[0-9A-Z]{16}\b", flags=0),
    rule(
        "Google key",
        ("aiza", "ya29", "gocspx"),
        r"\bAIza[A-Za-z0-9_-]{35}|\bya29\.[A-Za-z0-9_-]{20,}|\bGOCSPX-[A-Za-z0-9_-]{20,}",
        flags=0,
    ),
    rule(
        "GitHub token",
        ("gh", "github_pat", "glpat"),
        r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}|\bglpat-[A-Za-z0-9_-]{20,}",
        flags=0,
    ),
    rule(
        "Slack",
        ("xox", "xapp", "slack"),
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}|(?<=hooks\.slack\.com/)\S{10,}",
        flags=0,
    ),
    rule(
        "webhook",
        ("/api/webhooks/", "/bot", "webhook.office.com"),
        r"(?<=/api/webhooks/)\d+/[\w-]{20,}|(?<=api\.telegram\.org/bot)\d+:[\w-]{20,}|(?<=webhook\.office\.com/)\S{20,}",
        flags=0,
    ),
    rule(
        "other services' keys",
        ("k_live", "k_test", "sk-", "sg.", "hv", "gl", "npm_", "pypi-", "dop_v1"),
        r"\b[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{20,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bhv[sbr]\.[A-Za-z0-9_-]{20,}|"
        r"\bgl(?:sa|c)_[A-Za-z0-9_+/=]{20,}|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{30,}|\bdop_v1_[a-f0-9]{40,}",
        flags=0,
    ),
    rule("e-mail", ("@", "%40"), r"(?<![\w.+%-])(?P<name>[\w.+-]+)(?:@|%40)(?:[A-Za-z0-9-]+\.)+(?P<last>[A-Za-z]{2,})\b", email),
    rule("account", ("iban",), r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b", iban, flags=0),
    rule("social security", ("ssn", "social"), r"\b(?:ssn|social security)\D{0,20}(?P<value>\d{3}-\d{2}-\d{4})\b", value),
    rule("payment card", (), r"(?<![\w.-])\d(?:[ -]?\d){13,18}(?![\w-]|\.\d)", card),
    rule(
        "phone number",
        ("phone", "tel", "mobile", "cell", "fax", "msisdn"),
        rf"\b\w*(?:phone|tel|telephone|mobile|cell|fax|msisdn)(?:[_ ]?(?:no|nr|number))?{QUOTE}?[ \t]*[:=][ \t]*{QUOTE}?"
        r"(?P<value>\+?\(?\d[\d ()./-]{5,}\d)",
        value,
    ),
)
"""In the order in which they are applied."""
