"""Tables, plans and costs of statements as the database source gives them, with what a test does not care about filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from runbook_lib.models.frame import Frame, frame

__all__ = ["plans", "statistics", "table_definition"]


def table_definition(*, name: str = "orders", columns: Sequence[str] = (), **values: Any) -> dict[str, Any]:
    """A table of 100,000 rows with 5,000 customers, its key indexed; a column's name in `values` replaces what is known of it."""
    known: dict[str, dict[str, Any]] = {
        "id": {"type": "bigint", "width": 8, "distinct": 100_000.0, "top_share": 0.0},
        "customer": {"type": "text", "width": 14, "distinct": 5_000.0, "top_share": 0.001},
        "status": {"type": "text", "width": 5, "distinct": 3.0, "top_share": 0.9},
        "amount": {"type": "numeric(12,2)", "width": 6, "distinct": 9_000.0, "top_share": 0.01},
        "document": {"type": "jsonb", "width": 200, "distinct": 100_000.0, "top_share": 0.0},
    }
    key = {"name": f"{name}_pkey", "oid": 17, "columns": ["id"], "valid": True, "partial": False, "method": "btree"}
    return {
        "schema": "public",
        "name": name,
        "oid": 16_400,
        "kind": "r",
        "partition": False,
        "rows": 100_000.0,
        "bytes": 8 * 2**20,
        "owner": "shop_owner",
        "role": "operator",
        "owned": True,
        "creates": True,
        "columns": {
            column: {**facts, **values.pop(column, {})} for column, facts in known.items() if column in (columns or known)
        },
        "taken": [],
        **values,
        "indexes": [key, *values.get("indexes", ())],
    }


def plans(
    condition: str = "", *, rows: float = 20.0, table: Mapping[str, Any] | None = None, node: str = "Seq Scan", **values: Any
) -> Frame:
    """One statement of the service that reads all of a table for what the condition finds; none without a condition.

    A key such as `Index Cond` replaces a fact of the scan, any other a column.
    """
    told = dict(table or table_definition())
    scan = {
        "Node Type": node,
        "Relation Name": told["name"],
        "Schema": told["schema"],
        "Alias": told["name"],
        "Filter": condition,
        "Plan Rows": rows,
        "Plans": [],
        **{key: values.pop(key) for key in list(values) if key.istitle()},
    }
    row = {
        "statement": f"select * from {told['name']} where customer = $1 order by id",
        "application": "shop",
        "user": "shop",
        "seen": 12,
        "longest_seconds": 1.2,
        "tables": [f"{told['schema']}.{told['name']}"],
        "plan": {"Node Type": "Limit", "Plans": [scan]},
        "problem": "",
        **values,
    }
    built = frame([row] if condition else [], columns=list(row), source="postgres")
    built.attrs.update({"samples": 5, "tables": [told] if condition else [], "command": "psql"})
    return built


def statistics(*, missing: str = "", reset_at: datetime | None = None, **values: Any) -> Frame:
    """What one statement of the service costs: 10 ms, now as before, unless `values` say otherwise."""
    row = {
        "query_id": "42",
        "user": "shop",
        "statement": "select * from orders where customer = $1",
        "calls": 5.0,
        "mean_seconds": 0.01,
        "load": 0.05,
        "calls_before": 10_000.0,
        "mean_before_seconds": 0.01,
        "rows_per_call": 3.0,
        "hit_ratio": 0.99,
        "since": None,
        **values,
    }
    built = frame([] if missing else [row], columns=list(row), source="postgres")
    built.attrs.update({"missing": missing, "notes": [], "reset_at": reset_at, "seconds": 2.0, "command": "psql"})
    return built
