"""Recognising a secret by its shape, where a reference should stand."""

from __future__ import annotations

import re

__all__ = ["holds_secret"]

# Published shapes of credentials. A shape belongs here when a false alarm is nearly impossible: the error stops a run.
_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})")),
    ("a GitLab token", re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}")),
    ("a Slack token", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    ("a Slack webhook", re.compile(r"hooks\.slack\.com/(?:services|workflows)/\S{10,}")),
    ("a Grafana token", re.compile(r"\bgl(?:sa|c)_[A-Za-z0-9_+/=]{20,}")),
    ("a Vault token", re.compile(r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}")),
    ("a Google API key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}")),
    ("a Stripe key", re.compile(r"\b[rs]k_live_[A-Za-z0-9]{16,}")),
    ("a JSON web token", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")),
    ("an authorization header", re.compile(r"\b(?:bearer|basic)\s+[A-Za-z0-9._~+/-]{12,}=*", re.IGNORECASE)),
    ("a literal password", re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s]+@", re.IGNORECASE)),
    ("a literal password", re.compile(r"(?:^|[\s;?&])(?:password|passwd|pwd|sslpassword)\s*=\s*[^\s;&]+", re.IGNORECASE)),
    ("a literal token", re.compile(r"[?&](?:access_token|token|api_?key|secret|sig|signature)=[^\s&]+", re.IGNORECASE)),
)


def holds_secret(text: str) -> str | None:
    """Say what secret `text` holds (`a literal password`, `a GitHub token`), None when it holds none that is recognisable.

    Finds passwords in URLs and DSNs and the published shapes of common tokens. It cannot know a bare word to be a password; that
    is what `names_secret` and the types of the fields are for.
    """
    return next((what for what, shape in _SHAPES if shape.search(text)), None)
