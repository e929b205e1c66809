"""What was changed shortly before the symptom: rollouts, with the difference between revisions, and configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import format_duration, format_instant
from runbook_lib.service.models import Downstream

_SETTLING = timedelta(seconds=60)  # the first errors may be seen before the first new pod is ready
_RESTART = "kubectl.kubernetes.io/restartedAt"
_POOL_KEY = re.compile(r"POOL.*(?:SIZE|MAX)|MAX.*(?:POOL|CONN)", re.IGNORECASE)
_CACHE_KEY = re.compile(r"CACHE|REDIS|TTL(?![A-Z])|MEMCACHE", re.IGNORECASE)
_NUMBER = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$")
_SUFFIX = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
_SIGNALS = (
    "rollout_before_onset",
    "configuration_changed",
    "diff_shrinks_pool",
    "diff_touches_downstream",
    "diff_touches_cache",
    "diff_shortens_cache",
    "diff_shrinks_memory",
    "diff_changes_code",
    "diff_changes_resources",
)


@dataclass(frozen=True, slots=True)
class _Rollout:
    """The rollout that may have caused the symptom: the last one that began before it."""

    revision: int
    before: int | None
    at: datetime
    change_cause: str


@dataclass(frozen=True, slots=True)
class _Edit:
    """One setting that changed; `at` is when it took effect."""

    where: str
    path: str
    kind: str
    old: str
    new: str
    at: datetime | None


def recent_changes(context: CheckContext) -> Finding:
    """Rollouts and configuration changes before the symptom, and what exactly they changed."""
    cluster = context.sources.cluster
    answers = ask(
        {
            "history": Question(cluster, lambda: cluster.rollout_history(context.deployment)),
            "config": Question(cluster, lambda: config_changes(context)),
        },
        deadline_seconds=context.deadline_seconds / 2,
    )
    history = answers.get("history")
    rollout = _culprit(history, context) if history is not None else None
    difference = _difference(context, rollout)
    edits = _edits(rollout, difference.get("diff"), answers.get("config"), context)
    summary = _summary(context, history, rollout, edits, answers)
    meaningful = [edit for edit in edits if not _is_restart(edit)]
    return Finding(
        name="recent_changes",
        title="Recent changes",
        summary=summary,
        status=_status(history, meaningful, context),
        command=_command(context, rollout),
        tables=tuple(_tables(history, edits)),
        notes=(_gitops_note(history),) if _gitops_note(history) else (),
        signals=tuple(_signals(context, history, rollout, meaningful, answers, difference)),
        sources=answers.sources,
    )


def config_changes(context: CheckContext) -> Frame:
    """What changed in the config maps that the pods read, but for what is again as it was applied."""
    deployment = context.sources.cluster.deployment(context.deployment)
    named = context.service.components.application.config_map
    names = dict.fromkeys([*deployment.get("config_maps", ()), *([named] if named else [])])
    changes = context.sources.cluster.config_changes(list(names), window=context.window)
    return Frame(changes[[not _restored(context, row) for row in changes.to_dict("records")]]) if len(changes) else changes


def _restored(context: CheckContext, row: Mapping[Any, Any]) -> bool:
    """A key that was written by hand and is again as it was applied: what it was in between is over."""
    if _text(row["old"]) or not row["key"]:
        return False
    facts = context.sources.cluster.config_map(str(row["config_map"]))
    applied = facts.get("last_applied")
    return applied is not None and applied.get(row["key"]) == facts["data"].get(row["key"])


def _culprit(history: Frame, context: CheckContext) -> _Rollout | None:
    """The last rollout that began no later than the symptom; without a symptom the last one of the window. The first revision of
    all created the service and changed nothing."""
    if history.empty:
        return None
    onset = context.onset
    latest = onset + timedelta(seconds=context.rate_window_seconds) + _SETTLING if onset else context.now
    rows = history.sort_values("revision")
    moments = [_began(row, context) for row in rows.to_dict("records")]
    begun = [index for index, at in enumerate(moments) if at is not None and at <= latest]
    if not begun:
        return None
    index = max(begun, key=lambda position: int(rows["revision"].iloc[position]))
    at = moments[index]
    if index == 0 or at is None or at < context.window.start:
        return None
    return _Rollout(
        revision=int(rows["revision"].iloc[index]),
        before=int(rows["revision"].iloc[index - 1]),
        at=at,
        change_cause=str(rows["change_cause"].iloc[index] or ""),
    )


def _began(row: Mapping[Any, Any], context: CheckContext) -> datetime | None:
    """When a revision was rolled out. A rollback reuses an old replica set, whose creation says nothing: its pods do."""
    created, ready = _moment(row.get("created_at")), _moment(row.get("first_ready_at"))
    if created is not None and created >= context.window.start:
        return min(created, ready) if ready is not None and ready - created < timedelta(hours=1) else (ready or created)
    return ready or created


def _moment(value: Any) -> datetime | None:
    return None if value is None or pd.isna(value) else pd.Timestamp(value).to_pydatetime()


def _difference(context: CheckContext, rollout: _Rollout | None) -> Answers:
    if rollout is None or rollout.before is None:
        return Answers(values={}, errors={}, sources=())
    cluster, before, revision = context.sources.cluster, rollout.before, rollout.revision
    return ask(
        {"diff": Question(cluster, lambda: cluster.rollout_diff(context.deployment, old=before, new=revision))},
        deadline_seconds=context.deadline_seconds / 2,
    )


def _edits(rollout: _Rollout | None, difference: Frame | None, config: Frame | None, context: CheckContext) -> list[_Edit]:
    edits = []
    if rollout is not None and difference is not None:
        where = f"deployment/{context.deployment} revision {rollout.revision}"
        for row in difference.to_dict("records"):
            edits.append(_Edit(where, str(row["path"]), str(row["kind"]), _text(row["old"]), _text(row["new"]), rollout.at))
    for row in config.to_dict("records") if config is not None else ():
        at = _moment(row["updated_at"])
        if at is not None and at < context.window.start:
            continue
        # a config map that is read as environment takes effect with the restart that follows it
        effective = max(at, rollout.at) if at is not None and rollout is not None and rollout.at > at else at
        edits.append(
            _Edit(f"configmap/{row['config_map']}", str(row["key"]), "config", _text(row["old"]), _text(row["new"]), effective)
        )
    return edits


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and pd.isna(value)) else str(value)


def _is_restart(edit: _Edit) -> bool:
    return edit.kind in ("annotation", "label") and (_RESTART in edit.path or edit.kind == "label")


def _summary(
    context: CheckContext, history: Frame | None, rollout: _Rollout | None, edits: Sequence[_Edit], answers: Answers
) -> str:
    if history is None:
        return f"The rollout history could not be read: {answers.why_missing('history')}."
    if rollout is None and not edits:
        return f"Nothing was rolled out or reconfigured in the window ({format_duration(context.window.duration)})."
    parts = []
    if rollout is not None:
        moment = f"{format_instant(rollout.at)}{_relation(context, rollout)}"
        parts.append(f"Revision {rollout.revision} of {context.deployment} was rolled out at {moment}")
    changed = [edit for edit in edits if not _is_restart(edit)]
    if changed:
        first = ", ".join(f"{edit.path}: {edit.old or '(none)'} → {edit.new or '(none)'}" for edit in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        parts.append(f"it changed {first}{more}" if rollout is not None else f"Configuration changed: {first}{more}")
    elif rollout is not None and edits:
        parts.append("it was only a restart")
    return "; ".join(parts) + "."


def _relation(context: CheckContext, rollout: _Rollout) -> str:
    onset = context.onset
    if onset is None:
        return ""
    apart = onset - rollout.at
    if apart >= timedelta(0):
        return f", {format_duration(apart)} before the onset"
    return f", {format_duration(-apart)} after the first rise of the symptom"


def _status(history: Frame | None, meaningful: Sequence[_Edit], context: CheckContext) -> FindingStatus:
    if history is None:
        return FindingStatus.UNKNOWN
    if meaningful and context.onset is not None:
        return FindingStatus.WARNING
    return FindingStatus.INFO if meaningful else FindingStatus.NORMAL


def _command(context: CheckContext, rollout: _Rollout | None) -> str:
    base = f"kubectl -n {context.namespace} rollout history deployment/{context.deployment}"
    return f"{base}; {base} --revision={rollout.revision}" if rollout is not None else base


def _tables(history: Frame | None, edits: Sequence[_Edit]) -> list[tuple[str, Frame]]:
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
        f"The deployment is managed by {managed}: a rollback in the cluster is undone by it, so revert it there too."
        if managed
        else ""
    )


def _signals(
    context: CheckContext,
    history: Frame | None,
    rollout: _Rollout | None,
    edits: Sequence[_Edit],
    answers: Answers,
    difference: Answers,
) -> list[Signal]:
    if history is None or difference.errors:
        reason = answers.why_missing("history") or difference.why_missing("diff")
        text = f"recent changes are not known: {reason}"
        return [Signal(name=name, presence=Presence.UNKNOWN, text=text) for name in _SIGNALS]
    template = [edit for edit in edits if edit.kind != "config"]
    config = [edit for edit in edits if edit.kind == "config"]
    subject = f"deployment/{context.deployment} revision {rollout.revision}" if rollout is not None else None
    return [
        _signal(
            "rollout_before_onset",
            template,
            "was changed by the rollout",
            "no rollout changed the pods before the symptom",
            subject,
        ),
        _signal("configuration_changed", config, "was changed in the configuration", "no configuration was changed", None),
        _signal(
            "diff_shrinks_pool",
            _shrinks_pool(edits, context),
            "made the pool smaller",
            "no change made the pool smaller",
            subject,
        ),
        *_downstream_signals(edits, context, subject),
        _signal("diff_touches_cache", _touches_cache(edits), "concerns the cache", "no change concerns the cache", subject),
        _signal(
            "diff_shortens_cache",
            _shortens_cache(edits, context),
            "lets entries of the cache live for less",
            "no change shortened the life of the cache's entries",
            subject,
        ),
        _signal(
            "diff_shrinks_memory",
            _shrinks_memory(edits),
            "lowered the memory limit",
            "no change lowered the memory limit",
            subject,
        ),
        _signal("diff_changes_code", _changes_code(edits), "is new", "no new image, command or setting was rolled out", subject),
        _signal(
            "diff_changes_resources",
            [edit for edit in edits if edit.kind == "resources"],
            "was changed",
            "no change concerns what the pods ask of their nodes",
            subject,
        ),
    ]


def _signal(name: str, edits: Sequence[_Edit], present: str, absent: str, subject: str | None) -> Signal:
    if not edits:
        return Signal(name=name, presence=Presence.ABSENT, text=absent)
    told = ", ".join(f"{edit.path} ({edit.old or 'none'} → {edit.new or 'none'})" for edit in edits[:3])
    times = [edit.at for edit in edits if edit.at is not None]
    where = subject if subject and any(edit.kind != "config" for edit in edits) else edits[0].where
    return Signal(
        name=name,
        presence=Presence.PRESENT,
        text=f"{where}: {told} {present}",
        since=min(times) if times else None,
        subject=where,
    )


def _shrinks_pool(edits: Sequence[_Edit], context: CheckContext) -> list[_Edit]:
    component = context.service.components.database
    key = component.pool.key if component is not None else None
    return [edit for edit in edits if (key and key in edit.path) or _POOL_KEY.search(edit.path) if _smaller(edit)]


def _smaller(edit: _Edit) -> bool:
    """A number that was lowered, or set where none was. What a config map held before is often not known: that is no evidence."""
    old, new = _quantity(edit.old), _quantity(edit.new)
    return new is not None and (edit.kind != "config" if old is None else new < old)


def _quantity(text: str) -> float | None:
    match = _NUMBER.match(text)
    return float(match[1]) * _SUFFIX[match[2]] if match and match[2] in _SUFFIX else None


def _downstream_signals(edits: Sequence[_Edit], context: CheckContext, subject: str | None) -> list[Signal]:
    touched = [
        (one, matching)
        for one in context.service.dependencies.downstream
        if (matching := [edit for edit in edits if _concerns(edit, one)])
    ]
    name = "diff_touches_downstream"
    if not touched:
        return [Signal(name=name, presence=Presence.ABSENT, text="no change concerns a downstream service")]
    return [_signal(name, matching, f"concerns {one.name}", "", subject) for one, matching in touched]


def _concerns(edit: _Edit, downstream: Downstream) -> bool:
    """The key is one of the dependency's own, or names it; for an address the value may name it instead."""
    if edit.kind not in ("env", "config"):
        return False
    if any(key in edit.path for key in downstream.setting_keys):
        return True
    word = re.sub(r"[^a-z0-9]+", "_", downstream.name.lower())
    return word in re.sub(r"[^a-z0-9]+", "_", edit.path.lower()) or bool(
        re.search(rf"//{re.escape(downstream.name)}\b", edit.old)
    )


def _touches_cache(edits: Sequence[_Edit]) -> list[_Edit]:
    return [edit for edit in edits if edit.kind in ("env", "config") and _CACHE_KEY.search(edit.path)]


def _shortens_cache(edits: Sequence[_Edit], context: CheckContext) -> list[_Edit]:
    """A lifetime that was lowered; where it is not known what it was, one below what the service is designed for."""
    component = context.service.components.cache
    lifetime = component.lifetime if component is not None else None
    if lifetime is None:
        return []
    return [
        edit
        for edit in edits
        if lifetime.key in edit.path
        and (new := lifetime.seconds(edit.new)) is not None
        and (old := lifetime.seconds(edit.old) or lifetime.usual_seconds) is not None
        and new < old
    ]


def _shrinks_memory(edits: Sequence[_Edit]) -> list[_Edit]:
    return [
        edit for edit in edits if edit.kind == "resources" and "memory" in edit.path and "limit" in edit.path and _smaller(edit)
    ]


def _changes_code(edits: Sequence[_Edit]) -> list[_Edit]:
    return [edit for edit in edits if edit.kind in ("image", "command", "env", "config", "volume", "probe", "other")]
