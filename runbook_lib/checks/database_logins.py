"""Whether the database has sessions of the service at all: without any, a pool that waits for connections is not exhausted."""

from __future__ import annotations

from runbook_lib.checks.asking import Answers
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.database_pool import Pool
from runbook_lib.checks.database_sessions import Sessions, roles_of, why_unknown
from runbook_lib.models.finding import Presence, Signal
from runbook_lib.models.frame import Frame
from runbook_lib.models.own_sessions import own_rows
from runbook_lib.sources.postgres_session import OWN_NAME

_HALF = 0.5


def pool_without_sessions(context: CheckContext, pool: Pool, sessions: Sessions | None, answers: Answers) -> Signal:
    """Whether requests wait for connections of which the database, which answers us, has none: they never came about."""
    name = "pool_without_sessions"
    connections = answers.get("connections")
    if sessions is None or connections is None:
        why = why_unknown(context, answers, "connections", "limits", "sessions")
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the service's sessions in the database are not known: {why}")
    own = own_rows(connections, context.service)
    count = int(own["count"].sum()) if len(own) else 0
    if count:
        return Signal(name=name, presence=Presence.ABSENT, text=f"the database has {count} sessions of the service")
    roles = roles_of(context, answers)
    if not _waits(pool) or sessions.used >= sessions.maximum or roles.limited:
        text = "no request waits for a connection that the database does not have"
        return Signal(name=name, presence=Presence.ABSENT, text=text)
    if roles.full and not roles.own:
        text = f"the database has no session of the service, whose role may be one that has as many as it may: {min(roles.full)}"
        return Signal(name=name, presence=Presence.UNKNOWN, text=text)
    if others := _maybe_own(connections, pool, context):
        text = f"the database has no session of the service's application name; whose its {others} others are is not known"
        return Signal(name=name, presence=Presence.UNKNOWN, text=text)
    text = (
        "the database answers, but has none of the connections that the pool waits for: they are turned down, or lost on the way"
    )
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=pool.full.onset if pool.full else pool.failing_since)


def _waits(pool: Pool) -> bool:
    """Whether requests wait now. Whether a pool counts the connections that it tries to open as in use depends on the library."""
    full = pool.full is not None and (pool.in_use or 0.0) >= _HALF * (pool.size or 0.0)
    return full or pool.failing_since is not None


def _maybe_own(connections: Frame, pool: Pool, context: CheckContext) -> int:
    """How many other sessions the pool may hold under another name; 0 where they are too few for what it says to have in use."""
    component = context.service.components.database
    if component is None or not len(connections):
        return 0
    near = connections["database"].isin([connections.attrs.get("database"), component.name])
    others = int(connections[near & (connections["application"] != OWN_NAME)]["count"].sum())
    in_use = 1.0 if pool.in_use is None else pool.in_use
    return others if in_use and others >= _HALF * in_use else 0
