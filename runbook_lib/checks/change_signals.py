"""What changes are evidence of: which part of the service they concern, and in which direction."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from runbook_lib.checks.asking import Answers
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.edits import Edit
from runbook_lib.checks.rollouts import TOGETHER, Rollout, latest_possible
from runbook_lib.models.finding import Presence, Signal
from runbook_lib.models.frame import Frame
from runbook_lib.models.window import format_duration
from runbook_lib.service.models import Downstream
from runbook_lib.sources.quantities import quantity

_POOL_KEY = re.compile(r"POOL.*(?:SIZE|MAX)|MAX.*(?:POOL|CONN)", re.IGNORECASE)
_CACHE_KEY = re.compile(r"CACHE|REDIS|TTL(?![A-Z])|MEMCACHE", re.IGNORECASE)
_REFERENCE = re.compile(r"\bsecrets?\b|config ?map|imagePullSecrets", re.IGNORECASE)
_PLACE = re.compile(r"nodeSelector|[aA]ffinity|tolerations|topologySpread|nodeName|hostPort|hostNetwork")
_SIGNALS = (
    "rollout_before_onset",
    "configuration_changed",
    "diff_shrinks_pool",
    "diff_touches_downstream",
    "diff_touches_cache",
    "diff_shortens_cache",
    "diff_shrinks_memory",
    "diff_changes_code",
    "diff_changes_volumes",
    "diff_asks_for_more",
    "diff_cuts_cpu",
    "diff_names_references",
)
_OF_SETTINGS = ("diff_shrinks_pool", "diff_touches_downstream", "diff_touches_cache", "diff_shortens_cache")


def change_signals(
    context: CheckContext,
    history: Frame | None,
    rollout: Rollout | None,
    edits: Sequence[Edit],
    answers: Answers,
    difference: Answers,
    unread: str = "",
) -> list[Signal]:
    """What the changes before the symptom are evidence of; all of it unknown where `history` or `difference` could not be had.

    unread: why it is not known which settings came and went with the config maps that the rollout exchanged.
    """
    if history is None or difference.errors:
        reason = answers.why_missing("history") or difference.why_missing("diff")
        text = f"recent changes are not known: {reason}"
        return [Signal(name=name, presence=Presence.UNKNOWN, text=text) for name in _SIGNALS]
    newest, onset = _newest(edits, context), context.onset
    signal = partial(_signal, before=onset + timedelta(seconds=context.rate_window_seconds) if onset else context.now)
    suspect = partial(_suspect, newest=newest, signal=signal)
    template = [edit for edit in edits if edit.kind != "config"]
    config = [edit for edit in edits if edit.kind == "config"]
    subject = f"deployment/{context.deployment} revision {rollout.revision}" if rollout is not None else None
    found = [
        suspect(
            "rollout_before_onset",
            template,
            "was changed by the rollout",
            "no rollout changed the pods before the symptom",
            subject,
        ),
        suspect("configuration_changed", config, "was changed in the configuration", "no configuration was changed", None),
        signal(
            "diff_shrinks_pool",
            _shrinks_pool(edits, context),
            "made the pool smaller",
            "no change made the pool smaller",
            subject,
        ),
        *_downstream_signals(edits, context, subject, signal),
        signal("diff_touches_cache", _touches_cache(edits), "concerns the cache", "no change concerns the cache", subject),
        signal(
            "diff_shortens_cache",
            _shortens_cache(edits, context),
            "lets entries of the cache live for less",
            "no change shortened the life of the cache's entries",
            subject,
        ),
        signal(
            "diff_shrinks_memory",
            _shrinks_memory(edits),
            "lowered the memory limit",
            "no change lowered the memory limit",
            subject,
        ),
        signal("diff_changes_code", _changes_code(edits), "is new", "no new image, command or setting was rolled out", subject),
        signal(
            "diff_changes_volumes",
            [edit for edit in edits if edit.kind == "volume"],
            "is another volume",
            "no change of volumes was rolled out",
            subject,
        ),
        signal("diff_asks_for_more", _asks_for_more(edits), "asks more of a node", "no change asks more of the nodes", subject),
        signal("diff_cuts_cpu", _cuts_cpu(edits), "leaves the pods less CPU", "no change left the pods less CPU", subject),
        signal(
            "diff_names_references", _names(template), "names another source", "no change names a config map or secret", subject
        ),
    ]
    if rollout is not None and rollout.before is None:
        return [_unkept(one, rollout, subject) for one in found]
    return [_unread(one, unread, subject) for one in found] if unread else found


def _unread(signal: Signal, unread: str, subject: str | None) -> Signal:
    """Where config maps were exchanged whose content nobody can compare any more, no setting is known to be as it was."""
    if signal.name not in _OF_SETTINGS or signal.presence is not Presence.ABSENT:
        return signal
    text = f"{subject} reads other config maps than before, and what differs in them is not known: {unread}"
    return replace(signal, presence=Presence.UNKNOWN, text=text)


def _unkept(signal: Signal, rollout: Rollout, subject: str | None) -> Signal:
    """Where the revision before is gone, a rollout there was; what it changed nobody knows."""
    text = f"{subject} was rolled out, and what it changed is not kept (revisionHistoryLimit)"
    if signal.name == "rollout_before_onset":
        return replace(signal, presence=Presence.PRESENT, text=text, since=rollout.at, subject=subject)
    unknown = signal.name.startswith("diff_") and signal.presence is Presence.ABSENT
    return replace(signal, presence=Presence.UNKNOWN, text=text) if unknown else signal


def _newest(edits: Sequence[Edit], context: CheckContext) -> Edit | None:
    """The last change that may have caused the symptom."""
    latest = latest_possible(context)
    dated = [(edit.at, edit) for edit in edits if edit.at is not None and edit.at <= latest]
    return max(dated, key=lambda pair: pair[0])[1] if dated else None


def _suspect(
    name: str,
    edits: Sequence[Edit],
    present: str,
    absent: str,
    subject: str | None,
    *,
    newest: Edit | None,
    signal: Callable[..., Signal],
) -> Signal:
    """Whether the last change before the symptom is among these: pods ran well with what came before it."""
    times = [edit.at for edit in edits if edit.at is not None]
    if newest is None or newest.at is None or not times or newest.at - max(times) <= TOGETHER:
        return signal(name, edits, present, absent, subject)
    where = edits[0].where if subject is None else subject
    text = f"{where} was changed {format_duration(newest.at - max(times))} before {newest.where} was: not the last change"
    return Signal(name=name, presence=Presence.ABSENT, text=text)


def _since(edits: Sequence[Edit], before: datetime) -> datetime | None:
    """Of several changes the last one that came before the symptom: what was well after an older one does not date from it."""
    times = sorted(edit.at for edit in edits if edit.at is not None)
    return next((at for at in reversed(times) if at <= before), times[0] if times else None)


def _signal(name: str, edits: Sequence[Edit], present: str, absent: str, subject: str | None, *, before: datetime) -> Signal:
    if not edits:
        return Signal(name=name, presence=Presence.ABSENT, text=absent)
    latest_first = sorted(edits, key=lambda edit: edit.at.timestamp() if edit.at is not None else 0.0, reverse=True)
    told = ", ".join(f"{edit.path} ({edit.old or 'none'} → {edit.new or 'none'})" for edit in latest_first[:3])
    where = subject if subject and any(edit.kind != "config" for edit in edits) else edits[0].where
    return Signal(
        name=name,
        presence=Presence.PRESENT,
        text=f"{where}: {told} {present}",
        since=_since(edits, before),
        subject=where,
    )


def _names(edits: Sequence[Edit]) -> list[Edit]:
    """Those to what the pods take from config maps and secrets; one that merely went is not missed."""
    return [edit for edit in edits if edit.new and _REFERENCE.search(f"{edit.path} {edit.new}")]


def _shrinks_pool(edits: Sequence[Edit], context: CheckContext) -> list[Edit]:
    component = context.service.components.database
    key = component.pool.key if component is not None else None
    return [edit for edit in edits if (key and key in edit.path) or _POOL_KEY.search(edit.path) if _smaller(edit)]


def _smaller(edit: Edit) -> bool:
    """A number that was lowered, or set where none was. What a config map held before is often not known: that is no evidence."""
    old, new = quantity(edit.old), quantity(edit.new)
    return new is not None and (edit.kind != "config" if old is None else new < old)


def _downstream_signals(
    edits: Sequence[Edit], context: CheckContext, subject: str | None, signal: Callable[..., Signal]
) -> list[Signal]:
    touched = [
        (one, matching)
        for one in context.service.dependencies.downstream
        if (matching := [edit for edit in edits if _concerns(edit, one)])
    ]
    name = "diff_touches_downstream"
    if not touched:
        return [Signal(name=name, presence=Presence.ABSENT, text="no change concerns a downstream service")]
    return [signal(name, matching, f"concerns {one.name}", "", subject) for one, matching in touched]


def _concerns(edit: Edit, downstream: Downstream) -> bool:
    """The key is one of the dependency's own, or names it; for an address the value may name it instead."""
    if edit.kind not in ("env", "config"):
        return False
    if any(key in edit.path for key in downstream.setting_keys):
        return True
    word = re.sub(r"[^a-z0-9]+", "_", downstream.name.lower())
    return word in re.sub(r"[^a-z0-9]+", "_", edit.path.lower()) or bool(
        re.search(rf"//{re.escape(downstream.name)}\b", edit.old)
    )


def _touches_cache(edits: Sequence[Edit]) -> list[Edit]:
    return [edit for edit in edits if edit.kind in ("env", "config") and _CACHE_KEY.search(edit.path)]


def _shortens_cache(edits: Sequence[Edit], context: CheckContext) -> list[Edit]:
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


def _shrinks_memory(edits: Sequence[Edit]) -> list[Edit]:
    return [
        edit for edit in edits if edit.kind == "resources" and "memory" in edit.path and "limit" in edit.path and _smaller(edit)
    ]


def _asks_for_more(edits: Sequence[Edit]) -> list[Edit]:
    """Requests and limits that were raised or are new (a limit stands in for a request), and where the pods may run."""
    grown = [edit for edit in edits if edit.kind == "resources" and _larger(edit)]
    return [*grown, *(edit for edit in edits if edit.kind == "other" and _PLACE.search(edit.path))]


def _larger(edit: Edit) -> bool:
    old, new = quantity(edit.old), quantity(edit.new)
    return new is not None and (old is None or new > old)


def _cuts_cpu(edits: Sequence[Edit]) -> list[Edit]:
    """A limit or a request that was lowered, or a request that was taken away: it is what a pod gets on a busy node."""
    about = [edit for edit in edits if edit.kind == "resources" and "cpu" in edit.path]
    return [edit for edit in about if (_smaller(edit) if edit.new else "requests" in edit.path)]


def _changes_code(edits: Sequence[Edit]) -> list[Edit]:
    return [edit for edit in edits if edit.kind in ("image", "command", "env", "config", "volume", "probe", "other")]
