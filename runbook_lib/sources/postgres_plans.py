"""The statements that are at work, and how PostgreSQL would carry them out: by EXPLAIN, which executes nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import SourceError
from runbook_lib.importing import importing
from runbook_lib.models.frame import Frame
from runbook_lib.sources.postgres_errors import NAME, failed
from runbook_lib.sources.postgres_session import OWN_NAME, ReadOnlySessions
from runbook_lib.sources.postgres_text import decoded, encoded
from runbook_lib.sources.statements import acting_function, first_word, named, normalised, rendered
from runbook_lib.sources.tables import table

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["DEFINITION_KEYS", "PLAN_COLUMNS", "statement_plans", "table_definition"]

PLAN_COLUMNS = {
    "statement": "text", "application": "text", "user": "text", "seen": "integer", "longest_seconds": "number", "tables": "any",
    "plan": "any", "problem": "text",
}  # fmt: skip
DEFINITION_KEYS = (
    "schema", "name", "oid", "kind", "partition", "rows", "bytes", "owner", "role", "owned", "creates", "columns", "indexes",
    "taken",
)  # fmt: skip
_EXPLAINABLE = ("select", "with", "insert", "update", "delete", "merge", "values")
_PARAMETER = re.compile(r"\$(\d+)")
_GENERIC_SINCE = 160_000  # the version that can explain `$1` as it is
_KEPT = (
    "Node Type",
    "Relation Name",
    "Schema",
    "Alias",
    "Index Name",
    "Plan Rows",
    "Total Cost",
    "Parallel Aware",
    "Subplan Name",
)
_CONDITIONS = ("Filter", "Index Cond", "Recheck Cond", "Join Filter", "Hash Cond", "Merge Cond", "One-Time Filter")
_TABLES = 10


@dataclass
class _Running:
    """One statement, whatever its constants, over all looks: the text of the look at which it had taken longest."""

    text: str
    application: str
    user: str
    seconds: float
    whole: bool
    tables: list[list[str]]
    seen: int = 0


def statement_plans(sessions: ReadOnlySessions, *, samples: int, every_seconds: float, limit: int) -> Frame:
    """See `Database.statement_plans` in interface.py."""
    parameters = {"own_name": OWN_NAME, "limit": 200}

    def work(session: Connection[Any]) -> tuple[list[tuple[Any, ...]], list[Mapping[str, Any]]]:
        running = _looked_at(session, parameters, samples, every_seconds)
        often = sorted(running.items(), key=lambda item: (-item[1].seen, -item[1].seconds))[:limit]
        rows, read = [], []
        for text, one in often:
            plan, problem = _explained(session, one)
            tables = _relations(plan) if plan else [list(pair) for pair in one.tables]
            read += [pair for pair in tables if pair not in read]
            names = [".".join(pair) for pair in tables]
            rows.append((text, one.application, one.user, one.seen, one.seconds, names, plan, problem))
        found = [table_definition(session, *pair) for pair in read[:_TABLES]]
        return rows, [one for one in found if one is not None]

    rows, definitions = sessions.transaction(work)
    command = sessions.psql(rendered(named("statements_running"), parameters))
    built = table(rows, PLAN_COLUMNS, source=NAME, query="statements_running", command=command)
    built.attrs.update({"samples": samples, "tables": definitions})
    return built


def table_definition(session: Connection[Any], schema: str, name: str) -> Mapping[str, Any] | None:
    """A table with its columns and indexes; None when there is none of this name."""
    row = session.execute(_text(named("table_definition")), {"schema": schema, "table": name}).fetchone()
    return dict(zip(DEFINITION_KEYS, row, strict=True)) if row is not None else None


def _looked_at(
    session: Connection[Any], parameters: Mapping[str, Any], samples: int, every_seconds: float
) -> dict[str, _Running]:
    running: dict[str, _Running] = {}
    for sample in range(samples):
        if sample:
            time.sleep(every_seconds)
            session.execute("SELECT pg_stat_clear_snapshot()")
        for _, application, user, seconds, text, whole, tables in session.execute(_text(named("statements_running")), parameters):
            found = _Running(text, application, user, seconds, whole, tables)
            known = running.setdefault(normalised(text), found)
            known.seen += 1
            if seconds > known.seconds:
                known.text, known.seconds, known.whole, known.tables = text, seconds, whole, tables or known.tables
    return running


def _explained(session: Connection[Any], one: _Running) -> tuple[Mapping[str, Any] | None, str]:
    """The plan, or why there is none. Each in a savepoint, so that one that fails leaves the others to be explained."""
    kind, acting = first_word(one.text), acting_function(one.text)
    if kind not in _EXPLAINABLE:
        return None, f"{kind or 'what it is'} has no plan"
    if acting:
        return None, f"it calls {acting}(), which is not asked about"
    if not one.whole:
        return None, "its text is cut off (track_activity_query_size)"
    try:
        with session.transaction():
            plan = _slim(_explain(session, one.text))
            other = _unlocked(session, plan, one.tables)
            return (None, f"a name in it means {other} for our role, which the statement does not read") if other else (plan, "")
    except Exception as error:  # psycopg's own, and what its answer cannot be read as
        known = failed(error, seconds=0.0, theirs=True)
        return None, known.reason if isinstance(known, SourceError) else str(known)


def _unlocked(session: Connection[Any], plan: Mapping[str, Any], locked: list[list[str]]) -> str:
    """A table of the plan that the statement has not locked, since its search_path leads to another; empty when there is none."""
    if not locked:  # it was through when its locks were looked at
        return ""
    for schema, name in _relations(plan):
        given = {"schema": schema, "table": name, "locked": json.dumps(locked, ensure_ascii=False)}
        row = session.execute(_text(named("unlocked_table")), given).fetchone()
        if row is not None and row[0]:
            return f"{schema}.{name}"
    return ""


def _explain(session: Connection[Any], text: str) -> Mapping[str, Any]:
    """Plain EXPLAIN. Parsing the statement by itself first makes sure that it is one, and not two of which the second acts."""
    options = "FORMAT JSON, VERBOSE"
    parameters = max((int(found[1]) for found in _PARAMETER.finditer(normalised(text))), default=0)
    _checked(session, session.pgconn.prepare(b"", encoded(session, text)))
    if not parameters:
        return _plan_of(session, f"EXPLAIN ({options}) {text}")
    if session.info.server_version >= _GENERIC_SINCE:
        return _plan_of(session, f"EXPLAIN ({options}, GENERIC_PLAN) {text}")
    session.execute("SELECT set_config('plan_cache_mode', 'force_generic_plan', true)")
    _checked(session, session.pgconn.exec_(encoded(session, f"PREPARE runbook_explained AS {text}")))
    try:
        values = ", ".join(["NULL"] * parameters)
        with session.transaction():  # after a failure nothing else is carried out, and what is prepared outlives a transaction
            return _plan_of(session, f"EXPLAIN ({options}) EXECUTE runbook_explained({values})")
    finally:
        session.pgconn.exec_(b"DEALLOCATE runbook_explained")


def _plan_of(session: Connection[Any], sql: str) -> Mapping[str, Any]:
    result = _checked(session, session.pgconn.exec_(encoded(session, sql)))
    plan: Mapping[str, Any] = json.loads(decoded(session, result.get_value(0, 0)))[0]["Plan"]
    return plan


def _checked(session: Connection[Any], result: Any) -> Any:
    """The answer, unless it is an error."""
    with importing("psycopg"):
        from psycopg import errors, pq

    if result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        return result
    raise errors.error_from_result(result, encoding=session.info.encoding)


def _slim(plan: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of a plan is read, its conditions without the constants in them."""
    kept = {key: plan[key] for key in _KEPT if key in plan}
    conditions = {key: normalised(str(plan[key])) for key in _CONDITIONS if key in plan}
    return {**kept, **conditions, "Plans": [_slim(part) for part in plan.get("Plans", ())]}


def _relations(plan: Mapping[str, Any]) -> list[list[str]]:
    own = [[str(plan["Schema"]), str(plan["Relation Name"])]] if "Schema" in plan and "Relation Name" in plan else []
    return own + [pair for part in plan["Plans"] for pair in _relations(part)]


def _text(sql: str) -> Any:
    """psycopg's types ask for literals, so that nobody puts values into statements; these come from files."""
    return sql
