"""What the cluster's events say of a pod that its state does not: what it lacks to be set up, and that a probe ends it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runbook_lib.models.frame import Frame

__all__ = ["MISSING", "SET_UP", "Event", "Told", "by_pod", "killed_by_probe", "not_set_up"]

# Warnings that keep a pod in ContainerCreating, and which of its parts cannot be had. The kubelet mounts first.
SET_UP: Mapping[str, str] = {
    "FailedAttachVolume": "volume",
    "FailedMount": "volume",
    "FailedCreatePodSandBox": "sandbox",
    "NetworkNotReady": "sandbox",
}
# In the kubelet's words: of what a variable names, and of what a volume does.
MISSING = re.compile(r"""(?:secret|config ?map)s? "[^"]+" not found|couldn't find key|references non-existent""", re.IGNORECASE)

_PROBES = ("Unhealthy", "Killing")
_WENT_ON = ("Pulling", "Pulled", "Created", "Started")  # what follows once a pod is set up
_WHICH_ONLY = "Unable to attach or mount volumes"  # says every two minutes which volumes are awaited, and never why
_SAME_WAIT = timedelta(minutes=5)  # the kubelet tries again every two minutes at the latest
_BEFORE_THE_START = timedelta(seconds=10)  # the volumes of a pod are attached before its node begins with it
_GRACE = timedelta(minutes=2)  # what a container is given to end, and more (terminationGracePeriodSeconds)
_FAILING = re.compile(r"^(?:Liveness|Startup) probe ", re.IGNORECASE)
_KILLED = re.compile(r"failed (?:liveness|startup) probe", re.IGNORECASE)
# How an application ends that is told to: it handles the signal, or dies of it. One that fails by itself ends otherwise.
_TOLD_TO_END = re.compile(r"\(exit (?:0|137|143)\b")

Event = Mapping[Any, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """The kind of trouble that an event shows (of KINDS in pod_troubles), in the cluster's words, and since when (UTC)."""

    kind: str
    message: str
    since: datetime


def by_pod(events: Frame | None) -> Mapping[str, Sequence[Event]]:
    """The events that tell something here, by the name of their pod, oldest first."""
    if events is None or events.empty:
        return {}
    mine = events[(events["kind"] == "Pod") & events["reason"].isin((*SET_UP, *_PROBES, *_WENT_ON))]
    found: dict[str, list[Event]] = {}
    for event in mine.sort_values("time", kind="stable").to_dict("records"):
        found.setdefault(event["name"], []).append(event)
    return found


def not_set_up(events: Sequence[Event], *, started: datetime | None) -> Told | None:
    """What keeps a pod that is still starting from being set up; None when nothing does, or it has gone on since.

    started: when the pod began; what is older was said of another one of its name.
    """
    own = [one for one in events if started is None or one["time"] >= started - _BEFORE_THE_START]
    warnings = [one for one in own if one["reason"] in SET_UP]
    if not warnings or any(one["reason"] in _WENT_ON and one["time"] > warnings[-1]["time"] for one in own):
        return None
    newest = [one for one in warnings if one["time"] >= warnings[-1]["time"] - _SAME_WAIT]
    last = next((one for one in reversed(newest) if _WHICH_ONLY not in one["message"]), newest[-1])
    mounts = last["reason"] == "FailedMount"
    return _told("reference" if mounts and MISSING.search(last["message"]) else SET_UP[last["reason"]], last)


def killed_by_probe(events: Sequence[Event], *, last_state: str, ended: datetime | None, recently: datetime) -> Told | None:
    """Whether the kubelet restarts the pod's container because its liveness or startup probe fails.

    The kubelet says so itself, shortly before the container ended last; where that was lost, a failing probe counts unless the
    container ended by itself (last_state): the probe of one that crashes fails, too.
    """
    lately = [one for one in events if one["time"] >= recently]
    before_its_end = max(recently, ended - _GRACE) if ended is not None else recently
    kills = [
        one for one in lately if one["reason"] == "Killing" and _KILLED.search(one["message"]) and one["time"] >= before_its_end
    ]
    failing = [one for one in lately if one["reason"] == "Unhealthy" and _FAILING.search(one["message"])]
    if not kills and (not failing or (last_state and not _TOLD_TO_END.search(last_state))):
        return None
    first = min((*kills, *failing), key=lambda one: one["first_seen"])
    return _told("liveness", {**(failing or kills)[-1], "first_seen": first["first_seen"]})


def _told(kind: str, event: Event) -> Told:
    return Told(kind=kind, message=" ".join(event["message"].split()), since=event["first_seen"].to_pydatetime())
