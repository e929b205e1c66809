"""The arithmetic of a rolling update: how many pods each replica set may have now.

The rules are those of Kubernetes' deployment controller (`pkg/controller/deployment/rolling.go` and `util/deployment_util.go`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bounds:
    """How far a rollout may leave the desired number of pods: `surge` above it, `unavailable` below it [pods]."""

    surge: int
    unavailable: int


@dataclass(frozen=True)
class Pods:
    """The pods of one replica set: asked for in its spec, and available."""

    asked: int
    available: int


def bounds(strategy: Mapping[str, Any], desired: int) -> Bounds:
    """Resolve maxSurge (rounded up) and maxUnavailable (rounded down) of a deployment's strategy against its replicas."""
    if strategy.get("type") != "RollingUpdate":
        return Bounds(surge=0, unavailable=0)
    rolling = strategy.get("rollingUpdate") or {}
    surge = _resolve(rolling.get("maxSurge", "25%"), desired, math.ceil)
    unavailable = _resolve(rolling.get("maxUnavailable", "25%"), desired, math.floor)
    # With both at zero nothing could ever move; Kubernetes then lets one pod be missing.
    return Bounds(surge, max(unavailable, 1) if not surge else unavailable)


def _resolve(value: int | str, total: int, rounded: Any) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return int(rounded(total * int(value[:-1]) / 100))
    return int(value)


def grow_new(new: Pods, *, total_asked: int, desired: int, limits: Bounds) -> int:
    """Give the size of the new replica set: up to the desired number as far as the surge allows, straight down when too big."""
    if new.asked >= desired:
        return desired
    room = desired + limits.surge - total_asked
    return new.asked if room <= 0 else min(new.asked + room, desired)


def shrink_old(old: Sequence[Pods], new: Pods, *, desired: int, limits: Bounds) -> list[int]:
    """Give the sizes of the old replica sets (oldest first), so that enough pods stay available.

    Pods that are not available go first, since nobody misses them; then available ones, while more are available than must be.
    """
    total_asked = sum(pods.asked for pods in old) + new.asked
    minimum = desired - limits.unavailable
    # What the new set still lacks must not be taken from the old ones.
    removable = total_asked - minimum - (new.asked - new.available)
    sizes = [pods.asked for pods in old]
    if removable <= 0:
        return sizes
    for index, pods in enumerate(old):
        broken = min(removable, max(pods.asked - pods.available, 0))
        sizes[index] -= broken
        removable -= broken
    spare = sum(min(pods.available, size) for pods, size in zip(old, sizes, strict=True)) + new.available - minimum
    for index, size in enumerate(sizes):
        cut = min(size, max(spare, 0))
        sizes[index] -= cut
        spare -= cut
    return sizes


def spread(sizes: Sequence[int], *, allowed: int, last_maximum: int) -> list[int]:
    """Share a change of the deployment's size among its replica sets while a rollout is under way (newest first).

    `allowed` is the new size with its surge, `last_maximum` the one before. Each set changes in proportion, the biggest
    takes what is left.
    """
    total = sum(sizes)
    missing = allowed - total
    if not missing or not total:
        return list(sizes)
    order = sorted(range(len(sizes)), key=lambda index: -sizes[index])
    result = list(sizes)
    left = missing
    for index in order:
        share = round(sizes[index] * allowed / last_maximum) - sizes[index] if last_maximum else 0
        share = min(share, left) if missing > 0 else max(share, left)
        result[index] = max(result[index] + share, 0)
        left = missing - (sum(result) - total)
    result[order[0]] = max(result[order[0]] + left, 0)
    return result
