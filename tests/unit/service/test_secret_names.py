"""Which names say that their value is a secret."""

import pytest

from runbook_lib.service.secret_names import names_secret, option_value_follows


@pytest.mark.parametrize(
    "name",
    ["DB_PASS", "DB_PWD", "pw", "REDISCLI_AUTH", "SECRET_KEY_BASE", "DB_PASSWORD_RO", "STRIPE_TOKEN_LIVE", "API_KEY_STRIPE",
     "password1", "dbPass", "X-Auth-Token", "client_secret", "containers[o].env[DB_PWD]", "connections.password"],
)  # fmt: skip
def test_names_of_secrets_are_known_with_what_stands_before_and_after_the_word(name):
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    ["author", "compass", "keyboard", "token_bucket_size", "pass rate", "passed", "TOKEN_TTL", "PASSWORD_FILE", "SECRET_NAME",
     "AUTH_URL",
     "PASSWORD_MAX_AGE", "secretName", "auth_method",
     "containers[auth].image", "containers[token].resources.limits.memory"],
)  # fmt: skip
def test_words_that_hold_one_and_properties_of_a_secret_are_no_secrets(name):
    assert not names_secret(name)


def test_an_auth_that_holds_a_method_or_a_state_is_no_secret():
    assert not names_secret("SMTP_AUTH", "true")
    assert not names_secret("PROXY_AUTH", "scram-sha-256")
    assert names_secret("REDIS_AUTH", "hunter2")


def test_an_option_says_whether_a_secret_follows():
    assert all(map(option_value_follows, ["--password", "--pass", "-password", "--db-password", "--auth", "--token-ro"]))
    assert not any(map(option_value_follows, ["--no-password", "--askpass", "--token-file", "--author", "-p", "password"]))
