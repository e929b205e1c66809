"""Is the database there: its pods and why they are not ready, what the cluster did to them, and whether it takes connections?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.analysis.pod_troubles import Trouble, serving, standing, troubles
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.pod_states import sentence, table
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame
from runbook_lib.service.models import DatabaseComponent

_ENDING = ("Killing", "SuccessfulDelete", "Evicted", "Preempted")


def database_readiness(context: CheckContext) -> Finding:
    """Are the database's pods ready, since when not and why, and does it take connections?"""
    component = context.service.components.database
    answers = ask(_questions(context, component), deadline_seconds=context.deadline_seconds)
    pods, recently = _pods(answers), context.focus().start
    found = (
        troubles(serving(pods, recently=recently), recently=recently, events=answers.get("events")) if pods is not None else []
    )
    signals = (unreachable(context, answers), pods_down(context, answers))
    return Finding(
        name="database_readiness",
        title="Database readiness",
        summary=_summary(component, pods, found, answers),
        status=_status(*signals),
        command=_command(context, component),
        tables=tuple(_tables(found, answers.get("events"))),
        notes=_notes(component),
        signals=signals,
        sources=answers.sources,
    )


def _questions(context: CheckContext, component: DatabaseComponent | None) -> dict[str, Question]:
    database, cluster = context.sources.database, context.sources.cluster
    questions = {"limits": Question(database, database.limits)}
    selector = component.selector if component is not None else None
    if selector:
        prefix = (component.pod or "").rpartition("-")[0] if component is not None else ""
        names = [prefix] if prefix else []
        questions["pods"] = Question(cluster, lambda: cluster.pods(selector))
        if names:
            questions["events"] = Question(cluster, lambda: cluster.events(window=context.window, names=names))
    return questions


def unreachable(context: CheckContext, answers: Answers) -> Signal:
    """Whether the database did not answer at all; from the question `limits`. A refusal is an answer.

    A statement without an answer in time is none: it may wait in a pooler's queue, for a lock, or for our own other connections.
    It counts only where no pod of the database is ready.
    """
    name = "database_unreachable"
    error = answers.errors.get("limits")
    if error is None:
        return Signal(name=name, presence=Presence.ABSENT, text="the database answers")
    late = error.status == "timeout" and pods_down(context, answers).presence is Presence.PRESENT
    presence = Presence.PRESENT if late or error.status == "unreachable" else Presence.UNKNOWN
    return Signal(name=name, presence=presence, text=f"the database could not be asked: {error.error}")


def _pods(answers: Answers) -> Frame | None:
    """Those of the database itself: an operator's jobs carry its labels, too."""
    pods = answers.get("pods")
    return standing(pods) if pods is not None else None


def pods_down(context: CheckContext, answers: Answers) -> Signal:
    """Whether no pod of the database is ready, and since when; from the questions `pods` and `events`."""
    name = "database_pods_down"
    pods = _pods(answers)
    if pods is None or not context.live:
        reason = answers.why_missing("pods") or "they are not in this cluster, or a past window is looked at"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the pods of the database are not known: {reason}")
    ready = int(pods["ready"].sum()) if len(pods) else 0
    text = f"{ready} of {len(pods)} pods of the database are ready" if len(pods) else "the database has no pods"
    if ready:
        return Signal(name=name, presence=Presence.ABSENT, text=text)
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=_down_since(pods, answers.get("events")))


def _down_since(pods: Frame, events: Frame | None) -> datetime | None:
    """When the first pod ceased to be ready; without any, when the cluster ended the last one.

    The pods of a StatefulSet keep their names, so that only the last mention of an event is of this time.
    """
    if len(pods):
        moments = [pd.Timestamp(at).to_pydatetime() for at in pods["ready_changed_at"].dropna()]
        return min(moments, default=None)
    if events is None or events.empty:
        return None
    ended = [pd.Timestamp(at).to_pydatetime() for at in events["time"][events["reason"].isin(_ENDING)]]
    return max(ended, default=None)


def _summary(component: DatabaseComponent | None, pods: Frame | None, found: Sequence[Trouble], answers: Answers) -> str:
    if component is None:
        return "The service file names no database."
    limits: Mapping[str, Any] | None = answers.get("limits")
    answer = (
        f"it takes connections ({limits['used_connections']} of {limits['max_connections']} in use)"
        if limits is not None
        else f"it could not be asked ({answers.why_missing('limits')})"
    )
    if pods is None:
        where = answers.why_missing("pods")
        return f"Database {component.name}: {answer}; its pods are not known{f' ({where})' if where else ''}."
    if pods.empty:
        return f"Database {component.name} has no pods: it was scaled to 0, or its pod is gone; {answer}."
    told = f" - {sentence(found)}" if found else ""
    return f"{int(pods['ready'].sum())} of {len(pods)} pods of database {component.name} are ready{told}; {answer}."


def _status(silent: Signal, down: Signal) -> FindingStatus:
    """That it does not answer us may be our own network's fault, as long as its pods are not seen to be down."""
    if down.presence is Presence.PRESENT:
        return FindingStatus.CRITICAL
    if silent.presence is Presence.ABSENT:
        return FindingStatus.NORMAL
    known = silent.presence is Presence.PRESENT and down.presence is Presence.ABSENT
    return FindingStatus.WARNING if known else FindingStatus.UNKNOWN


def _tables(found: Sequence[Trouble], events: Frame | None) -> list[tuple[str, Frame]]:
    tables = [("Pods of the database that are not ready", table(found))] if found else []
    if events is not None and len(events):
        tables.append(("Events of the database", Frame(events.sort_values("time", ascending=False).head(10))))
    return tables


def _notes(component: DatabaseComponent | None) -> tuple[str, ...]:
    if component is None:
        return ()
    told = {"Configuration": component.configuration, "Backup": component.backup}
    return tuple(f"{what}: {text}." for what, text in told.items() if text)


def _command(context: CheckContext, component: DatabaseComponent | None) -> str:
    if component is None or not component.selector:
        return ""
    base, pod = f"kubectl -n {context.namespace}", component.pod or "postgres-0"
    return f"{base} get pods -l {component.selector}; {base} exec {pod} -- pg_isready"
