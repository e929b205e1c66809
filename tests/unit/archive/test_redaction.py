"""Secrets and personal data: gone in every spelling, and nothing else is."""

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pandas as pd
import pytest

from runbook_lib.archive.redaction import Redaction

SECRET = 'p4ss&w0rd/"ü+long'
KNOWN = Redaction([SECRET])


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        html.escape(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        base64.b64encode(SECRET.encode()).decode(),
        repr(SECRET)[1:-1],
    ],
)
def test_a_known_secret_is_found_in_every_spelling(spelling):
    told = KNOWN.text(f"before {spelling} after")
    assert spelling not in told
    assert told.startswith("before ")
    assert told.endswith(" after")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://orders:hunter2hunter2@db/shop", "hunter2hunter2"),
        ("redis://:s3cretvalue@cache:6379/0", "s3cretvalue"),
        ("Authorization: Bearer abcdef0123456789abcdef", "abcdef0123456789abcdef"),
        ("authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
        ("password=correcthorsebattery", "correcthorsebattery"),
        ('{"client_secret": "0123456789abcdef"}', "0123456789abcdef"),
        ("AWS AKIAIOSFODNN7EXAMPLE key", "AKIAIOSFODNN7EXAMPLE"),
        ("ghp_0123456789abcdefghijklmnopqrstuvwxyz", "ghp_0123456789abcdefghijklmnopqrstuvwxyz"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r", "dBjftJeZ4CVPmB92K27uhbUJU1p1r"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----", "MIIEvQIBADANBg"),
        ("mail jane.doe@example.org now", "jane.doe@example.org"),
        ("card 4111 1111 1111 1111 declined", "4111 1111 1111 1111"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_or_a_person_is_hidden_unasked(text, hidden):
    assert hidden not in Redaction().text(text)


@pytest.mark.parametrize(
    "text",
    [
        "deployment/orders revision 14: containers[orders].image (orders:1.4.2 → orders:1.5.0)",
        "20260301T040000.000Z-high_error_rate-abc123",
        "sum by (pod) (rate(http_requests_total{status=~\"5..\"}[5m]))",
        "orders-5c4b646575-c58tg uses 96 MiB (75% of its limit)",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "10.0.0.9:5432 - connection refused",
    ],
)  # fmt: skip
def test_what_an_engineer_needs_stays(text):
    assert Redaction().text(text) == text


def test_frames_mappings_and_lists_are_cleaned_and_keep_their_shape():
    frame = pd.DataFrame({"message": [f"login {SECRET}", "well"], "value": [1.5, float("nan")]})
    cleaned = KNOWN.value({"frame": frame, "list": [SECRET, 3], SECRET: None})
    assert cleaned["frame"]["message"].tolist()[1] == "well"
    assert SECRET not in cleaned["frame"]["message"].tolist()[0]
    assert cleaned["frame"]["value"].tolist()[0] == 1.5
    assert cleaned["list"][1] == 3
    assert SECRET not in repr(cleaned)
    assert SECRET in frame["message"].tolist()[0]


def test_a_command_that_names_the_shells_variable_stays_as_it_can_be_pasted():
    for header in ("Authorization: Bearer $TOKEN", "Authorization: Bearer ${ADMIN_TOKEN}"):
        command = f"curl -fsS -X POST -H \"{header}\" 'http://orders:8080/admin/breaker/open'"
        assert Redaction([]).text(command) == command
    assert "s3cret" not in Redaction([]).text('-H "Authorization: Bearer $TOKEN-s3cret-0123456789"')
