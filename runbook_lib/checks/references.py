"""The config maps and secrets that the pods need: are they there, with the keys that are read? Values are never looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.errors import SourceMissingObject
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import frame
from runbook_lib.sources.interface import Cluster

_THERE, _MISSING, _UNKNOWN = "there", "missing", "not known"


@dataclass(frozen=True, slots=True)
class _Reference:
    """A key of an object that the pods read (None: the object as a whole), and whether it is there; `why` when not known."""

    kind: str
    name: str
    key: str | None
    state: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" + (f" key {self.key}" if self.key else "")


def references(context: CheckContext) -> Finding:
    """Is every config map, secret and key there that the pods need to start?"""
    cluster = context.sources.cluster
    needed = ask(
        {
            "deployment": Question(cluster, lambda: cluster.deployment(context.deployment)),
            "events": Question(cluster, lambda: cluster.events(window=context.window, names=[context.deployment])),
        },
        deadline_seconds=context.deadline_seconds / 2,
    )
    asked = _needed(needed.get("deployment"), context)
    objects = dict.fromkeys((one["kind"], one["name"]) for one in asked)
    keys = ask(
        {f"{kind}/{name}": Question(cluster, partial(_keys, cluster, kind, name)) for kind, name in objects},
        deadline_seconds=context.deadline_seconds / 2,
    )
    found = [_looked_up(one, keys) for one in asked]
    missing = [one for one in found if one.state == _MISSING]
    return Finding(
        name="references",
        title="Config maps and secrets",
        summary=_summary(found, missing, needed),
        status=_status(found, missing),
        command=_command(context, objects),
        tables=(("What the pods need to start", _table(found)),) if found else (),
        notes=tuple(dict.fromkeys(f"{one} could not be looked at: {one.why}." for one in found if one.why)),
        signals=(_signal(context, found, missing, needed),),
        sources=(*needed.sources, *(status for status in keys.sources if status.status != "refused")),
    )


def _needed(deployment: Mapping[str, Any] | None, context: CheckContext) -> list[Mapping[str, Any]]:
    """What the template names and cannot do without; and what the team says that the service reads."""
    if deployment is None:
        return []
    named = [one for one in deployment["references"] if not one["optional"]]
    known = {(one["kind"], one["name"]) for one in named}
    told = {("secret", name) for name in context.service.components.application.secrets} - known
    return [*named, *({"kind": kind, "name": name, "key": None} for kind, name in sorted(told))]


def _keys(cluster: Cluster, kind: str, name: str) -> list[str] | None:
    """The keys of an object, those of binary data included; None when it is not there."""
    try:
        if kind != "configmap":
            return cluster.secret_keys(name)
        facts = cluster.config_map(name)
    except SourceMissingObject:
        return None
    return sorted(facts.get("keys", facts["data"]))  # what was recorded of old knows no keys


def _looked_up(needed: Mapping[str, Any], keys: Answers) -> _Reference:
    kind, name, key = needed["kind"], needed["name"], needed["key"]
    question = f"{kind}/{name}"
    if question in keys.errors:
        return _Reference(kind, name, key, _UNKNOWN, keys.errors[question].error or "")
    present = keys.get(question)
    if present is None:
        return _Reference(kind, name, key, _MISSING)
    # A secret of which nobody recorded the keys is there, and that is all that is known.
    if key is None or key in present:
        return _Reference(kind, name, key, _THERE)
    return _Reference(kind, name, key, _MISSING if present or kind == "configmap" else _UNKNOWN)


def _summary(found: Sequence[_Reference], missing: Sequence[_Reference], needed: Answers) -> str:
    if needed.get("deployment") is None:
        return f"What the pods need could not be read: {needed.why_missing('deployment')}."
    if missing:
        return f"The pods need what is not there: {', '.join(map(str, missing[:5]))}."
    unknown = sum(one.state == _UNKNOWN for one in found)
    rest = f"; {unknown} more could not be looked at" if unknown else ""
    return f"{len(found) - unknown} of the {len(found)} things that the pods read are there{rest}."


def _status(found: Sequence[_Reference], missing: Sequence[_Reference]) -> FindingStatus:
    if missing:
        return FindingStatus.CRITICAL
    if not found or all(one.state == _UNKNOWN for one in found):
        return FindingStatus.UNKNOWN
    return FindingStatus.NORMAL


def _table(found: Sequence[_Reference]) -> Any:
    return frame([(one.kind, one.name, one.key or "(all)", one.state) for one in found], columns=["kind", "name", "key", "state"])


def _command(context: CheckContext, objects: Iterable[tuple[str, str]]) -> str:
    """Describe shows the keys of a secret and the size of each value, and never a value."""
    base = f"kubectl -n {context.namespace}"
    secrets = [f"{base} describe secret {name}" for kind, name in objects if kind == "secret"]
    maps = [f"{base} get configmap {name}" for kind, name in objects if kind == "configmap"]
    return "; ".join([*maps, *secrets])


def _signal(context: CheckContext, found: Sequence[_Reference], missing: Sequence[_Reference], needed: Answers) -> Signal:
    name = "reference_missing"
    if not missing:
        unknown = [one for one in found if one.state == _UNKNOWN]
        if needed.get("deployment") is None or unknown:
            why = needed.why_missing("deployment") or ", ".join(map(str, unknown[:3]))
            return Signal(
                name=name, presence=Presence.UNKNOWN, text=f"whether all that the pods need is there is not known: {why}"
            )
        return Signal(name=name, presence=Presence.ABSENT, text="all that the pods need to start is there")
    if not context.live:
        text = "a past window is looked at, and the cluster only tells of now"
        return Signal(name=name, presence=Presence.UNKNOWN, text=text)
    told = ", ".join(map(str, missing[:3]))
    text = f"the pods need {told}, and that is not there"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=_since(needed, missing), subject=str(missing[0]))


def _since(needed: Answers, missing: Sequence[_Reference]) -> Any:
    """When a pod first failed to start for it: an object that is gone tells nothing of itself."""
    events = needed.get("events")
    if events is None or events.empty:
        return None
    names = "|".join(sorted({one.name for one in missing}))
    about = events[(events["type"] == "Warning") & events["message"].str.contains(names, na=False)]
    return pd.Timestamp(about["first_seen"].min()).to_pydatetime() if len(about) else None
