"""The arithmetic of autoscaling: how many replicas the use of the present ones asks for.

The rules are those of Kubernetes' autoscaler (in `pkg/controller/podautoscaler`: `replica_calculator.go`, `horizontal.go`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# A use this near to the target changes nothing (--horizontal-pod-autoscaler-tolerance).
_TOLERANCE = 0.1
_DEFAULT_UP_FACTOR, _DEFAULT_UP_PODS = 2, 4


@dataclass(frozen=True)
class Load:
    """What one pod uses of a resource [cores or bytes], None where nobody has measured it yet; and what it asked for."""

    used: float | None
    requested: float
    ready: bool = True


@dataclass(frozen=True)
class Demand:
    """The replicas that a metric asks for, and the use that they were told from: of the requests [%], and per pod."""

    replicas: int
    percent: int
    per_pod: float


@dataclass(frozen=True)
class Change:
    """A change of the number of replicas that was made."""

    at: datetime
    by: int


def demand(loads: Sequence[Load], *, current: int, target: float, of_requests: bool) -> Demand | None:
    """Give the replicas that bring the use to its target: a share of the requests [ratio], or an amount per pod.

    Pods that are not ready, or not measured, never cause a scaling by themselves: they count as idle on the way up and as
    filling their target on the way down. None where no pod was measured.
    """
    measured = [load for load in loads if load.ready and load.used is not None]
    if not measured:
        return None
    per_pod = sum(load.used or 0.0 for load in measured) / len(measured)
    asked = sum(load.requested for load in measured)
    share = sum(load.used or 0.0 for load in measured) / asked if asked else 0.0
    ratio = (share if of_requests else per_pod) / target
    replicas = _replicas(measured, [load for load in loads if load not in measured], ratio, current, target, of_requests)
    return Demand(replicas, int(share * 100), per_pod)


def _replicas(
    measured: Sequence[Load], others: Sequence[Load], ratio: float, current: int, target: float, of_requests: bool
) -> int:
    if abs(ratio - 1) <= _TOLERANCE:
        return current
    if not others:
        return math.ceil(ratio * len(measured))
    assumed = 0.0 if ratio > 1 else 1.0
    every = [load.used or 0.0 for load in measured] + [assumed * (load.requested if of_requests else target) for load in others]
    asked = sum(load.requested for load in (*measured, *others))
    cautious = (sum(every) / asked if of_requests else sum(every) / len(every)) / target
    if abs(cautious - 1) <= _TOLERANCE or (cautious > 1) != (ratio > 1):
        return current
    wanted = math.ceil(cautious * len(every))
    return current if (cautious > 1) != (wanted > current) and wanted != current else wanted


def limit_up(current: int, rules: Mapping[str, Any] | None, changes: Sequence[Change], now: datetime) -> int:
    """Give the most replicas that scaling up may reach now."""
    if not rules:
        return max(_DEFAULT_UP_FACTOR * current, _DEFAULT_UP_PODS)
    if rules.get("selectPolicy") == "Disabled":
        return current
    reach = []
    for policy in rules.get("policies") or ():
        start = current - sum(change.by for change in _recent(changes, policy, now) if change.by > 0)
        reach.append(math.ceil(start * (1 + policy["value"] / 100)) if policy["type"] == "Percent" else start + policy["value"])
    return max(current, (min if rules.get("selectPolicy") == "Min" else max)(reach, default=current))


def limit_down(current: int, rules: Mapping[str, Any] | None, changes: Sequence[Change], now: datetime) -> int:
    """Give the fewest replicas that scaling down may reach now."""
    if not rules:
        return 0
    if rules.get("selectPolicy") == "Disabled":
        return current
    reach = []
    for policy in rules.get("policies") or ():
        start = current - sum(change.by for change in _recent(changes, policy, now) if change.by < 0)
        reach.append(math.floor(start * (1 - policy["value"] / 100)) if policy["type"] == "Percent" else start - policy["value"])
    return min(current, (max if rules.get("selectPolicy") == "Min" else min)(reach, default=current))


def _recent(changes: Sequence[Change], policy: Mapping[str, Any], now: datetime) -> list[Change]:
    return [change for change in changes if now - change.at < timedelta(seconds=policy["periodSeconds"])]
