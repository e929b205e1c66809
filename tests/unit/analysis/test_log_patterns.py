"""Errors are grouped and named by what they speak of."""

from __future__ import annotations

import pandas as pd
import pytest

from runbook_lib.analysis.log_patterns import error_kind, error_kinds, error_patterns

LINES = {
    "database_pool": [
        "psycopg_pool.PoolTimeout: couldn't get a connection after 2.00 sec",
        "sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
        "HikariPool-1 - Connection is not available, request timed out after 30000ms.",
        "Error: timeout exceeded when trying to connect",
        "FATAL:  sorry, too many clients already",
        "FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute",
    ],
    "memory": ["MemoryError", "java.lang.OutOfMemoryError: Java heap space", "FATAL ERROR: Reached heap limit Allocation failed"],
    "database": [
        "psycopg.OperationalError: server closed the connection unexpectedly",
        "org.postgresql.util.PSQLException: FATAL: the database system is shutting down",
    ],
    "database_statement": [
        "pq: canceling statement due to statement timeout",
        "POST /orders: InsufficientPrivilege: permission denied for table products",
        'psycopg.OperationalError: connection failed: FATAL: password authentication failed for user "shop"',
        "ERROR: deadlock detected",
        'PSQLException: FATAL: database "shop" does not exist',
    ],
    "database_schema": [
        'psycopg.errors.UndefinedColumn: column "discount" does not exist',
        'ERROR: relation "orders" does not exist',
        "ERROR: function total(integer, text) does not exist",
        "sqlite3.OperationalError: no such table: orders",
        "ER_BAD_FIELD_ERROR: Unknown column 'discount' in 'field list'",
        "java.sql.SQLSyntaxErrorException: ORA-00942: table or view does not exist",
        "Schema-validation: missing column [discount] in table [orders]",
    ],
    "database_constraint": [
        'null value in column "total" of relation "orders" violates not-null constraint',
        'CheckViolation: new row for relation "orders" violates check constraint "quantity"',
        'org.postgresql.util.PSQLException: ERROR: duplicate key value violates unique constraint "orders_pkey"',
        "psycopg.errors.StringDataRightTruncation: value too long for type character varying(20)",
        'pq: invalid input value for enum order_status: "held"',
        "IntegrityError: (1062, \"Duplicate entry '7' for key 'PRIMARY'\")",
    ],
    "cache": ["redis.exceptions.ConnectionError: Error 111 connecting to redis:6379. Connection refused."],
    "downstream": [
        "httpx.ReadTimeout: timed out",
        "HTTPConnectionPool(host='payments', port=8080): Read timed out. (read timeout=1.0)",
        "java.net.SocketTimeoutException: Read timed out",
        "connect ECONNREFUSED 10.0.0.7:8080",
        "Error: getaddrinfo ENOTFOUND payments",
        "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        "CircuitBreaker 'payments' is OPEN and does not permit further calls",
        "dial tcp: lookup payments on 10.96.0.10:53: no such host",
    ],
    "application": [
        "KeyError: 'currency'",
        "TypeError: Cannot read properties of undefined (reading 'id')",
        "java.lang.NullPointerException",
        'psycopg.errors.SyntaxError: syntax error at or near "form"',
        "panic: runtime error: index out of range",
        "FileNotFoundError: [Errno 2] No such file or directory: 'discounts.json'",
        "ModuleNotFoundError: No module named 'discounts'",
    ],
    "other": ["could not place order 17"],
}


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, lines in LINES.items() for line in lines])
def test_an_error_is_named_by_what_it_speaks_of(kind: str, line: str):
    assert error_kind(line) == kind


def test_the_error_is_found_at_either_end_of_a_long_traceback_and_in_what_caused_it():
    frames = "\n".join(f'  File "app.py", line {number}, in step' for number in range(200))
    assert error_kind(f"PoolTimeout: couldn't get a connection\n{frames}\nHTTPError: 500") == "database_pool"
    assert error_kind(f"POST /orders failed\n{frames}\npsycopg_pool.PoolTimeout: couldn't get a connection") == "database_pool"
    caused = f"500 on POST /orders\n{frames}\nCaused by: java.net.SocketTimeoutException: Read timed out\n{frames}"
    assert error_kind(caused) == "downstream"


def test_ports_and_statuses_still_tell_what_fails():
    assert error_kind("cannot reach 10.0.0.7:5432") == "database"
    assert error_kind("order 17: 503 from the upstream") == "downstream"


def test_a_long_line_is_one_pattern_whatever_the_length_of_its_numbers():
    frames = " ".join(f'File "app.py", line {number}, in step_{number}' for number in range(60))
    found = error_patterns(records([f"order {10**digits}: {frames} KeyError: 'currency'" for digits in range(12)]))
    assert found["count"].tolist() == [12]


def records(messages: list[str], fields: list[dict[str, str] | None] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": pd.date_range("2026-03-01", periods=len(messages), freq="1s", tz="UTC"),
            "pod": [f"orders-{index % 3}" for index in range(len(messages))],
            "message": messages,
            "fields": fields or [None] * len(messages),
        }
    )


def test_lines_that_differ_in_numbers_and_ids_are_one_pattern():
    lines = [f"could not get a connection for order {index}: PoolTimeout after {index / 7:.2f} s" for index in range(50)]
    patterns = error_patterns(records([*lines, "KeyError: 'currency'"]))
    assert patterns["count"].tolist() == [50, 1]
    assert patterns["pods"].iloc[0] == 3
    assert patterns["first_seen"].iloc[0] < patterns["last_seen"].iloc[0]


def test_the_exception_in_the_fields_names_the_kind():
    kinds = error_kinds(records(["request failed"], [{"exception": "psycopg_pool.PoolTimeout: couldn't get a connection"}]))
    assert kinds.tolist() == ["database_pool"]


def test_no_errors_make_an_empty_table_with_its_columns():
    assert list(error_patterns(records([]).iloc[:0]).columns)[:3] == ["kind", "pattern", "count"]
