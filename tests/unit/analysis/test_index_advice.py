"""Which index a statement lacks: advised when the plan says so, and never one that is there, would not help, or is a guess."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.analysis.index_advice import Advised, advise
from runbook_lib.models.frame import frame
from runbook_lib.models.index import TableDefinition, index_name
from runbook_lib.testing import plans, table_definition

EQUAL = "(orders.customer = $1)"


def advised(condition: str = EQUAL, *, rows: float = 20.0, table: dict[str, Any] | None = None, **scan: Any) -> Advised:
    return advise(plans(condition, rows=rows, table=table or table_definition(), **scan))


def index(name: str, *columns: str | None, **values: Any) -> dict[str, Any]:
    return {"name": name, "oid": 99, "columns": list(columns), "valid": True, "partial": False, "method": "btree", **values}


def test_a_column_that_is_compared_with_one_value_is_advised() -> None:
    (advice,) = advised().indexes
    assert advice.sql == "CREATE INDEX CONCURRENTLY idx_orders_customer ON public.orders (customer)"
    assert advice.subject == "public.orders (customer)"
    assert advice.matching_rows == 20
    assert advice.explained


def test_the_column_with_the_most_values_is_enough() -> None:
    (advice,) = advised("((orders.status = $1) AND (orders.customer = $2))").indexes
    assert advice.columns == ("customer",)


def test_columns_that_find_few_rows_only_together_are_advised_together() -> None:
    table = table_definition(customer={"distinct": 40.0}, status={"distinct": 25.0, "top_share": 0.1})
    (advice,) = advised("((orders.status = $1) AND (orders.customer = $2))", table=table).indexes
    assert advice.columns == ("customer", "status")
    assert advice.name == "idx_orders_customer_status"


def test_further_conditions_do_no_harm_to_a_column_that_finds_few_rows() -> None:
    assert advised("((orders.customer = $1) AND fetched(orders.id))").indexes[0].columns == ("customer",)


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("(orders.status = $1)", "few different values"),
        ("((orders.status = $1) AND (lower(orders.customer) = $2))", "few different values"),
        ("((orders.customer = $1) OR (orders.id = $2))", "no column is compared with one value"),
        ("(lower(orders.customer) = $1)", "no column is compared with one value"),
        ("((orders.id)::text = $1)", "no column is compared with one value"),
        ("(orders.customer ~~ ?::text)", "no column is compared with one value"),
        ("(orders.document = ?::jsonb)", "no column is compared with one value"),
        ("(orders.amount > $1)", "no column is compared with one value"),
    ],
)
def test_no_advice_has_a_reason(condition: str, reason: str) -> None:
    seen = advised(condition)
    assert not seen.indexes
    assert reason in seen.reasons[0]


def test_a_statement_that_wants_most_of_the_rows_needs_no_index() -> None:
    assert "no shorter way" in advised(rows=90_000).reasons[0]


def test_a_small_table_is_read_as_it_should_be() -> None:
    assert advised(table=table_definition(rows=500.0)) == Advised((), ())


@pytest.mark.parametrize("columns", [("customer",), ("customer", "status")])
def test_an_index_that_is_there_and_valid_is_never_advised(columns: tuple[str, ...]) -> None:
    seen = advised(table=table_definition(indexes=[index("orders_customer_idx", *columns)]))
    assert not seen.indexes
    assert "orders_customer_idx on customer is there and valid" in seen.reasons[0]


@pytest.mark.parametrize(
    "other", [index("a", "status", "customer"), index("a", "customer", partial=True), index("a", "customer", method="gin")]
)
def test_an_index_that_does_not_serve_the_column_does_not_count(other: dict[str, Any]) -> None:
    assert advised(table=table_definition(indexes=[other])).indexes


def test_an_invalid_leftover_is_named_and_its_name_is_free() -> None:
    (advice,) = advised(table=table_definition(indexes=[index("idx_orders_customer", "customer", valid=False)])).indexes
    assert advice.leftover is not None
    assert (advice.leftover.name, advice.name) == ("idx_orders_customer", "idx_orders_customer")


def test_an_index_that_is_being_built_is_waited_for() -> None:
    seen = advised(table=table_definition(indexes=[index("idx_orders_customer", "customer", valid=False, building=True)]))
    assert not seen.indexes
    assert "is being built at present" in seen.reasons[0]


def test_a_name_that_is_taken_is_numbered() -> None:
    assert advised(table=table_definition(taken=["idx_orders_customer"])).indexes[0].name == "idx_orders_customer_2"


@pytest.mark.parametrize("told", [{"partition": True}, {"kind": "p"}])
def test_partitions_are_left_to_a_person(told: dict[str, Any]) -> None:
    assert "it is partitioned, or a partition" in advised(table=table_definition(**told)).reasons[0]


def test_a_walk_along_an_index_that_nobody_asked_for_reads_everything_too() -> None:
    assert advised(node="Index Scan").indexes
    assert not advised(node="Index Scan", **{"Index Cond": "(orders.id = $2)"}).indexes


def test_the_rows_of_a_parallel_scan_are_those_of_one_process() -> None:
    assert advised(rows=6_000.0).indexes
    assert not advised(rows=6_000.0, **{"Parallel Aware": True}).indexes


def test_without_statistics_only_a_condition_that_is_all_of_it_is_believed() -> None:
    table = table_definition(customer={"distinct": None, "top_share": None})
    assert advised(table=table).indexes
    assert not advised("((orders.customer = $1) AND fetched(orders.id))", table=table).indexes


def test_a_value_that_most_rows_have_is_not_looked_up() -> None:
    assert not advised(table=table_definition(customer={"top_share": 0.8})).indexes


def test_a_statement_that_may_not_be_explained_is_read_by_its_text() -> None:
    told = plans(
        EQUAL, plan=None, problem="permission denied for table orders", statement="select * from orders where customer = $1"
    )
    seen = advise(told)
    assert seen.indexes[0].columns == ("customer",)
    assert not seen.indexes[0].explained
    assert math.isnan(seen.indexes[0].matching_rows)
    assert "permission denied" in seen.reasons[0]


@pytest.mark.parametrize(
    "statement",
    [
        "select * from orders where customer = $1 or id = $2",
        "select * from orders where customer = $1 and amount > $2",
        "select * from orders o, goods g where customer = $1",
        "select * from orders where customer = (select name from guests where id = $1)",
        "select * from other where customer = $1",
        "update orders set status = $1 where customer = $2",
    ],
)
def test_a_text_that_is_not_plain_gives_none(statement: str) -> None:
    assert not advise(plans(EQUAL, plan=None, problem="permission denied", statement=statement)).indexes


def test_nothing_at_work_gives_nothing() -> None:
    assert advise(frame([], columns=["plan", "problem"])) == Advised((), ())


NAME = st.text(alphabet="abcÄß _\"'", min_size=1, max_size=70)


@given(table=NAME, column=NAME)
def test_every_name_fits_and_is_free(table: str, column: str) -> None:
    told = table_definition(name=table) | {"columns": {column: {"type": "text"}}}
    first = index_name(TableDefinition.of(told), [column])
    second = index_name(TableDefinition.of(told | {"taken": [first]}), [column])
    assert max(len(first.encode()), len(second.encode())) <= 63
    assert first != second


@given(st.text(alphabet='abANDOR()=?$1 .orders"customer:', max_size=60))
def test_what_cannot_be_read_is_no_reason_for_an_index(condition: str) -> None:
    for advice in advised(condition).indexes:
        assert advice.columns == ("customer",)
