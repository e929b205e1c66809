from importlib import resources

import pytest

from runbook_lib.sources.statements import acting_function, first_word, named, normalised, rendered


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        (
            "select * from customers where email = 'ann@example.org' and age > 42",
            "select * from customers where email = ? and age > ?",
        ),
        ("select 'it''s Ann' , E'Ann\\'s' , $$Ann$$, $x$An$n$x$", "select ? , ? , ?, ?"),
        ("select * from t1 where path = 'C:\\' and name = 'Ann'", "select * from t1 where path = ? and name = ?"),
        ("select * from t where id in (1, 2,3)", "select * from t where id in (?, …)"),
        ("select $1, x.col2, 1.5e-3, 0xFF", "select $1, x.col2, ?, ?"),
        ('select "it\'s a column" from t -- Ann\n where /* Ann */ a = 1', 'select "it\'s a column" from t where a = ?'),
        ("update t set note = 'cut off in the midst of Ann's na", "update t set note = ?s na"),
        ("insert into t values ('cut off by the server: An", "insert into t values (?"),
    ],
)
def test_a_normalised_statement_holds_no_constant(statement, shown):
    assert normalised(statement) == shown


def test_the_first_word_tells_the_kind_of_statement_behind_comments_and_brackets():
    assert first_word("/* why */ -- and how\n ((SELECT 1))") == "select"
    assert first_word("  ") == ""


@pytest.mark.parametrize(
    "name", ["pg_terminate_backend", "pg_cancel_backend", "pg_advisory_lock", "pg_reload_conf", "set_config"]
)
def test_a_function_that_acts_is_found(name):
    assert acting_function(f"select pg_catalog.{name} (1)") == name
    assert acting_function(f'select "{name}"(1)') == name
    assert acting_function(f"select '{name}(1)' -- {name}(1)") is None


def test_what_only_reads_is_no_acting_function():
    assert acting_function("select pg_blocking_pids(1), pg_backend_pid(), pg_size_pretty(pg_relation_size('t'))") is None


def test_a_rendered_statement_is_one_line_with_its_parameters():
    text = rendered("-- why\nSELECT %(name)s\n  WHERE a LIKE 'b%%' LIMIT %(limit)s", {"name": "O'Neil", "limit": 5})
    assert text == "SELECT 'O''Neil' WHERE a LIKE 'b%' LIMIT 5"


def test_every_named_statement_begins_by_saying_what_it_is_for():
    names = [entry.name.removesuffix(".sql") for entry in resources.files("runbook_lib.sources").joinpath("sql").iterdir()]
    assert len(names) > 5
    assert all(named(name).startswith("-- ") for name in names)
