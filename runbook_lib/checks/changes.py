"""What was changed shortly before the symptom: rollouts, with the difference between revisions, and configuration."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.change_signals import change_signals
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.edits import Edit, config_changes, edits_of, is_restart
from runbook_lib.checks.rolled_out import what_was_rolled_out
from runbook_lib.checks.rollouts import Rollout
from runbook_lib.models.finding import Finding, FindingStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import format_duration, format_instant

_SHARE_FOR_HISTORY = 0.7  # of the deadline: lists of a large cluster take longer than the one difference that is asked for then


def recent_changes(context: CheckContext) -> Finding:
    """Rollouts and configuration changes before the symptom, and what exactly they changed."""
    cluster, began = context.sources.cluster, time.monotonic()
    answers = ask(
        {
            "history": Question(cluster, lambda: cluster.rollout_history(context.deployment)),
            "config": Question(cluster, lambda: config_changes(context)),
        },
        deadline_seconds=_SHARE_FOR_HISTORY * context.deadline_seconds,
    )
    history = answers.get("history")
    rolled = what_was_rolled_out(context, history, seconds=context.deadline_seconds - (time.monotonic() - began))
    rollout, content = rolled.rollout, rolled.content
    edits = edits_of(rollout, content.difference, answers.get("config"), context)
    summary = _summary(context, history, rollout, edits, answers)
    meaningful = [edit for edit in edits if not is_restart(edit)]
    return Finding(
        name="recent_changes",
        title="Recent changes",
        summary=summary,
        status=_status(history, meaningful, context),
        command=_command(context, rollout),
        tables=tuple(_tables(history, edits)),
        notes=tuple(note for note in (_gitops_note(history), _unread_note(content.unread)) if note),
        signals=tuple(change_signals(context, history, rollout, meaningful, answers, rolled.difference, content.unread)),
        sources=answers.sources,
    )


def _summary(
    context: CheckContext, history: Frame | None, rollout: Rollout | None, edits: Sequence[Edit], answers: Answers
) -> str:
    if history is None:
        return f"The rollout history could not be read: {answers.why_missing('history')}."
    if rollout is None and not edits:
        return f"Nothing was rolled out or reconfigured in the window ({format_duration(context.window.duration)})."
    parts = []
    if rollout is not None:
        moment = f"{format_instant(rollout.at)}{_relation(context, rollout)}"
        parts.append(f"Revision {rollout.revision} of {context.deployment} was rolled out at {moment}")
    changed = [edit for edit in edits if not is_restart(edit)]
    if changed:
        first = ", ".join(f"{edit.path}: {edit.old or '(none)'} → {edit.new or '(none)'}" for edit in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        parts.append(f"it changed {first}{more}" if rollout is not None else f"Configuration changed: {first}{more}")
    elif rollout is not None and rollout.before is None:
        parts.append("what it changed is not kept (revisionHistoryLimit)")
    elif rollout is not None and edits:
        parts.append("it was only a restart")
    return "; ".join(parts) + "."


def _relation(context: CheckContext, rollout: Rollout) -> str:
    onset = context.onset
    if onset is None:
        return ""
    apart = onset - rollout.at
    if apart >= timedelta(0):
        return f", {format_duration(apart)} before the onset"
    return f", {format_duration(-apart)} after the first rise of the symptom"


def _status(history: Frame | None, meaningful: Sequence[Edit], context: CheckContext) -> FindingStatus:
    if history is None:
        return FindingStatus.UNKNOWN
    if meaningful and context.onset is not None:
        return FindingStatus.WARNING
    return FindingStatus.INFO if meaningful else FindingStatus.NORMAL


def _command(context: CheckContext, rollout: Rollout | None) -> str:
    base = f"kubectl -n {context.namespace} rollout history deployment/{context.deployment}"
    return f"{base}; {base} --revision={rollout.revision}" if rollout is not None else base


def _tables(history: Frame | None, edits: Sequence[Edit]) -> list[tuple[str, Frame]]:
    tables = []
    if edits:
        rows = [(edit.where, edit.path, edit.old, edit.new, edit.at) for edit in edits]
        tables.append(("What changed", frame(rows, columns=["where", "what", "before", "after", "at"])))
    if history is not None and len(history):
        tables.append(("Rollout history", Frame(history.sort_values("revision", ascending=False).head(10))))
    return tables


def _gitops_note(history: Frame | None) -> str:
    managed = history.attrs.get("managed_by") if history is not None else None
    return (
        f"The deployment is managed by {managed}: a rollback in the cluster is undone by it, so revert it in its Git repository."
        if managed
        else ""
    )


def _unread_note(unread: str) -> str:
    return (
        f"What else the rollout changed is not known: config maps that it exchanged could not be read: {unread}."
        if unread
        else ""
    )
