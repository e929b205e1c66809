"""What a service's references resolve to is known as it is written there, and as the server is given it."""

import pytest

from runbook_lib.archive.known_secrets import known_secrets
from runbook_lib.archive.redaction import Redaction
from tests.unit.actions.situations import a_service


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://orders:p%40ss%2Fw%C3%B6rd@db/shop",
        "postgresql://db/shop?user=orders&password=p%40ss%2Fw%C3%B6rd",
        r"host=db user=orders password='p@ss/w\örd'",
        r"host=db password=p@ss/w\örd user=orders",
    ],
)
def test_a_password_that_is_escaped_in_the_dsn_is_known_as_it_is(dsn, monkeypatch):
    monkeypatch.setenv("ORDERS_DSN", dsn)
    service = a_service()
    connections = service.connections.model_copy(update={"postgres": _postgres()})
    found = known_secrets(service.model_copy(update={"connections": connections}))
    assert "p@ss/wörd" in found
    assert Redaction(found).text("it is p@ss/wörd, and p%40ss%2Fw%C3%B6rd") == "it is [redacted], and [redacted]"


def _postgres():
    from runbook_lib.service.connections import PostgresConnection

    return PostgresConnection.model_validate({"dsn": "env:ORDERS_DSN"})
