"""Creating the index that a statement lacks, as `CREATE INDEX CONCURRENTLY` does: nobody who reads or writes waits for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from runbook_lib.actions.database_session import NO_DATABASE, psql
from runbook_lib.actions.index_change import Creating, Dropping, definition, not_allowed, not_direct
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.models.index import IndexAdvice, index_name, quoted
from runbook_lib.models.plan import Plan, Refusal, Risk, Target
from runbook_lib.models.units import written

__all__ = ["CREATE_INDEX"]

_GIB = 2.0**30
_LOW_BYTES, _HIGH_BYTES = _GIB, 100 * _GIB  # of the table
_BYTES_A_SECOND = 20 * 2.0**20  # an estimate: the table is read twice, what is found is sorted
_LEAST_SECONDS = 5.0
_SHOWN = 300  # characters of a statement


def _target(context: ActionContext) -> Target:
    """Which one it is shows only once the database was asked."""
    del context
    return Target(kind="index", name="(the one that a statement lacks)")


def _plan(context: ActionContext, table: str | None = None, columns: str | Sequence[str] | None = None) -> Plan | Refusal:
    """Create the index that the statements at work lack most, or one on `columns` of `table`, while everybody goes on."""
    if context.database is None:
        return NO_DATABASE
    pooled = not_direct(context.database)
    if pooled is not None:
        return pooled
    if table is None and columns is None:
        found = context.missing_indexes(context.database.statement_plans())
        if not found:
            mend = 'name one: create_index(table="orders", columns="customer")'
            return Refusal(by="target", reason="no statement that is at work now lacks an index", mend=mend)
        return not_allowed(found[0].table) or _planned(context, found[0])
    if table is None or columns is None:
        mend = 'create_index(table="orders", columns="customer, created_at")'
        return Refusal(by="target", reason="an index needs both, table and columns", mend=mend)
    chosen = _named(context, table, columns.split(",") if isinstance(columns, str) else columns)
    return chosen if isinstance(chosen, Refusal) else not_allowed(chosen.table) or _planned(context, chosen)


def _named(context: ActionContext, table: str, columns: Sequence[str]) -> IndexAdvice | Refusal:
    """An index that somebody asks for by name."""
    assert context.database is not None  # the plan has said so
    schema, _, name = table.rpartition(".")
    found = definition(context.database, schema or "public", name)
    wanted = tuple(column.strip() for column in columns)
    unknown = [column for column in wanted if column not in found.columns]
    if unknown or not wanted:
        reason = f"{found} has no column {', '.join(unknown) or '(none was given)'}"
        return Refusal(by="target", reason=reason, mend=f"there are {', '.join(found.columns)}")
    there = next((one for one in found.indexes if one.columns == wanted and not one.partial), None)
    if there is not None and (there.valid or there.building):
        reason = f"index {there.name} on ({', '.join(wanted)}) {'is there' if there.valid else 'is being built'} already"
        return Refusal(by="target", reason=reason, mend="see by EXPLAIN why it is not used")
    return IndexAdvice(
        table=found,
        columns=wanted,
        name=index_name(found, wanted),
        statement="",
        condition="",
        matching_rows=math.nan,
        seen=0,
        explained=False,
        leftover=there,
    )


def _planned(context: ActionContext, advice: IndexAdvice) -> Plan:
    table, left = advice.table, advice.leftover
    schema = quoted(table.schema)
    first = [f"DROP INDEX CONCURRENTLY {schema}.{quoted(left.name)}"] if left else []
    there = [
        f"index {one.name} ({', '.join(column or 'expression' for column in one.columns)})" for one in table.indexes if one.valid
    ]
    invalid = [f"index {left.name} ({', '.join(advice.columns)}), INVALID"] if left else []
    return Plan(
        action="create_index",
        title=f"Create index {advice.name} on {advice.subject}",
        target=Target(kind="index", name=advice.name),
        before="\n".join((*there, *invalid)),
        after="\n".join((*there, f"index {advice.name} ({', '.join(advice.columns)})")),
        command=psql(context, *first, advice.sql),  # each by itself: CONCURRENTLY is refused in a transaction
        risk=_risk(table.bytes),
        affects=f"statements on {table} are planned anew; nobody waits, but for schema changes and VACUUM of this table",
        undo=psql(context, f"DROP INDEX CONCURRENTLY {schema}.{quoted(advice.name)}"),
        seen_by=f"statements find their rows by {advice.name}, and the symptom is below its threshold",
        seconds_until_effect=_LEAST_SECONDS + table.bytes / _BYTES_A_SECOND,
        repair=True,
        bound_to={"table": str(table), "oid": str(table.oid)} | ({"leftover": str(left.oid)} if left else {}),
        arguments={
            "schema": table.schema,
            "table": table.name,
            "oid": table.oid,
            "columns": list(advice.columns),
            "name": advice.name,
            "leftover": [left.name, left.oid] if left else None,
        },
        warnings=tuple(_warnings(advice)),
    )


def _risk(size: float) -> Risk:
    return "low" if size < _LOW_BYTES else "medium" if size < _HIGH_BYTES else "high"


def _warnings(advice: IndexAdvice) -> list[str]:
    table = advice.table
    told = [
        f"it takes about {written(advice.bytes, 'bytes')} on disk, and as much again while it is sorted; look what is free, "
        f"which PostgreSQL does not tell. {table} has {table.rows:,.0f} rows, {written(float(table.bytes), 'bytes')}",
        "every write to the table has one more index to keep; put it into the schema's migrations, too",
    ]
    if advice.statement:
        found = (
            f"about {advice.matching_rows:,.0f} rows" if advice.explained else "how many rows is not known: it was not explained"
        )
        told.insert(0, f"for {advice.statement[:_SHOWN]} - it finds {found}")
    if advice.leftover is not None:
        told.insert(0, f"{advice.leftover.name} is what an earlier attempt left behind: INVALID, used by nobody, dropped first")
    return told


def _comment(plan_id: str) -> str:
    """By which the undo knows its own: whoever drops the index and makes it again makes another one."""
    return f"made by a runbook, plan {plan_id}"


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Drop the index that this plan has made, as long as it is the same one."""
    if context.database is None:
        return NO_DATABASE
    told = plan.arguments
    table = definition(context.database, told["schema"], told["table"], oid=told["oid"])
    made = table.index(told["name"])
    if made is None or made.comment != _comment(plan.id):
        reason = f"index {told['name']} is gone" if made is None else f"index {told['name']} is not the one that was made"
        return Refusal(by="undo", reason=f"{reason}: somebody has changed it since", mend="look at it by hand")
    return Plan(
        action="create_index",
        title=f"Drop index {made.name} again",
        target=plan.target,
        before=plan.after,
        after="\n".join(line for line in plan.after.splitlines() if not line.startswith(f"index {made.name} ")),
        command=plan.undo,
        risk=plan.risk,
        affects=f"statements on {table} are planned anew, and may read all of it again",
        undo=plan.command,
        seen_by="the index is gone",
        seconds_until_effect=_LEAST_SECONDS,
        bound_to={"table": str(table), "oid": str(made.oid)},
        arguments={"schema": table.schema, "table": table.name, "name": made.name, "dropped": made.oid},
    )


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    assert context.database is not None  # the plan has said so
    told: dict[str, Any] = dict(plan.arguments)
    where = {"database": context.database, "schema": told["schema"], "table": told["table"], "name": told["name"]}
    if "dropped" in told:
        return [Dropping(**where, oid=told["dropped"])]
    left = told["leftover"]
    return [
        Creating(
            **where,
            oid=told["oid"],
            columns=told["columns"],
            comment=_comment(plan.id),
            leftover=(left[0], left[1]) if left else None,
            progress=context.progress,
        )
    ]


CREATE_INDEX = Action(
    name="create_index",
    title="Create the index that a statement lacks",
    risk="medium",
    repair=True,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
