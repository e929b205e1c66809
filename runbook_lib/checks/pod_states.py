"""Why the application's pods are not ready, in words: what `kubectl describe pod` says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from runbook_lib.analysis.pod_events import SET_UP
from runbook_lib.analysis.pod_owners import keepers_told, kept
from runbook_lib.analysis.pod_troubles import KINDS, Trouble, serving, troubles
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.errors import SourceMissingObject
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.sources.interface import Cluster

# Signal -> the kinds of trouble that it stands for, and the events that tell when that began. A failed readiness probe belongs to
# every start, so that `Unhealthy` dates nothing but a failing probe.
_SIGNALS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pods_crashing": (("crash", "liveness", "command", "ended"), ("BackOff", "Failed", "Killing")),
    "liveness_kills": (("liveness",), ("BackOff", "Killing")),
    "pods_oom_killed": (("oom",), ("BackOff", "OOMKilling")),
    "image_unavailable": (("image",), ("Failed", "BackOff")),
    "pod_reference_missing": (("reference",), ("Failed", "FailedMount")),
    "pod_cannot_be_set_up": (("volume", "sandbox"), tuple(SET_UP)),
    "gate_unmet": (("gate", "gated"), ()),
    "pods_without_room": (("unschedulable", "evicted"), ("FailedScheduling", "Evicted", "Preempted")),
    "probes_failing": (("probe",), ("Unhealthy",)),
    "node_gone": (("node",), ("NodeNotReady",)),
}
# What belongs to every start counts once it lasts: a volume is tried again, and a load balancer looks several times.
_PATIENCE = {"pod_cannot_be_set_up": timedelta(minutes=1), "gate_unmet": timedelta(minutes=3)}
# What events alone tell, and what such a pod is taken for without them.
_WITHOUT_EVENTS = {
    "pod_cannot_be_set_up": ("starting",),
    "pod_reference_missing": ("starting",),
    "liveness_kills": ("crash", "probe"),
}
_MOST_SHOWN = 20
_GONE: Mapping[str, Any] = {}  # the answer for a deployment that does not exist


def pod_states(context: CheckContext) -> Finding:
    """For each pod that is not ready: the reason in words, how its container ended last, and what to look at."""
    cluster = context.sources.cluster
    answers = ask(
        {
            "pods": Question(cluster, lambda: cluster.pods(context.selector)),
            "deployment": Question(cluster, lambda: _deployment(cluster, context.deployment)),
            "events": Question(cluster, lambda: cluster.events(window=context.window, names=[context.deployment])),
        },
        deadline_seconds=context.deadline_seconds,
    )
    pods, found = _looked_at(context, answers)
    return Finding(
        name="pod_states",
        title="Why pods are not ready",
        summary=_summary(context, pods, found, answers),
        status=_status(pods, found),
        command=_command(context, found),
        tables=(("Pods that are not ready", table(found)),) if found else (),
        signals=(
            *(_signal(name, pods, found, answers, context) for name in _SIGNALS),
            _scaled_away(context, answers),
            _deleted(context, answers),
            _not_created(context, answers),
        ),
        sources=answers.sources,
    )


def _looked_at(context: CheckContext, answers: Answers) -> tuple[Frame | None, list[Trouble]]:
    """The pods that count, and what is wrong with those that are not ready."""
    pods, events, recently = answers.get("pods"), answers.get("events"), context.focus().start
    if pods is None:
        return None, []
    lost = _lost(events, recently)
    counting = serving(pods, recently=recently, lost=lost)
    return counting, troubles(counting, recently=recently, lost=lost, events=events)


def _lost(events: Frame | None, recently: datetime) -> frozenset[str]:
    """The pods whose node ceased to answer: they run on, as far as the cluster knows, and are only not ready."""
    if events is None or events.empty:
        return frozenset()
    return frozenset(events["name"][(events["reason"] == "NodeNotReady") & (events["time"] >= recently)])


def _deployment(cluster: Cluster, name: str) -> Mapping[str, Any]:
    try:
        return cluster.deployment(name)
    except SourceMissingObject:
        return _GONE


def table(found: Sequence[Trouble]) -> Frame:
    """One row for each pod in trouble, with what to do about it."""
    rows = [
        (one.pod, one.state, KINDS[one.kind][0], one.message, one.last_state, one.restarts, KINDS[one.kind][1])
        for one in found[:_MOST_SHOWN]
    ]
    return frame(rows, columns=["pod", "state", "reason", "message", "last end", "restarts", "what to do"], source="kubernetes")


def sentence(found: Sequence[Trouble]) -> str:
    """The most frequent reason first, each with an example: `3 pods: its image cannot be pulled (shop-1: …)`."""
    kinds = pd.Series([one.kind for one in found]).value_counts()
    parts = []
    for kind, count in kinds.items():
        example = next(one for one in found if one.kind == kind)
        parts.append(f"{count} of the pods: {example.text.partition(': ')[2]}")
    return "; ".join(parts)


def _summary(context: CheckContext, pods: Frame | None, found: Sequence[Trouble], answers: Answers) -> str:
    if pods is None:
        return f"The pods could not be read: {answers.why_missing('pods')}."
    if pods.empty:
        refused = next((one for one in (answers.get("deployment") or _GONE).get("conditions", ()) if _refused(one)), None)
        why = f"the cluster refuses to create them: {refused['message']}" if refused else "it is scaled to 0, or makes none"
        return f"There are no pods of {context.deployment} with the labels {context.selector}: {why.rstrip('.')}."
    if not found:
        return f"All {len(pods)} pods are ready."
    return f"{len(found)} of {len(pods)} pods are not ready. {sentence(found)}."


def _status(pods: Frame | None, found: Sequence[Trouble]) -> FindingStatus:
    if pods is None:
        return FindingStatus.UNKNOWN
    if not found:
        return FindingStatus.NORMAL
    return FindingStatus.CRITICAL if len(found) == len(pods) else FindingStatus.WARNING


def _command(context: CheckContext, found: Sequence[Trouble]) -> str:
    which = f"pod {found[0].pod}" if found else f"pods -l {context.selector}"
    return f"kubectl -n {context.namespace} describe {which}"


def _signal(name: str, pods: Frame | None, found: Sequence[Trouble], answers: Answers, context: CheckContext) -> Signal:
    kinds, reasons = _SIGNALS[name]
    if pods is None or not context.live:
        reason = answers.why_missing("pods") or "a past window is looked at, and the cluster only tells of now"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the state of the pods is not known: {reason}")
    matching = [one for one in found if one.kind in kinds and _lasts(one, _PATIENCE.get(name), context.now)]
    if not matching:
        return _not_seen(name, found, answers)
    return Signal(
        name=name,
        presence=Presence.PRESENT,
        text=f"{len(matching)} of {len(pods)} pods are not ready, such as {matching[0].text}",
        since=began(matching, answers.get("events"), reasons),
        value=float(len(matching)),
        unit="pods",
    )


def _lasts(one: Trouble, patience: timedelta | None, now: datetime) -> bool:
    return patience is None or one.since is None or one.since <= now - patience


def _not_seen(name: str, found: Sequence[Trouble], answers: Answers) -> Signal:
    """No pod shows it; where only an event could, and those were not read, that is not known."""
    kinds = _SIGNALS[name][0]
    if answers.get("events") is None and any(one.kind in _WITHOUT_EVENTS.get(name, ()) for one in found):
        text = f"the events of the pods could not be read: {answers.why_missing('events')}"
        return Signal(name=name, presence=Presence.UNKNOWN, text=text)
    lasting = " for long" if any(one.kind in kinds for one in found) else ""
    text = f"no pod is kept from being ready{lasting} because {KINDS[kinds[0]][0]}"
    return Signal(name=name, presence=Presence.ABSENT, text=text)


def _scaled_away(context: CheckContext, answers: Answers) -> Signal:
    """Whether somebody has asked for no pods at all."""
    name, deployment = "scaled_to_zero", answers.get("deployment")
    if deployment is None or not context.live:
        why = answers.why_missing("deployment") or "a past window is looked at, and the cluster only tells of now"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"how many pods are asked for is not known: {why}")
    subject = f"deployment/{context.deployment}"
    if not deployment:
        return Signal(name=name, presence=Presence.ABSENT, text=f"there is no {subject}")
    if deployment["replicas"]:
        return Signal(name=name, presence=Presence.ABSENT, text=f"{subject} asks for {deployment['replicas']} pods")
    elsewhere = _kept_elsewhere(name, f"{subject} asks for none", answers)
    if elsewhere is not None:
        return elsewhere
    since = _scaled_at(context, answers.get("events"))
    return Signal(name=name, presence=Presence.PRESENT, text=f"{subject} is scaled to 0", since=since, subject=subject)


def _scaled_at(context: CheckContext, events: Frame | None) -> datetime | None:
    """When this deployment was scaled last; events are asked for by the beginning of a name, which others share."""
    if events is None or events.empty:
        return None
    mine = (events["kind"] == "Deployment") & (events["name"] == context.deployment)
    scaled = events["time"][mine & (events["reason"] == "ScalingReplicaSet")]
    return pd.Timestamp(scaled.max()).to_pydatetime() if len(scaled) else None


def _not_created(context: CheckContext, answers: Answers) -> Signal:
    """Whether the cluster refuses to create pods: then there is none that could say what it lacks."""
    name, deployment = "pods_not_created", answers.get("deployment")
    if deployment is None or not context.live:
        why = answers.why_missing("deployment") or "a past window is looked at, and the cluster only tells of now"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether pods can be created is not known: {why}")
    failed = next((one for one in deployment.get("conditions", ()) if _refused(one)), None)
    if failed is None:
        return Signal(name=name, presence=Presence.ABSENT, text="the cluster creates the pods that are asked for")
    text = f"the cluster refuses to create pods: {' '.join(failed['message'].split())[:300]}"
    subject = f"deployment/{context.deployment}"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=failed["since"], subject=subject)


def _refused(condition: Mapping[str, Any]) -> bool:
    return (condition["type"], condition["status"]) == ("ReplicaFailure", "True")


def _deleted(context: CheckContext, answers: Answers) -> Signal:
    """Whether the deployment was deleted. That leaves no date, so that the symptom's stands for it: its pods went with it."""
    name, deployment, subject = "deployment_gone", answers.get("deployment"), f"deployment/{context.deployment}"
    if deployment is None or not context.live:
        why = answers.why_missing("deployment") or "a past window is looked at, and the cluster only tells of now"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether {subject} is there is not known: {why}")
    if deployment:
        return Signal(name=name, presence=Presence.ABSENT, text=f"{subject} is there")
    elsewhere = _kept_elsewhere(name, f"there is no {subject}", answers)
    if elsewhere is not None:
        return elsewhere
    text = f"there is no {subject}: it was deleted, or is elsewhere than the service file says"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=context.onset, subject=subject)


def _kept_elsewhere(name: str, seen: str, answers: Answers) -> Signal | None:
    """What stands in the way of blaming the deployment: pods that a Rollout or a StatefulSet keeps, which needs none."""
    pods = answers.get("pods")
    if pods is None:
        text = f"{seen}; whether another controller keeps the pods is not known: {answers.why_missing('pods')}"
        return Signal(name=name, presence=Presence.UNKNOWN, text=text)
    standing = kept(pods)
    if standing.empty:
        return None
    text = f"{seen}, yet {keepers_told(standing)}: another controller keeps them"
    return Signal(name=name, presence=Presence.ABSENT, text=text)


def began(matching: Sequence[Trouble], events: Frame | None, reasons: Sequence[str]) -> datetime | None:
    """The first of: a warning of this kind about one of these pods, and the moment at which one ceased to be ready.

    That a container is being killed is no warning to the cluster: it may be meant so, but not of a pod that should be ready.
    """
    moments = [one.since for one in matching if one.since is not None]
    if events is not None and len(events):
        names = {one.pod for one in matching}
        bad = (events["type"] == "Warning") | (events["reason"] == "Killing")
        about = events[events["name"].isin(names) & events["reason"].isin(reasons) & bad]
        moments += [pd.Timestamp(at).to_pydatetime() for at in about["first_seen"]]
    return min(moments, default=None)
