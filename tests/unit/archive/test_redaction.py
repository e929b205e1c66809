"""Secrets and personal data: gone in every spelling, and nothing else is."""

import base64
import html
import json
import time
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


S = "S3cr3tHunter2xyz"
KEY_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"DB_PASS={S}", "DB_PASS=[redacted]"),
        (f'{{"SMTP_PASS":"{S}"}}', '{"SMTP_PASS":"[redacted]"}'),
        (f"REDISCLI_AUTH={S} redis-cli", "REDISCLI_AUTH=[redacted] redis-cli"),
        (f"SECRET_KEY_BASE={S}", "SECRET_KEY_BASE=[redacted]"),
        (f"DB_PASSWORD_PROD={S}", "DB_PASSWORD_PROD=[redacted]"),
        (f"STRIPE_TOKEN_LIVE={S}", "STRIPE_TOKEN_LIVE=[redacted]"),
        (f"password1={S}", "password1=[redacted]"),
        (f"db_pw={S}", "db_pw=[redacted]"),
        (f'"auth":"{S}"', '"auth":"[redacted]"'),
        (f"pass: {S}", "pass: [redacted]"),
        (f"password=${S}", "password=[redacted]"),
        (f"password: $2y$10$abcdefghijklmnopqrstuv{S}", "password: [redacted]"),
        (f"password=env:{S}", "password=[redacted]"),
        (f"password=${{DB_PASSWORD:-{S}}}", "password=[redacted]"),
    ],
)  # fmt: skip
def test_a_secret_is_known_by_its_name(text, clean):
    assert Redaction().text(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"db:\n  password: |-\n    {S}\n  x: 1\n", "db:\n  password: [redacted]\n  x: 1\n"),
        (f'{{"a.yaml":"password: |-\\n  {S}\\nx: 1\\n"}}', '{"a.yaml":"password: [redacted]\\nx: 1\\n"}'),
        (f"password:\n  {S}\nx: 1", "password:\n  [redacted]\nx: 1"),
        (f'{{"password":"ab\\"{S}","x":1}}', '{"password":"[redacted]","x":1}'),
        (rf'{{"log":"{{\"password\":\"a\\\"{S}\"}}"}}', r'{"log":"{\"password\":\"[redacted]\"}"}'),
        (f'{{"password":"{S}', '{"password":"[redacted]'),
        (f"<password>{S}</password>", "<password>[redacted]</password>"),
        (f"&lt;password&gt;{S}&lt;/password&gt;", "&lt;password&gt;[redacted]&lt;/password&gt;"),
        (f'args: ["--password","{S}"]', 'args: ["--password","[redacted]"]'),
        (f"- --password\n- {S}\n", "- --password\n- [redacted]\n"),
        (f"mysqldump --pass {S} orders", "mysqldump --pass [redacted] orders"),
        (f"('password', '{S}')", "('password', '[redacted]')"),
        (f'Cookie: theme="dark"; sid={S}', "Cookie: [redacted]"),
        (f'Authorization: Digest username="bob", response="{S}"', "Authorization: [redacted]"),
        (f"password=ab,{S}", "password=[redacted]"),
        (f"password=ab&{S}", "password=[redacted]"),
        (f"password={{a;{S}}};user=sa", "password=[redacted];user=sa"),
        (f"jdbc:oracle:thin:scott/{S}@//h:1521/x", "jdbc:oracle:thin:scott/[redacted]@//h:1521/x"),
        (f"https://{S}@git.example.com/x.git", "https://[redacted]@git.example.com/x.git"),
        (f"https://{'0123456789abcdef' * 2}@o1.ingest.sentry.io/1", "https://[redacted]@o1.ingest.sentry.io/1"),
        (f"postgres%3A%2F%2Fu%3A{S}%40db%2Fx", "postgres%3A%2F%2Fu%3A[redacted]%40db%2Fx"),
        (f"%7B%22password%22%3A%22{S}%22%7D", "%7B%22password%22%3A%22[redacted]%22%7D"),
        (f"mysql -uroot -p{S} orders", "mysql -uroot -p[redacted] orders"),
        (f"sshpass -p {S} ssh db", "sshpass -p [redacted] ssh db"),
        (f"AUTH default {S}", "AUTH default [redacted]"),
        (f'"AUTH" "bob" "{S}"', '"AUTH" "bob" "[redacted]"'),
        (f"ACL SETUSER bob on >{S} ~*", "ACL SETUSER bob on >[redacted] ~*"),
        (f'"config" "set" "requirepass" "{S}"', '"config" "set" "requirepass" "[redacted]"'),
        (f"ALTER ROLE x PASSWORD $${S}$$", "ALTER ROLE x PASSWORD $$[redacted]$$"),
        (f"ALTER ROLE x PASSWORD E'ab''{S}'", "ALTER ROLE x PASSWORD E'[redacted]'"),
        (f"UPDATE users SET password_hash = '{S}'", "UPDATE users SET password_hash = '[redacted]'"),
        (f"insert into u (name, password) values ('o''b', '{S}'), ('(,', crypt('{S}', 'x'))",
         "insert into u (name, password) values ('o''b', '[redacted]'), ('(,', crypt('[redacted]', '[redacted]'))"),
        (f'INSERT INTO "u" ("token", name) VALUES (\'{S}', "INSERT INTO \"u\" (\"token\", name) VALUES ('[redacted]'"),
        (f"select set_config('app.token', '{S}', false)", "select set_config('app.token', '[redacted]', false)"),
        (f"pgp_sym_decrypt(card, '{S}')", "pgp_sym_decrypt(card, '[redacted]')"),
        (f"parameters: $1 = '42', $2 = '{S}'", "parameters: $1 = '42', $2 = '[redacted]'"),
        (f"DETAIL:  Failing row contains (7, null, {S}).", "DETAIL:  Failing row contains ([redacted])."),
        (f"Key (id, token)=(7, {S}) already exists.", "Key (id, token)=([redacted]) already exists."),
        (f"dsn=orders:{S}@tcp(db:3306)/shop", "dsn=orders:[redacted]@tcp(db:3306)/shop"),
        (f'<add key="DbPassword" value="{S}"/>', '<add key="DbPassword" value="[redacted]"/>'),
        (f'{{"passwordHash":"{S}"}}', '{"passwordHash":"[redacted]"}'),
        (f"PHPSESSID={S} x-auth-key: {S}", "PHPSESSID=[redacted] x-auth-key: [redacted]"),
        (f"session={S} csrf={S}", "session=[redacted] csrf=[redacted]"),
        ("sid: 550e8400-e29b-41d4-a716-446655440000", "sid: [redacted]"),
        ("otp=482915 sent", "otp=[redacted] sent"),
        (f" X-Amz-Signature={S}", " X-Amz-Signature=[redacted]"),
        (f"SharedAccessSignature sig={S}", "SharedAccessSignature sig=[redacted]"),
        (f"docker login -u bob -p {S} registry", "docker login -u bob -p [redacted] registry"),
        (f"password for bob was {S}", "password for bob was [redacted]"),
        (f"https://discord.com/api/webhooks/1/{S}{S}", "https://discord.com/api/webhooks/[redacted]"),
        ("IBAN DE89 3704 0044 0532 0130 00 refused", "IBAN [redacted] refused"),
        (f"using password {S} for user bob", "using password [redacted] for user bob"),
        (KEY_LINE, "[redacted]"),
    ],
)  # fmt: skip
def test_a_secret_goes_whole_however_it_is_written_and_what_is_around_it_stays(text, clean):
    assert Redaction().text(text) == clean
    assert Redaction().text(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "pass rate: 95.2%", "author=jane keyboard=qwerty123 compass: N42E17 bypass=true", "token_bucket_size=5000 refill",
        "12 tests passed, 3 failed", "auth failed for user bob42", "auth: user bob42 logged in from 10.0.0.5", "auth=basic",
        "auth: scram-sha-256", "auth = get_auth(request)", 'FATAL: password authentication failed for user "orders"',
        "SELECT id FROM users WHERE password = $1 AND token = ?", "INSERT INTO users (name, password) VALUES ($1, $2)",
        'columns: ["id", "password", "created_at"]', '("password", "email")', "ALTER ROLE x PASSWORD $1",
        'rate(http_requests_total{auth="basic"}[5m])', "auth_failures_total 12345", "TOKEN_TTL=3600 SECRET_NAME=orders-db",
        "DB_PASSWORD_FILE=/run/secrets/db", "AUTH_URL=https://auth.example.com/login", "password: ${DB_PASSWORD}",
        "password: {{ .Values.password }}", "password=$(DB_PASSWORD)", "export PGPASSWORD=$PGPASSWORD",
        "secret:\n  secretName: orders-tls", "secrets:\n  - orders-db", "NOAUTH Authentication required.",
        "AUTH failed: WRONGPASS invalid username-password pair", "--- PASS: TestOrders (0.02s)", "psql --no-password orders",
        "mysql -h db -P 3306 -u root -p", "https://bob@example.org/x", "pod auth-7c9d8f-x2x1z: CrashLoopBackOff",
        "insert into orders (sku, state) values ('A1b2C3d4E5f6', 'new')", "Key (sku)=(A-17) already exists.",
        "session=orders-5c4b646575-c58tg signature: (id, name)", "docker run -p 8080:80 shop",
        "parameters: $1 = '2026-03-01 04:00:00'",
        "session: 20260301T040000.000Z-high", "IBAN DE89 3704 0044 0532 0130 01", "Secret.key: password, name: orders-db",
        "the second pass: 8 ms", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)  # fmt: skip
def test_words_that_only_resemble_a_secrets_name_stay(text):
    assert Redaction().text(text) == text


def test_a_lists_option_and_a_pairs_name_give_the_next_element_away():
    clean = Redaction().value(
        {"args": ["app", "--password", S, "--verbose"], "pair": ("x-api-key", S), "flags": ["--token", "-v"]}
    )
    assert clean == {
        "args": ["app", "--password", "[redacted]", "--verbose"],
        "pair": ("x-api-key", "[redacted]"),
        "flags": ["--token", "-v"],
    }


def test_the_last_part_of_a_path_names_the_secret_and_what_a_comparison_says_of_it_stays():
    rows = pd.DataFrame(
        {
            "path": [
                "containers[o].env[DB_PWD]",
                "containers[o].env[DB_PASS]",
                "containers[o].env[DB_AUTH]",
                "containers[auth].image",
            ],
            "old": [S, "(hidden)", "(from secret db, key x)", "auth:1"],
            "new": [None, "(hidden) (changed)", "(from secret db2, key x)", "auth:2"],
        }
    )
    clean = Redaction().value(rows)
    assert clean["old"].tolist() == ["[redacted]", "(hidden)", "(from secret db, key x)", "auth:1"]
    assert clean["new"].tolist()[1:] == ["(hidden) (changed)", "(from secret db2, key x)", "auth:2"]


@pytest.mark.parametrize(
    "piece", ["a", "password.", "password=", 'password="', "password=\\", "https://a", "://u:", "redis-cli ", "name: token ",
              "password: |\n  a\n", "('password', '", "setuser >x ", 'cookie: a="', "PASSWORD '", "<password>",
              "insert into u (password) values ('", "insert into u (a) values (1,(", "hmac((", "session=a", "a:b@tcp(", "$1 = '",
              "a@", "1 "]
)  # fmt: skip
def test_a_line_of_a_megabyte_is_done_in_seconds(piece):
    begin = time.process_time()
    Redaction().text(piece * (1_000_000 // len(piece)))
    assert time.process_time() - begin < 30  # what is quadratic takes minutes
