"""Which index a running statement lacks, read from its plan. No advice is better than a wrong one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.analysis.conditions import Comparison, condition
from runbook_lib.models.frame import Frame
from runbook_lib.models.index import IndexAdvice, TableDefinition, index_name

__all__ = ["Advised", "advise"]

_LARGE_ROWS = 10_000.0  # below that reading all of a table is what the planner should do
_MOST_SHARE = 0.1  # of the rows: an index that finds more is slower than reading all of them
_TOP_SHARE = 0.5  # of the rows have the most common value: for that one the index would not be used
_ENOUGH_ROWS = 1_000.0  # found by the first column already: a second one would only make the index larger
_MOST_COLUMNS = 3
_PARALLEL = 4.0  # the rows of a parallel scan are those of one of its processes, of which there are seldom more
# What has an order by which a B-tree finds it. Left out is what is seldom compared as a whole: documents, arrays, geometry.
_TYPES = (
    "smallint", "integer", "bigint", "numeric", "text", "character", "uuid", "date", "timestamp", "time", "inet", "oid", "bytea",
)  # fmt: skip
_SIMPLE = re.compile(
    r"select\s(?:(?!\bselect\b).)*?\sfrom\s+(?P<table>[\w.\"]+)(?:\s+(?:as\s+)?(?!where\b)[a-z_]\w*)?\s+where\s+(?P<where>.+?)"
    r"(?:\s+(?:order\s+by|group\s+by|limit|offset|fetch|for\s+(?:no\s+key\s+)?(?:update|share|key\s+share))\b.*)?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Advised:
    """What can be said of the running statements: indexes, the one that is needed most first, and why there are no others."""

    indexes: tuple[IndexAdvice, ...]
    reasons: tuple[str, ...]


class _NoAdvice(Exception):  # noqa: N818 - not an error: most statements lack no index
    """Why a scan gives no advice."""


def advise(plans: Frame) -> Advised:
    """Read the plans of `Database.statement_plans`."""
    tables = {(one.schema, one.name): one for one in (TableDefinition.of(told) for told in plans.attrs.get("tables") or ())}
    found: dict[str, IndexAdvice] = {}
    reasons: list[str] = []
    for row in plans.to_dict("records"):
        for advice in _of_statement(row, tables):
            if isinstance(advice, str):
                reasons.append(advice)
            else:
                found.setdefault(advice.subject, advice)
    ranked = sorted(found.values(), key=lambda advice: (-advice.seen, not advice.explained))
    return Advised(tuple(ranked), tuple(dict.fromkeys(reasons)))


def _of_statement(row: Mapping[Any, Any], tables: Mapping[tuple[str, str], TableDefinition]) -> Iterator[IndexAdvice | str]:
    scans = list(_scans(row["plan"])) if row["plan"] else []
    for scan in scans:
        table = tables.get((str(scan.get("Schema")), str(scan["Relation Name"])))
        if table is not None and table.rows >= _LARGE_ROWS:
            try:
                yield _advice(row, table, scan)
            except _NoAdvice as reason:
                yield f"{table} is read from one end to the other, and no index is advised: {reason}"
    if row["problem"] and not row["plan"]:
        yield from _without_plan(row, tables)


def _scans(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The nodes that read all of a table: in its own order, or in that of an index whose key nobody asked for."""
    kind, read = plan.get("Node Type"), plan.get("Filter")
    if "Relation Name" in plan and read and (kind == "Seq Scan" or (kind == "Index Scan" and "Index Cond" not in plan)):
        yield plan
    for part in plan.get("Plans") or ():
        yield from _scans(part)


def _advice(row: Mapping[Any, Any], table: TableDefinition, scan: Mapping[str, Any]) -> IndexAdvice:
    read = condition(str(scan["Filter"]))
    names = {"", str(scan.get("Alias", "")), table.name}
    asked = [one for one in read.equal if one.qualifier in names and one.column in table.columns]
    matching = float(scan["Plan Rows"]) * (_PARALLEL if scan.get("Parallel Aware") else 1.0)
    columns = _columns(table, _indexable(table, asked), alone=read.others == 0 and len(asked) == len(read.equal))
    if matching > _MOST_SHARE * table.rows:
        raise _NoAdvice(f"it finds {matching:,.0f} of {table.rows:,.0f} rows, for which an index is no shorter way")
    return _built(row, table, columns, matching)


def _built(
    row: Mapping[Any, Any], table: TableDefinition, columns: tuple[str, ...], matching: float, *, explained: bool = True
) -> IndexAdvice:
    _refuse(table, columns)
    leftover = next((one for one in table.indexes if not one.valid and one.columns == columns), None)
    if leftover is not None and leftover.building:
        raise _NoAdvice(f"{leftover.name} on ({', '.join(columns)}) is being built at present")
    return IndexAdvice(
        table=table,
        columns=columns,
        name=index_name(table, columns),
        statement=str(row["statement"]),
        condition=" and ".join(f"{column} = one value" for column in columns),
        matching_rows=matching,
        seen=int(row["seen"]),
        explained=explained,
        leftover=leftover,
    )


def _refuse(table: TableDefinition, columns: tuple[str, ...]) -> None:
    if table.kind not in ("r", "m") or table.partition:
        raise _NoAdvice("it is partitioned, or a partition: an index belongs on all of it, built partition by partition")
    served = table.serving(columns[0])
    if served is not None:
        raise _NoAdvice(
            f"{served.name} on {columns[0]} is there and valid, and the planner does not use it: look at its statistics (ANALYZE)"
        )


def _indexable(table: TableDefinition, asked: Sequence[Comparison]) -> list[str]:
    """The columns whose comparison an index on the plain column would serve."""
    found = []
    for one in asked:
        kind = table.columns[one.column].type
        # varchar is compared as text, by the very order of its own index; any other conversion has another order
        fits = not one.cast or (one.cast == "text" and kind.startswith("character varying"))
        if fits and kind.startswith(_TYPES) and not kind.endswith("]"):
            found.append(one.column)
    if not found:
        raise _NoAdvice("no column is compared with one value as it is, without an OR, a function or a conversion")
    return list(dict.fromkeys(found))


def _columns(table: TableDefinition, found: Sequence[str], *, alone: bool) -> tuple[str, ...]:
    """The fewest columns that find few rows, those with the most different values first.

    alone: the condition asks for nothing else, so that the planner's own estimate is that of these columns.
    """
    known = {column: table.columns[column].distinct for column in found}
    if any(distinct is None for distinct in known.values()):
        if not alone or len(found) > _MOST_COLUMNS:
            raise _NoAdvice("how many rows its columns find is not known: the table was never analyzed, or we may not see it")
        return tuple(found)
    ranked = sorted(found, key=lambda column: -float(known[column] or 0.0))
    chosen: list[str] = []
    rows = table.rows
    for column in ranked[:_MOST_COLUMNS]:
        if (table.columns[column].top_share or 0.0) > _TOP_SHARE:
            continue
        chosen.append(column)
        rows /= max(1.0, float(known[column] or 1.0))
        if rows <= _ENOUGH_ROWS:
            break
    if not chosen or rows > _MOST_SHARE * table.rows:
        raise _NoAdvice(f"{', '.join(found)} have few different values, by which an index finds too many rows")
    return tuple(chosen)


def _without_plan(row: Mapping[Any, Any], tables: Mapping[tuple[str, str], TableDefinition]) -> Iterator[IndexAdvice | str]:
    """What the text of a plain statement on one table tells, when it may not be explained."""
    used = [table for table in tables.values() if str(table) in (row["tables"] or ())]
    yield f"a statement could not be explained: {row['problem']}"
    simple = _SIMPLE.fullmatch(str(row["statement"]).strip().rstrip(";"))
    if len(used) != 1 or simple is None or used[0].rows < _LARGE_ROWS or not _names(simple["table"], used[0]):
        return
    read = condition(simple["where"])
    asked = [one for one in read.equal if one.column in used[0].columns]
    if read.others or len(asked) != len(read.equal) or not asked:
        return
    try:
        yield _built(row, used[0], tuple(_indexable(used[0], asked))[:_MOST_COLUMNS], math.nan, explained=False)
    except _NoAdvice:
        return


def _names(written: str, table: TableDefinition) -> bool:
    return written.replace('"', "").rpartition(".")[2].lower() == table.name.lower()
