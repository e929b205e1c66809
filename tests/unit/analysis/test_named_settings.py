"""An error names a setting by its key, its value or an unknown host of it; a port alone is a weaker sign."""

from __future__ import annotations

import pytest

from runbook_lib.analysis.named_settings import names_address, names_setting

OLD, KEY = "postgresql://db:5432/shop", "DATABASE_URL"
UNKNOWN_HOST = "psycopg.OperationalError: [Errno -2] Name or service not known: db-old"
REFUSED = 'connection to server at "10.0.0.9", port 5433 failed: Connection refused'
RIGHT_BUT_DOWN = 'connection to server at "10.0.0.9", port 5432 failed: Connection refused'


@pytest.mark.parametrize(
    ("text", "new", "named"),
    [
        (UNKNOWN_HOST, "postgresql://db-old:5432/shop", True),
        ("getaddrinfo ENOTFOUND db-old", "db-old", True),
        ("KeyError: 'DATABASE_URL'", "", True),
        ("invalid literal for int(): 'many'", "many", True),
        (REFUSED, "postgresql://db:5433/shop", False),
        ("connected to db-old", "postgresql://db-old:5432/shop", False),
        ("Name or service not known: db-older", "postgresql://db-old:5432/shop", False),
    ],
)
def test_a_setting_is_named_by_its_key_its_value_or_a_host_that_nobody_knows(text: str, new: str, named: bool) -> None:
    assert names_setting(text, KEY, new, OLD) is named


@pytest.mark.parametrize(
    ("text", "new", "old", "named"),
    [
        (REFUSED, "postgresql://db:5433/shop", OLD, True),
        ('FATAL: database "shopping" does not exist', "postgresql://db:5432/shopping", OLD, True),
        (RIGHT_BUT_DOWN, "postgresql://db:5432/shop?x=1", OLD, False),
        (RIGHT_BUT_DOWN, "http://[::1", OLD, False),
        (RIGHT_BUT_DOWN, "5", "20", False),
    ],
)
def test_an_address_is_named_by_the_part_of_it_that_was_changed(text: str, new: str, old: str, named: bool) -> None:
    assert names_address(text, new, old) is named
