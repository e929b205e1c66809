"""Conditions as PostgreSQL writes them: what is compared with one value, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.analysis.conditions import Comparison, Condition, condition

NAMES = st.sampled_from(["customer", "id", '"order"', '"Odd ""name"""', "größe", "_x1"])
VALUES = st.sampled_from(["$1", "?", "?::text", "($2)::bigint", "?::timestamp with time zone", "ANY (?::text[])", "ANY ($1)"])
OTHERS = st.sampled_from(
    ["(t.note ~~ ?::text)", "(lower(t.note) = ?::text)", "(t.n > $3)", "(t.note IS NULL)", "(NOT t.done)", "(t.a = t.b)",
     "((t.n = ?) OR (t.n = $4))", "t.visible", "(t.n <> ?)", "(fetched(t.id))", "(t.j = (InitPlan 1).col1)"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "equal"),
    [
        ("(customer = $1)", [Comparison("", "customer")]),
        ("(o.customer = ?::text)", [Comparison("o", "customer")]),
        ("((o.guest)::text = $1)", [Comparison("o", "guest", "text")]),
        ("($1 = o.customer)", [Comparison("o", "customer")]),
        ('(o."order" = ?)', [Comparison("o", "order")]),
        ("(o.sku = ANY ((?)::text[]))", [Comparison("o", "sku")]),
        ("((o.a = $1) AND (o.b = $2))", [Comparison("o", "a"), Comparison("o", "b")]),
    ],
)
def test_equalities_are_read(text: str, equal: list[Comparison]) -> None:
    assert condition(text) == Condition(tuple(equal), 0)


@pytest.mark.parametrize(
    "text",
    [
        "((a = $1) OR (b = $2))", "(a = $1) OR (b = $2)", "(a >= $1)", "(a <> $1)", "(NOT (a = $1))", "(lower(a) = $1)",
        "((a || b) = $1)", "(a = b)", "(a ~~ ?::text)", "(a IS NULL)", "(a = (b + ?))", "((a = $1) IS TRUE)", "((a = $1) = $2)",
        "(a IS NOT DISTINCT FROM $1)", "(a = ALL (?::text[]))", "((a)[1] = $1)", "(a -> ?) = ?", "(a = $1) AND (b = $2) OR c",
    ],
)  # fmt: skip
def test_what_is_no_plain_equality_is_none(text: str) -> None:
    assert condition(text) == Condition((), 1)


@given(equal=st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=4), others=st.lists(OTHERS, max_size=3), data=st.data())
def test_of_a_conjunction_each_part_is_read_by_itself(
    equal: list[tuple[str, str]], others: list[str], data: st.DataObject
) -> None:
    parts = data.draw(st.permutations([*(f"(t.{name} = {value})" for name, value in equal), *others]))
    text = f"({' AND '.join(parts)})" if len(parts) > 1 else parts[0]
    plain = {name[1:-1].replace('""', '"') if name.startswith('"') else name for name, _ in equal}
    found = condition(text)
    assert {one.column for one in found.equal} == plain
    assert found.others == len(others)


@given(st.text(alphabet="abANDOR()=?$1 .\"':<~", max_size=40))
def test_no_text_makes_it_fail(text: str) -> None:
    found = condition(text)
    assert found.others >= 0
    if " OR " in text.upper() and "(" not in text and '"' not in text and " AND " not in text.upper():
        assert not found.equal
