"""The database as the service uses it: its connection pool, its sessions, and who holds them."""

from __future__ import annotations

import time
from datetime import timedelta

from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.database_logins import pool_without_sessions
from runbook_lib.checks.database_pool import Pool, figure_of, pool_signals, seen_by_service
from runbook_lib.checks.database_sessions import (
    Sessions,
    own_pods,
    roles_of,
    seen_by_database,
    session_signals,
    why_unknown,
)
from runbook_lib.checks.lock_chains import chains_of
from runbook_lib.checks.measures import over_time
from runbook_lib.models.finding import Finding, FindingStatus
from runbook_lib.models.frame import Frame
from runbook_lib.models.own_sessions import own_rows
from runbook_lib.models.window import format_duration, format_instant
from runbook_lib.sources.postgres_session import OWN_NAME


def database_connections(context: CheckContext) -> Finding:
    """Is the connection pool full, since when, and who holds the connections?"""
    database, cluster = context.sources.database, context.sources.cluster
    began = time.monotonic()
    seen = ask(
        {
            "application_pods": Question(cluster, lambda: cluster.pods(context.selector)),
            "in_use": over_time(context, "pool_in_use"),
            "size": over_time(context, "pool_size"),
            "waiting": over_time(context, "pool_waiting"),
            "timeouts": over_time(context, "pool_timeouts"),
            "limits": Question(database, database.limits),
            "connections": Question(database, database.connections),
            "sessions": Question(database, lambda: own_rows(database.sessions(), context.service)),
            "chains": Question(database, database.blocking_chains),
            **own_pods(context),
        },
        deadline_seconds=context.deadline_seconds,
    )
    answers = _with_logs(context, seen, seconds=context.deadline_seconds - (time.monotonic() - began))
    pool = seen_by_service(answers, context)
    sessions = seen_by_database(answers, context)
    summary = _summary(context, pool, sessions, answers)
    return Finding(
        name="database_connections",
        title="Database connections",
        summary=summary,
        status=_status(context, pool, sessions),
        command=_command(context),
        tables=tuple(_tables(context, answers)),
        figure=figure_of(pool, summary),
        notes=(*_notes(sessions, context), *_role_notes(context, answers), *answers.warnings),
        signals=(
            *pool_signals(pool, answers, blocked=_hindrance(context, sessions, answers)),
            *session_signals(context, sessions, answers, pool_size=pool.size),
            pool_without_sessions(context, pool, sessions, answers),
        ),
        sources=answers.sources,
    )


def _with_logs(context: CheckContext, seen: Answers, *, seconds: float) -> Answers:
    """With the service's logs, where the database limits a role and nothing else tells which is the service's."""
    roles = roles_of(context, seen)
    if not context.live or not roles.full or roles.own or seconds <= 0:
        return seen
    lines = context.service.limits.log_lines_per_pod
    logs = context.sources.logs
    question = Question(logs, lambda: logs.read(context.selector, window=context.window, lines_per_pod=lines))
    told = ask({"logs": question}, deadline_seconds=seconds)
    return Answers(
        values={**seen.values, **told.values}, errors={**seen.errors, **told.errors}, sources=(*seen.sources, *told.sources)
    )


def database_tables(context: CheckContext) -> Finding:
    """The largest tables, by oid, with their indexes and dead rows."""
    answers = ask(
        {"tables": Question(context.sources.database, lambda: context.sources.database.table_sizes(limit=20))},
        deadline_seconds=context.deadline_seconds,
    )
    tables = answers.get("tables")
    if tables is None:
        summary, status = f"The table sizes could not be read: {answers.why_missing('tables')}.", FindingStatus.UNKNOWN
    elif tables.empty:
        summary, status = "The database has no tables that this identity may see.", FindingStatus.INFO
    else:
        first = tables.iloc[0]
        size = float(first["total_bytes"]) / 2**20
        summary, status = f"The largest table is {first['schema']}.{first['table']} with {size:,.0f} MiB.", FindingStatus.INFO
    return Finding(
        name="database_tables",
        title="Table sizes",
        summary=summary,
        status=status,
        command=tables.command if tables is not None else "",
        tables=(("Largest tables", tables),) if tables is not None and len(tables) else (),
        sources=answers.sources,
    )


def _summary(context: CheckContext, pool: Pool, sessions: Sessions | None, answers: Answers) -> str:
    parts = []
    name = context.service.name
    if pool.measured and pool.in_use is not None and pool.size is not None:
        since = f" and at least one pool is full since {format_instant(pool.full.onset)}" if pool.full else ""
        parts.append(f"{name} holds {pool.in_use:.0f} of {pool.size:.0f} pooled connections{since}")
    if sessions is not None:
        parts.append(f"the server has {sessions.used} of {sessions.maximum} connections in use")
        if sessions.held:
            age = format_duration(timedelta(seconds=sessions.held_seconds))
            parts.append(f"{sessions.held} sessions are idle in transaction, the oldest for {age}")
        if sessions.blocking is not None:
            parts.append(str(sessions.blocking))
    if not parts:
        return f"The database connections could not be read: {answers.why_missing('limits') or answers.why_missing('in_use')}."
    if sessions is None:
        why = why_unknown(context, answers, "limits", "sessions")
        parts.append(f"what the database itself says is missing ({why})")
    return "; ".join(parts) + "."


def _status(context: CheckContext, pool: Pool, sessions: Sessions | None) -> FindingStatus:
    if pool.full or (sessions is not None and sessions.used >= sessions.maximum):
        return FindingStatus.CRITICAL
    if not pool.measured and sessions is None:
        return FindingStatus.UNKNOWN
    limit = context.service.thresholds.database_connections_ratio
    share = (pool.in_use or 0.0) / pool.size if pool.size else 0.0
    if share > limit.warning or (sessions is not None and (sessions.held or sessions.blocking is not None)):
        return FindingStatus.WARNING
    return FindingStatus.NORMAL


def _tables(context: CheckContext, answers: Answers) -> list[tuple[str, Frame]]:
    chains = answers.get("chains")
    found = (
        ("Connections by application and state", _of_others(answers.get("connections"))),
        ("Oldest sessions of this service", _of_others(answers.get("sessions"))),
        ("Blocking chains", chains_of(chains, context) if chains is not None else None),
    )
    return [(caption, table) for caption, table in found if table is not None and len(table)]


def _of_others(table: Frame | None) -> Frame | None:
    """Without the sessions in which this is being read: their transactions lead a reader astray."""
    if table is None or "application" not in table:
        return table
    return Frame(table[table["application"] != OWN_NAME])


def _notes(sessions: Sessions | None, context: CheckContext) -> list[str]:
    if sessions is None or (found := sessions.blocking) is None:
        return []
    lasting = f"{found.blocker} blocks {found.waiters} sessions for {found.seconds:.0f} s"
    held = f"{lasting}: a restart of {context.service.name} does not free them. Find out whose it is"
    if found.kind == "prepared":
        return [f"{held}; select * from pg_prepared_xacts names it, ROLLBACK PREPARED 'its gid' ends it, in its own database."]
    if found.kind == "autovacuum":
        return [f"{held}; it begins anew when it is ended. pg_cancel_backend({found.queued}) ends the queue behind it."]
    return [
        f"{held}; pg_cancel_backend({found.pid}) stops its statement, pg_terminate_backend({found.pid}) ends a session that is "
        f"idle in transaction."
    ]


def _hindrance(context: CheckContext, sessions: Sessions | None, answers: Answers) -> str:
    """What keeps the pool from having a free connection, as a clause; empty when nothing is seen to."""
    if not context.live:
        return ""
    blocking = sessions.blocking if sessions is not None else None
    return str(blocking) if blocking is not None else roles_of(context, answers).limited


def _role_notes(context: CheckContext, answers: Answers) -> list[str]:
    roles = roles_of(context, answers)
    if not context.live:
        return []
    notes = []
    if text := roles.limited:
        notes.append(
            f"{text[0].upper()}{text[1:]}: new pods get none either, so that neither a restart nor a larger pool helps. "
            f"Find out who set it; ALTER ROLE … CONNECTION LIMIT -1 takes it away."
        )
    if roles.refused and roles.refused not in roles.own:
        notes.append(
            f"Role {roles.refused}, which this reads with, has as many connections as its CONNECTION LIMIT lets it have: that "
            f"says nothing of the service. It takes four at once: ALTER ROLE {roles.refused} CONNECTION LIMIT 4 or more."
        )
    return notes


def _command(context: CheckContext) -> str:
    component = context.service.components.database
    pod = component.pod if component is not None and component.pod else "postgres-0"
    query = "select application_name, state, count(*) from pg_stat_activity group by 1, 2 order by 3 desc"
    return f'kubectl -n {context.namespace} exec {pod} -- psql -U postgres -c "{query}"'
