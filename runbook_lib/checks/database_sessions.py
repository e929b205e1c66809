"""The sessions of the service as the database sees them: how many, held for how long, and who blocks whom."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

import pandas as pd

from runbook_lib.checks.asking import Answers, Question
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.database_readiness import pods_down, unreachable
from runbook_lib.checks.lock_chains import Blocking, blocking_of
from runbook_lib.models.finding import Presence, Signal
from runbook_lib.models.own_sessions import own_rows
from runbook_lib.models.window import format_duration

_MOST = 0.5  # of the pool
_SHORTEST_HOLD_SECONDS = 10.0
_BLOCKED_SECONDS = 5.0
_FULL_SERVER = (
    "too many clients|remaining connection slots|too many connections for database|no more connections allowed|query_wait_timeout"
)
_FULL_ROLE = re.compile(r'too many connections for role "([^"]+)"')


@dataclass(frozen=True, slots=True)
class Sessions:
    """The database's view of this service's sessions; counts of connections, ages in seconds.

    hidden: sessions whose state our role may not see, so that what is not seen may still be there.
    """

    used: int
    maximum: int
    open_transactions: int
    held: int
    held_seconds: float
    blocking: Blocking | None
    hidden: int


def seen_by_database(answers: Answers, context: CheckContext) -> Sessions | None:
    """The sessions from the answers `limits`, `sessions` and `chains`; None when they are missing or not of this time."""
    limits, sessions = answers.get("limits"), answers.get("sessions")
    if limits is None or sessions is None or not context.live:
        return None
    idle = sessions[sessions["state"].str.startswith("idle in transaction")] if len(sessions) else sessions
    held = idle[idle["state_seconds"] > _hold_limit_seconds(context)] if len(idle) else idle
    chains = answers.get("chains")
    return Sessions(
        used=int(limits["used_connections"]),
        maximum=int(limits["max_connections"]) - int(limits.get("reserved_connections") or 0),
        open_transactions=len(idle),
        held=len(held),
        held_seconds=float(held["state_seconds"].max()) if len(held) else 0.0,
        blocking=blocking_of(chains, context, longer_than_seconds=_BLOCKED_SECONDS) if chains is not None else None,
        hidden=int(sessions.attrs.get("hidden") or 0),
    )


def own_pods(context: CheckContext) -> dict[str, Question]:
    """Where the database runs in the cluster, its pods say how it is even when it does not answer us."""
    component, cluster = context.service.components.database, context.sources.cluster
    selector = component.selector if component is not None else None
    return {"pods": Question(cluster, lambda: cluster.pods(selector))} if selector else {}


@dataclass(frozen=True, slots=True)
class Roles:
    """Those of the service, as far as they are known, and those that have as many connections as they may.

    refused: the role that this was to be read with, where it is one of these; whatever it is, it is not the server.
    """

    own: frozenset[str]
    full: frozenset[str]
    refused: str

    @property
    def limited(self) -> str:
        """Which role of the service has as many connections as it may, as a clause. Empty: none that is known."""
        ours = sorted(self.own & self.full)
        return f"role {ours[0]} has as many connections as its CONNECTION LIMIT lets it have" if ours else ""


def roles_of(context: CheckContext, answers: Answers) -> Roles:
    """From the questions `limits`, `connections`, and `logs`, where these were asked.

    A service that the limit leaves no connection is known by its service file, or by what it logs.
    """
    limits, connections, logs = answers.get("limits"), answers.get("connections"), answers.get("logs")
    component = context.service.components.database
    refused = next((found for error in answers.errors.values() if (found := _FULL_ROLE.search(error.error or ""))), None)
    full = set((limits or {}).get("full_roles") or ()) | ({refused[1]} if refused else set())
    own = {str(user) for user in own_rows(connections, context.service)["user"]} if connections is not None else set()
    if component is not None and component.user:
        own |= {component.user, *(role for role in full if fnmatchcase(role, component.user))}
    if logs is not None:
        logged = {role for message in logs["message"] for role in _FULL_ROLE.findall(str(message))}
        own, full = own | logged, full | (logged if limits is None else set())
    return Roles(own=frozenset(own), full=frozenset(full), refused=refused[1] if refused else "")


def why_unknown(context: CheckContext, answers: Answers, *names: str) -> str:
    """Why what the database would say is missing: the first of these answers that did not come."""
    if not context.live:
        return "a past window is looked at, and a database only tells of now"
    return next((reason for name in names if (reason := answers.why_missing(name))), "")


def session_signals(
    context: CheckContext, sessions: Sessions | None, answers: Answers, *, pool_size: float | None
) -> list[Signal]:
    """What the database tells; `pool_size` is that of all pods together, in connections."""
    return [
        _exhausted(context, sessions, answers),
        _role_full(context, answers),
        _held(context, pool_size, sessions, answers),
        _in_transaction(context, pool_size, sessions, answers),
        _blocked(context, sessions, answers),
        _rootless(sessions),
        unreachable(context, answers),
        pods_down(context, answers),
    ]


def _hold_limit_seconds(context: CheckContext) -> float:
    """No request keeps a transaction open for longer than twice its longest downstream timeout: what does has been leaked."""
    timeouts = [one.timeout_seconds or 0.0 for one in context.service.dependencies.downstream]
    return max(_SHORTEST_HOLD_SECONDS, 2 * max(timeouts, default=0.0))


def _exhausted(context: CheckContext, sessions: Sessions | None, answers: Answers) -> Signal:
    name = "server_connections_exhausted"
    role, refused = roles_of(context, answers).refused, answers.errors.get("limits")
    if refused is not None and pd.Series([refused.error or ""]).str.contains(_FULL_SERVER).any():
        text = f"the database refuses new connections: {refused.error}"
        return Signal(name=name, presence=Presence.PRESENT, text=text)
    if sessions is None:
        why = (
            f"role {role}, which this reads with, may have no more"
            if role
            else why_unknown(context, answers, "limits", "sessions")
        )
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the server's connections are not known: {why}")
    text = f"the server has {sessions.used} of {sessions.maximum} connections in use"
    full = sessions.used >= context.service.thresholds.database_connections_ratio.critical * sessions.maximum
    return Signal(
        name=name, presence=Presence.PRESENT if full else Presence.ABSENT, text=text, value=sessions.used, unit="connections"
    )


def _role_full(context: CheckContext, answers: Answers) -> Signal:
    """Whether the database lets the service's own role have no more connections: no new pod gets any either."""
    name, roles = "role_connections_exhausted", roles_of(context, answers)
    if context.live and roles.limited:
        return Signal(name=name, presence=Presence.PRESENT, text=roles.limited)
    if answers.get("limits") is None or answers.get("connections") is None or not context.live:
        why = why_unknown(context, answers, "limits") or why_unknown(context, answers, "connections")
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the connections of the service's role are not known: {why}")
    if roles.full and not roles.own:
        listed = ", ".join(sorted(roles.full))
        text = f"the service has no connection to tell its role by; these have as many as they may: {listed}"
        return Signal(name=name, presence=Presence.UNKNOWN, text=text)
    return Signal(name=name, presence=Presence.ABSENT, text="the database sets the service's role no limit that is reached")


def _held(context: CheckContext, pool_size: float | None, sessions: Sessions | None, answers: Answers) -> Signal:
    name = "connections_held_beyond_request"
    if sessions is None:
        return Signal(
            name=name,
            presence=Presence.UNKNOWN,
            text=f"the sessions are not known: {why_unknown(context, answers, 'sessions', 'limits')}",
        )
    enough = max(1.0, 0.2 * (pool_size or 0.0))
    if sessions.held < enough:
        return _not_seen(name, "no transaction is kept open for longer than a request lasts", sessions)
    age = timedelta(seconds=sessions.held_seconds)
    oldest = f"the oldest for {format_duration(age)}: longer than any request lasts"
    text = f"{sessions.held} connections are idle in transaction, {oldest}"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=context.now - age if context.live else None)


def _in_transaction(context: CheckContext, pool_size: float | None, sessions: Sessions | None, answers: Answers) -> Signal:
    name = "connections_wait_in_transaction"
    if sessions is None:
        return Signal(
            name=name,
            presence=Presence.UNKNOWN,
            text=f"the sessions are not known: {why_unknown(context, answers, 'sessions', 'limits')}",
        )
    text = f"{sessions.open_transactions} sessions are idle in transaction"
    many = sessions.open_transactions >= max(1.0, _MOST * (pool_size or 2.0))
    return Signal(name=name, presence=Presence.PRESENT, text=text) if many else _not_seen(name, text, sessions)


def _blocked(context: CheckContext, sessions: Sessions | None, answers: Answers) -> Signal:
    name = "sessions_blocked"
    if sessions is None or answers.get("chains") is None:
        return Signal(
            name=name,
            presence=Presence.UNKNOWN,
            text=f"blocking is not known: {why_unknown(context, answers, 'chains', 'limits', 'sessions')}",
        )
    blocking = sessions.blocking
    if blocking is None:
        return _not_seen(name, "no session of the service was seen to wait for a lock for long", sessions)
    since = context.now - timedelta(seconds=blocking.seconds) if context.live else None
    return Signal(name=name, presence=Presence.PRESENT, text=str(blocking), since=since, subject=blocking.blocker)


def _rootless(sessions: Sessions | None) -> Signal:
    """Whether no session can be ended for it: a prepared transaction has none."""
    prepared = sessions is not None and sessions.blocking is not None and sessions.blocking.kind == "prepared"
    text = "a prepared transaction holds the lock" if prepared else "no prepared transaction is seen to hold a lock"
    presence = Presence.PRESENT if prepared else Presence.UNKNOWN if sessions is None else Presence.ABSENT
    return Signal(name="sessions_blocked_by_prepared", presence=presence, text=text)


def _not_seen(name: str, text: str, sessions: Sessions) -> Signal:
    """Absent, unless sessions are hidden from us."""
    if sessions.hidden:
        reason = f"{sessions.hidden} sessions are hidden from our role (grant it pg_monitor)"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"{text} as far as can be seen; {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text=text)
