"""What the autoscaler does, or cannot do, about a service that is short of CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.checks.asking import Answers
from runbook_lib.models.finding import Presence, Signal

__all__ = ["autoscaler_signal", "autoscaling_told"]

Facts = Mapping[str, Any]


def autoscaling_told(autoscaler: Facts | None) -> list[str]:
    """What hinders it, in sentences: its maximum, metrics that it cannot read, a pause between two steps."""
    if autoscaler is None:
        return []
    name, most = autoscaler["name"], autoscaler["max_replicas"]
    told = []
    if _at_maximum(autoscaler):
        told.append(f"The autoscaler {name} is at its maximum of {most} replicas: more pods need a higher maximum.")
    conditions = {one["type"]: one for one in autoscaler.get("conditions") or ()}
    active, able = conditions.get("ScalingActive", {}), conditions.get("AbleToScale", {})
    if active.get("status") == "False" and active.get("reason") != "ScalingDisabled":  # at 0 replicas it rests, and reads nothing
        why = active.get("message") or active.get("reason")
        told.append(f"The autoscaler {name} does not scale, because it cannot read what it scales by: {why}.")
    if able.get("status") == "False":
        told.append(f"The autoscaler {name} cannot scale now: {able.get('message') or able.get('reason')}.")
    elif "Stabilized" in str(able.get("reason")):
        told.append(f"The autoscaler {name} waits before its next step: {able.get('message') or able.get('reason')}.")
    return told


def _at_maximum(autoscaler: Facts) -> bool:
    return int(autoscaler["current_replicas"]) >= int(autoscaler["max_replicas"])


def autoscaler_signal(answers: Answers) -> Signal:
    """Whether an autoscaler has no more pods to give. The answer to `autoscaler` is None also where there is none."""
    name = "autoscaler_at_maximum"
    if reason := answers.why_missing("autoscaler"):
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the autoscaler is not known: {reason}")
    found: Facts | None = answers.get("autoscaler")
    if found is None:
        return Signal(name=name, presence=Presence.ABSENT, text="no autoscaler scales the deployment")
    at_most = _at_maximum(found)
    text = f"hpa/{found['name']} runs {found['current_replicas']} of at most {found['max_replicas']} replicas"
    return Signal(name=name, presence=Presence.PRESENT if at_most else Presence.ABSENT, text=text, subject=f"hpa/{found['name']}")
