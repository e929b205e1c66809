"""What the service's statements wait for: locks, or their own work; and which of them take long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from runbook_lib.analysis.episodes import step_up
from runbook_lib.analysis.series import as_series
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.database_sessions import why_unknown
from runbook_lib.checks.measures import over_time
from runbook_lib.models.blocking import Blocker, LongStatement, longest_statement, root_blocker
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.own_sessions import own_rows
from runbook_lib.models.units import written

_WAITING = 0.5  # sessions, on average over the looks: below it nobody's waiting makes a service slow
_SHARE_OF_LIMIT = 0.5  # of the critical latency: a statement that takes so long makes its request slow
_SHORT_SECONDS = 5.0  # transactions younger than this are not what the waiting began with
_LONG_SECONDS = 5.0  # nobody's request waits that long for a statement: it is a report, a batch, or a mistake
_BUSIER = 1.0  # connections more than before
_SAMPLES = 3
_SIGNALS = ("statements_wait_for_locks", "blocker_at_work", "blocker_is_no_session", "statements_slow", "statement_runs_long")


@dataclass(frozen=True, slots=True)
class Activity:
    """The looks at the service's own sessions. waiting, slow, busy: sessions, on average over the looks.

    slow are those that work, and do not wait for a lock, on a statement that has taken `slow_seconds` already. longest: the
    statement, of anybody, that has taken longest; own_longest: that of the service.
    """

    samples: int
    busy: float
    waiting: float
    slow: float
    slow_seconds: float
    blocker: Blocker | None
    longest: LongStatement | None
    own_longest: LongStatement | None
    hidden: int


def database_activity(context: CheckContext) -> Finding:
    """What the service's statements do, looked at eight times within two seconds: what they wait for, and whom they wait for."""
    database = context.sources.database
    answers = ask(
        {"activity": Question(database, database.activity), "in_use": over_time(context, "pool_in_use", steps="fine")},
        deadline_seconds=context.deadline_seconds,
    )
    seen = answers.get("activity") if context.live else None
    if seen is None:
        return _unknown(context, answers)
    own = own_rows(seen, context.service)
    found = _looked_at(context, seen, own)
    summary = _summary(context, found)
    return Finding(
        name="database_activity",
        title="What the database is doing",
        summary=summary,
        status=_status(found),
        command=seen.command,
        tables=tuple(
            (caption, table)
            for caption, table in (("Statements of this service", _statements(own)), ("Who blocks them", _blockers(seen, own)))
            if len(table)
        ),
        notes=_notes(found),
        signals=(
            _lock_signal(context, found, answers),
            _blocker_signal(found),
            _no_session_signal(found),
            _slow_signal(context, found, answers),
            _long_signal(found),
        ),
        sources=answers.sources,
    )


def _looked_at(context: CheckContext, seen: Frame, own: Frame) -> Activity:
    samples = max(1, int(seen.attrs.get("samples") or 1))
    slow_seconds = _SHARE_OF_LIMIT * context.service.thresholds.latency_p95_seconds.critical
    active = own[own["state"] == "active"] if len(own) else own
    waits = active["wait_event"].astype("str").str.startswith("Lock") if len(active) else pd.Series(dtype=bool)
    working = active[~waits] if len(active) else active
    slow = working[working["state_seconds"] > slow_seconds] if len(working) else working
    return Activity(
        samples=samples,
        busy=len(active) / samples,
        waiting=float(waits.sum()) / samples,
        slow=len(slow) / samples,
        slow_seconds=slow_seconds,
        blocker=root_blocker(seen, Frame(active[waits] if len(active) else active)),
        longest=longest_statement(seen, at_least_seconds=_LONG_SECONDS),
        own_longest=longest_statement(own, at_least_seconds=_LONG_SECONDS),
        hidden=int(own.attrs.get("hidden") or 0),
    )


def _summary(context: CheckContext, found: Activity) -> str:
    name = context.service.name
    if found.waiting >= _WAITING:
        whom = f" that {found.blocker} holds" if found.blocker else ""
        return f"{found.waiting:.1f} of {found.busy:.1f} active sessions of {name} wait for a lock{whom}."
    if found.slow >= _WAITING:
        seconds = written(found.slow_seconds, "seconds")
        return f"{found.slow:.1f} of {found.busy:.1f} active sessions of {name} have worked on one statement for over {seconds}."
    hidden = f"; {found.hidden} sessions are hidden from our role (grant it pg_monitor)" if found.hidden else ""
    return f"{found.busy:.1f} sessions of {name} are at work on average; none waits for a lock or works for long{hidden}."


def _status(found: Activity) -> FindingStatus:
    if found.waiting >= _WAITING or found.slow >= _WAITING:
        return FindingStatus.WARNING
    return FindingStatus.UNKNOWN if found.hidden and not found.busy else FindingStatus.NORMAL


def _statements(own: Frame) -> Frame:
    """The service's statements by how often they were seen at work: the more often, the more time they take altogether."""
    if own.empty:
        return frame([])
    active = own[own["state"] == "active"]
    rows = [
        {
            "statement": str(query),
            "seen": len(part),
            "longest seconds": float(part["state_seconds"].max()),
            "mostly waits for": part["wait_event"].fillna("").mode().iloc[0] or "nothing: it works",
        }
        for query, part in active.groupby("query")
    ]
    return frame(sorted(rows, key=lambda row: -int(str(row["seen"])))[:20])


def _blockers(seen: Frame, own: Frame) -> Frame:
    """Everybody who holds what a session of the service waits for."""
    if own.empty:
        return frame([])
    wanted = {int(pid) for blockers in own["blocked_by"] for pid in blockers}
    held = seen[seen["pid"].isin(wanted)].drop_duplicates("pid", keep="last") if wanted else seen.iloc[:0]
    columns = ["pid", "application", "user", "state", "wait_event", "transaction_seconds", "backend_start", "query"]
    return Frame(held[columns].reset_index(drop=True))


def _notes(found: Activity) -> tuple[str, ...]:
    notes = []
    if found.waiting >= _WAITING and (blocker := found.blocker) is not None:
        notes.append(_how_to_end(blocker))
    if found.longest is not None:
        notes.append(f"{_told(found.longest)}: {found.longest.query[:200]}")
    return tuple(notes)


def _how_to_end(blocker: Blocker) -> str:
    if blocker.kind == "prepared":
        return f"Find out who prepared it, and ends it no more; {blocker.query or 'ROLLBACK PREPARED'} takes it back, by hand."
    if blocker.kind == "autovacuum":
        return f"{blocker} begins anew when it is ended, and is needed: take back what waits for it, and let it come to its end."
    text = (
        f"Find out whose {blocker} is before you end it: pg_cancel_backend({blocker.pid}) stops its statement, "
        f"pg_terminate_backend({blocker.pid}) its session; what it has not committed is rolled back."
    )
    return f"{text} It waits itself for {blocker.behind}, which is to be let alone." if blocker.behind else text


def _told(statement: LongStatement) -> str:
    return f"{statement} has been at one statement for {written(statement.seconds, 'seconds')}"


def _busier_since(context: CheckContext, answers: Answers) -> datetime | None:
    """When the service began to hold more connections: statements that take longer keep theirs for longer (Little's law).

    Where the rise is too short or too noisy for a change point, what is held since the symptom's onset is compared with before.
    """
    if (in_use := answers.get("in_use")) is None:
        return None
    held, onset = as_series(in_use), context.symptom().onset_at
    rise = step_up(held, at_least=_BUSIER)
    if rise is not None or onset is None:
        return rise
    before, after = held[held.index < onset], held[held.index >= onset]
    if len(before) < _SAMPLES or len(after) < _SAMPLES:
        return None
    return onset if float(after.mean()) - float(before.median()) >= _BUSIER else None


def _lock_signal(context: CheckContext, found: Activity, answers: Answers) -> Signal:
    name = "statements_wait_for_locks"
    if found.waiting < _WAITING:
        return _absent(name, "the service's statements do not wait for locks", found)
    blocker = found.blocker
    text = f"{found.waiting:.1f} sessions wait for a lock" + (f" that {blocker} holds" if blocker else "")
    return Signal(
        name=name,
        presence=Presence.PRESENT,
        text=text,
        since=_began(context, blocker, answers),
        subject=str(blocker) if blocker else None,
        value=found.waiting,
        unit="sessions",
    )


def _began(context: CheckContext, blocker: Blocker | None, answers: Answers) -> datetime | None:
    """A long transaction has held its locks since it began; of short ones that come again and again the session is what began."""
    if blocker is not None and blocker.transaction_start is not None:
        age = context.now - blocker.transaction_start
        if age > timedelta(seconds=_SHORT_SECONDS):
            return blocker.transaction_start
    busier, session = _busier_since(context, answers), blocker.backend_start if blocker is not None else None
    return busier if busier is not None and (session is None or busier >= session) else session


def _blocker_signal(found: Activity) -> Signal:
    """Whether cancelling a statement would do: a session that is idle in its transaction is at none."""
    name, blocker = "blocker_at_work", found.blocker
    if found.waiting < _WAITING or blocker is None:
        return _absent(name, "nobody holds a lock that the service's statements wait for", found)
    if blocker.state != "active" or not blocker.is_session:
        return Signal(name=name, presence=Presence.ABSENT, text=f"{blocker} is at no statement that could be cancelled")
    return Signal(name=name, presence=Presence.PRESENT, text=f"{blocker} holds the lock while it works on a statement")


def _no_session_signal(found: Activity) -> Signal:
    """Whether whoever holds the lock is no session that could be ended: a prepared transaction, or an autovacuum."""
    name, blocker = "blocker_is_no_session", found.blocker
    if found.waiting < _WAITING or blocker is None:
        return _absent(name, "nobody holds a lock that the service's statements wait for", found)
    presence = Presence.ABSENT if blocker.is_session else Presence.PRESENT
    return Signal(name=name, presence=presence, text=f"{blocker} is {'a' if blocker.is_session else 'no'} session of a client")


def _slow_signal(context: CheckContext, found: Activity, answers: Answers) -> Signal:
    name, seconds = "statements_slow", written(found.slow_seconds, "seconds")
    if found.slow < _WAITING:
        return _absent(name, f"no statement works for longer than {seconds}", found)
    text = f"{found.slow:.1f} sessions work on one statement for longer than {seconds}, without waiting for a lock"
    since = _busier_since(context, answers) or (found.own_longest.query_start if found.own_longest is not None else None)
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, value=found.slow, unit="sessions")


def _long_signal(found: Activity) -> Signal:
    """Of the service's own: somebody else's backup or nightly report takes its time, and is no fault."""
    name, longest = "statement_runs_long", found.own_longest
    if longest is None:
        return _absent(name, f"no session of the service has been at one statement for {_LONG_SECONDS:g} s", found)
    return Signal(
        name=name,
        presence=Presence.PRESENT,
        text=_told(longest),
        since=longest.query_start,
        subject=str(longest),
        value=longest.seconds,
        unit="seconds",
    )


def _absent(name: str, text: str, found: Activity) -> Signal:
    """Absent, unless sessions are hidden from us."""
    if found.hidden:
        reason = f"{found.hidden} sessions are hidden from our role (grant it pg_monitor)"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"{text} as far as can be seen; {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text=text)


def _unknown(context: CheckContext, answers: Answers) -> Finding:
    reason = why_unknown(context, answers, "activity")
    signals = tuple(
        Signal(name=name, presence=Presence.UNKNOWN, text=f"what statements wait for is not known: {reason}") for name in _SIGNALS
    )
    return Finding(
        name="database_activity",
        title="What the database is doing",
        summary=f"What the database is doing could not be read: {reason}.",
        status=FindingStatus.UNKNOWN,
        signals=signals,
        sources=answers.sources,
    )
