"""The database as the service uses it: its connection pool, its sessions, and who holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import largest, long, ratio, split
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame
from runbook_lib.models.window import format_duration, format_instant

_FULL_RATIO = 0.949  # of the pool in use; a pool of 20 with 19 taken has one left for everybody
_MOST = 0.5  # of the samples, or of the pool
_SHORTEST_HOLD_SECONDS = 10.0
_BLOCKED_SECONDS = 5.0
_FULL_SERVER = "too many clients|remaining connection slots|too many connections"


@dataclass(frozen=True, slots=True)
class _Pool:
    """The service's own view of its pool. `shares`: in use against size, by pod. `size` is the sum over pods, in connections.

    shrank_at: when the smallest pool of any pod came to be smaller than before.
    """

    shares: dict[str, pd.Series]
    size: float | None
    in_use: float | None
    full: Episode | None
    full_pods: int
    failing_since: datetime | None
    shrank_at: datetime | None
    measured: bool


@dataclass(frozen=True, slots=True)
class _Sessions:
    """The database's view of this service's sessions; counts of connections, ages in seconds.

    hidden: sessions whose state our role may not see, so that what is not seen may still be there.
    """

    used: int
    maximum: int
    open_transactions: int
    held: int
    held_seconds: float
    blocker: str
    blocking_pid: int | None
    waiters: int
    blocked_seconds: float
    hidden: int


def database_connections(context: CheckContext) -> Finding:
    """Is the connection pool full, since when, and who holds the connections?"""
    database = context.sources.database
    answers = ask(
        {
            "in_use": over_time(context, "pool_in_use"),
            "size": over_time(context, "pool_size"),
            "waiting": over_time(context, "pool_waiting"),
            "timeouts": over_time(context, "pool_timeouts"),
            "limits": Question(database, database.limits),
            "connections": Question(database, database.connections),
            "sessions": Question(database, lambda: _mine(database.sessions(), context)),
            "chains": Question(database, database.blocking_chains),
            **_own_pods(context),
        },
        deadline_seconds=context.deadline_seconds,
    )
    pool = _pool(answers, context)
    sessions = _sessions(answers, context)
    summary = _summary(context, pool, sessions, answers)
    return Finding(
        name="database_connections",
        title="Database connections",
        summary=summary,
        status=_status(context, pool, sessions),
        command=_command(context),
        tables=tuple(_tables(answers)),
        figure=_figure(pool, summary),
        notes=tuple(_notes(sessions, context)),
        signals=tuple(_signals(context, pool, sessions, answers)),
        sources=answers.sources,
    )


def _own_pods(context: CheckContext) -> dict[str, Question]:
    """Where the database runs in the cluster, its pods say how it is even when it does not answer us."""
    component, cluster = context.service.components.database, context.sources.cluster
    selector = component.selector if component is not None else None
    return {"pods": Question(cluster, lambda: cluster.pods(selector))} if selector else {}


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


def _pool(answers: Answers, context: CheckContext) -> _Pool:
    in_use, size = answers.get("in_use"), answers.get("size")
    if in_use is None or size is None:
        failing = _failing(answers, context)
        return _Pool(
            shares={}, size=None, in_use=None, full=None, full_pods=0, failing_since=failing, shrank_at=None, measured=False
        )
    used, sizes = split(in_use, "pod"), split(size, "pod")
    start = context.focus().start
    shares = {pod: ratio(series, sizes[pod]) for pod, series in used.items() if pod in sizes and series.index.max() >= start}
    episodes = [found for series in shares.values() if (found := _full_episode(series, context)) is not None]
    return _Pool(
        shares=shares,
        size=_sum_now(sizes),
        in_use=_sum_now(used),
        full=min(episodes, key=lambda episode: episode.onset) if episodes else None,
        full_pods=len(episodes),
        failing_since=_failing(answers, context),
        shrank_at=_shrank_at(sizes, context),
        measured=bool(shares),
    )


def _shrank_at(sizes: Mapping[str, pd.Series], context: CheckContext) -> datetime | None:
    """When pods with a smaller pool than those before them appeared, if they are still there."""
    if not any(len(series) for series in sizes.values()):
        return None
    smallest = pd.concat(list(sizes.values())).groupby(level=0).min()[: context.focus().end]
    larger = smallest.index[smallest > smallest.iloc[-1]] if len(smallest) else smallest.index
    if larger.empty:
        return None
    began: datetime = smallest.index[smallest.index > larger[-1]][0].to_pydatetime()
    return began


def _sum_now(parts: Mapping[str, pd.Series]) -> float:
    """The sum over the pods that are still measured: a replaced pod's last value is history."""
    ends = {name: part.index[-1] for name, part in parts.items() if len(part)}
    newest = max(ends.values(), default=None)
    return sum(float(parts[name].iloc[-1]) for name, end in ends.items() if end == newest)


def _full_episode(series: pd.Series, context: CheckContext) -> Episode | None:
    """The stretch in which a pod's pool was full, when it was so for most of the time since."""
    episode = latest_episode(series, threshold=_FULL_RATIO, gap=context.gap)
    if episode is None or not context.concerns(episode):
        return None
    inside = series[episode.first : episode.last]
    return episode if float((inside > _FULL_RATIO).mean()) >= _MOST else None


def _failing(answers: Answers, context: CheckContext) -> datetime | None:
    """Since when requests wait in vain for a connection: the pool's time-outs, else its queue."""
    for name in ("timeouts", "waiting"):
        answer = answers.get(name)
        for series in split(answer, "pod").values() if answer is not None else ():
            episode = latest_episode(series, threshold=0.0, gap=context.gap)
            if episode is not None and context.concerns(episode):
                return episode.onset
    return None


def _mine(sessions: Frame, context: CheckContext) -> Frame:
    """The sessions of this service, by application name or user; all of them when the service file names neither."""
    component = context.service.components.database
    if component is None or sessions.empty or not (component.application_name or component.user):
        return sessions
    column, pattern = ("application", component.application_name) if component.application_name else ("user", component.user)
    matching = [fnmatchcase(str(name), str(pattern)) for name in sessions[column]]
    mine = Frame(sessions[matching])
    mine.attrs.update(sessions.attrs)
    return mine


def _hold_limit_seconds(context: CheckContext) -> float:
    """No request keeps a transaction open for longer than twice its longest downstream timeout: what does has been leaked."""
    timeouts = [one.timeout_seconds or 0.0 for one in context.service.dependencies.downstream]
    return max(_SHORTEST_HOLD_SECONDS, 2 * max(timeouts, default=0.0))


def _sessions(answers: Answers, context: CheckContext) -> _Sessions | None:
    limits, sessions = answers.get("limits"), answers.get("sessions")
    if limits is None or sessions is None or not context.live:
        return None
    idle = sessions[sessions["state"].str.startswith("idle in transaction")] if len(sessions) else sessions
    held = idle[idle["state_seconds"] > _hold_limit_seconds(context)] if len(idle) else idle
    chains = answers.get("chains")
    blocked = chains[chains["blocked_seconds"] > _BLOCKED_SECONDS] if chains is not None and len(chains) else None
    root: Mapping[str, Any] = blocked.sort_values("waiters").iloc[-1].to_dict() if blocked is not None and len(blocked) else {}
    return _Sessions(
        used=int(limits["used_connections"]),
        maximum=int(limits["max_connections"]) - int(limits.get("reserved_connections") or 0),
        open_transactions=len(idle),
        held=len(held),
        held_seconds=float(held["state_seconds"].max()) if len(held) else 0.0,
        blocker=_named(root) if root else "",
        blocking_pid=int(root["root_pid"]) if root else None,
        waiters=int(root["waiters"]) if root else 0,
        blocked_seconds=float(root["blocked_seconds"]) if root else 0.0,
        hidden=int(sessions.attrs.get("hidden") or 0),
    )


def _named(root: Mapping[str, Any]) -> str:
    """The session at the root of a blocking chain: its pid, and what it is when the chain's row speaks of it."""
    pid = f"pid {int(root['root_pid'])}"
    if root.get("blocking_pid") != root["root_pid"]:
        return pid
    return f"{pid} ({root['blocking_application'] or 'no application name'}, {root['blocking_state']})"


def _summary(context: CheckContext, pool: _Pool, sessions: _Sessions | None, answers: Answers) -> str:
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
        if sessions.waiters:
            parts.append(f"{sessions.waiters} sessions wait for a lock that {sessions.blocker} holds")
    if not parts:
        return f"The database connections could not be read: {answers.why_missing('limits') or answers.why_missing('in_use')}."
    if sessions is None:
        why = answers.why_missing("limits") or answers.why_missing("sessions") or _why_unknown(context, answers, "sessions")
        parts.append(f"what the database itself says is missing ({why})")
    return "; ".join(parts) + "."


def _status(context: CheckContext, pool: _Pool, sessions: _Sessions | None) -> FindingStatus:
    if pool.full or (sessions is not None and sessions.used >= sessions.maximum):
        return FindingStatus.CRITICAL
    if not pool.measured and sessions is None:
        return FindingStatus.UNKNOWN
    limit = context.service.thresholds.database_connections_ratio
    share = (pool.in_use or 0.0) / pool.size if pool.size else 0.0
    if share > limit.warning or (sessions is not None and (sessions.held or sessions.waiters)):
        return FindingStatus.WARNING
    return FindingStatus.NORMAL


def _tables(answers: Answers) -> list[tuple[str, Frame]]:
    captions = {
        "connections": "Connections by application and state",
        "sessions": "Oldest sessions of this service",
        "chains": "Blocking chains",
    }
    found = [(caption, answers.get(name)) for name, caption in captions.items()]
    return [(caption, table) for caption, table in found if table is not None and len(table)]


def _figure(pool: _Pool, summary: str) -> LineFigure | None:
    if not pool.shares:
        return None
    return LineFigure(
        title=summary.split(";")[0],
        unit="ratio",
        frame=long(largest(pool.shares, 8), unit="ratio"),
        thresholds=(Threshold(1.0, "pool size", "critical"),),
    )


def _notes(sessions: _Sessions | None, context: CheckContext) -> list[str]:
    if sessions is None or not sessions.waiters:
        return []
    return [
        f"{sessions.blocker} blocks {sessions.waiters} sessions for {sessions.blocked_seconds:.0f} s: a restart of "
        f"{context.service.name} does not free them. Find out whose it is; pg_cancel_backend({sessions.blocking_pid}) stops its "
        f"statement, pg_terminate_backend({sessions.blocking_pid}) ends a session that is idle in transaction."
    ]


def _command(context: CheckContext) -> str:
    component = context.service.components.database
    pod = component.pod if component is not None and component.pod else "postgres-0"
    query = "select application_name, state, count(*) from pg_stat_activity group by 1, 2 order by 3 desc"
    return f'kubectl -n {context.namespace} exec {pod} -- psql -U postgres -c "{query}"'


def _signals(context: CheckContext, pool: _Pool, sessions: _Sessions | None, answers: Answers) -> list[Signal]:
    return [
        _saturated(pool, sessions, answers),
        _starved(pool, answers),
        _shrank(pool, answers),
        _exhausted(context, sessions, answers),
        _held(context, pool, sessions, answers),
        _in_transaction(context, pool, sessions, answers),
        _blocked(context, sessions, answers),
        _unreachable(answers),
        _pods_down(context, answers),
    ]


def _saturated(pool: _Pool, sessions: _Sessions | None, answers: Answers) -> Signal:
    name = "pool_saturated"
    if not pool.measured:
        reason = answers.why_missing("in_use") or "the service exports no metric of its connection pool"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the pool's use is not known: {reason}")
    if pool.full:
        text = (
            f"the connection pool is full on {pool.full_pods} of {len(pool.shares)} pods since {format_instant(pool.full.onset)}"
        )
        if sessions is not None and sessions.waiters:
            text += f", while {sessions.waiters} sessions wait for a lock that {sessions.blocker} holds"
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=pool.full.onset, value=pool.full.peak, unit="ratio")
    return Signal(name=name, presence=Presence.ABSENT, text=f"{pool.in_use:.0f} of {pool.size:.0f} pooled connections are in use")


def _starved(pool: _Pool, answers: Answers) -> Signal:
    name = "pool_starved"
    if pool.failing_since:
        text = "requests wait in vain for a connection from the pool"
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=pool.failing_since)
    if answers.get("timeouts") is None and answers.get("waiting") is None:
        reason = answers.why_missing("timeouts") or "the pool exports neither its queue nor its time-outs"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether requests wait for a connection is not known: {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text="no request waits for a connection from the pool")


def _shrank(pool: _Pool, answers: Answers) -> Signal:
    name = "pool_shrank"
    if pool.shrank_at is not None:
        text = f"the pool is smaller since {format_instant(pool.shrank_at)}"
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=pool.shrank_at)
    if not pool.measured:
        reason = answers.why_missing("size") or "the service exports no metric of its connection pool"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the pool's size is not known: {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text="the pool did not become smaller")


def _exhausted(context: CheckContext, sessions: _Sessions | None, answers: Answers) -> Signal:
    name = "server_connections_exhausted"
    refused = answers.errors.get("limits")
    if refused is not None and pd.Series([refused.error or ""]).str.contains(_FULL_SERVER).any():
        text = f"the database refuses new connections: {refused.error}"
        return Signal(name=name, presence=Presence.PRESENT, text=text)
    if sessions is None:
        return Signal(
            name=name,
            presence=Presence.UNKNOWN,
            text=f"the server's connections are not known: {_why_unknown(context, answers, 'limits')}",
        )
    text = f"the server has {sessions.used} of {sessions.maximum} connections in use"
    full = sessions.used >= context.service.thresholds.database_connections_ratio.critical * sessions.maximum
    return Signal(
        name=name, presence=Presence.PRESENT if full else Presence.ABSENT, text=text, value=sessions.used, unit="connections"
    )


def _held(context: CheckContext, pool: _Pool, sessions: _Sessions | None, answers: Answers) -> Signal:
    name = "connections_held_beyond_request"
    if sessions is None:
        return Signal(
            name=name, presence=Presence.UNKNOWN, text=f"the sessions are not known: {_why_unknown(context, answers, 'sessions')}"
        )
    enough = max(1.0, 0.2 * (pool.size or 0.0))
    if sessions.held < enough:
        return _not_seen(name, "no transaction is kept open for longer than a request lasts", sessions)
    age = timedelta(seconds=sessions.held_seconds)
    oldest = f"the oldest for {format_duration(age)}: longer than any request lasts"
    text = f"{sessions.held} connections are idle in transaction, {oldest}"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=context.now - age if context.live else None)


def _in_transaction(context: CheckContext, pool: _Pool, sessions: _Sessions | None, answers: Answers) -> Signal:
    name = "connections_wait_in_transaction"
    if sessions is None:
        return Signal(
            name=name, presence=Presence.UNKNOWN, text=f"the sessions are not known: {_why_unknown(context, answers, 'sessions')}"
        )
    text = f"{sessions.open_transactions} sessions are idle in transaction"
    many = sessions.open_transactions >= max(1.0, _MOST * (pool.size or 2.0))
    return Signal(name=name, presence=Presence.PRESENT, text=text) if many else _not_seen(name, text, sessions)


def _blocked(context: CheckContext, sessions: _Sessions | None, answers: Answers) -> Signal:
    name = "sessions_blocked"
    if sessions is None or answers.get("chains") is None:
        return Signal(
            name=name, presence=Presence.UNKNOWN, text=f"blocking is not known: {_why_unknown(context, answers, 'chains')}"
        )
    if not sessions.waiters:
        return _not_seen(name, "no session has waited for a lock for long", sessions)
    since = context.now - timedelta(seconds=sessions.blocked_seconds) if context.live else None
    text = f"{sessions.waiters} sessions wait for a lock that {sessions.blocker} holds"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, subject=sessions.blocker)


def _not_seen(name: str, text: str, sessions: _Sessions) -> Signal:
    """Absent, unless sessions are hidden from us."""
    if sessions.hidden:
        reason = f"{sessions.hidden} sessions are hidden from our role (grant it pg_monitor)"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"{text} as far as can be seen; {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text=text)


def _why_unknown(context: CheckContext, answers: Answers, name: str) -> str:
    return answers.why_missing(name) if context.live else "a past window is looked at, and a database only tells of now"


def _unreachable(answers: Answers) -> Signal:
    name = "database_unreachable"
    error = answers.errors.get("limits")
    if error is None:
        return Signal(name=name, presence=Presence.ABSENT, text="the database answers")
    presence = Presence.PRESENT if error.status in ("unreachable", "timeout") else Presence.UNKNOWN
    return Signal(name=name, presence=presence, text=f"the database could not be asked: {error.error}")


def _pods_down(context: CheckContext, answers: Answers) -> Signal:
    name = "database_pods_down"
    pods = answers.get("pods")
    if pods is None or not context.live:
        reason = answers.why_missing("pods") or "they are not in this cluster, or a past window is looked at"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the pods of the database are not known: {reason}")
    ready = int(pods["ready"].sum()) if len(pods) else 0
    text = f"{ready} of {len(pods)} pods of the database are ready"
    return Signal(name=name, presence=Presence.ABSENT if ready else Presence.PRESENT, text=text)
