"""What tries to connect tell: which pods reach what, how long it takes them, and whether that is the network's doing.

A pod that is short of CPU connects slowly, too. Each pod therefore also connects to itself, which takes no network: only what a
connection takes beyond that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["OWN", "Attempt", "Reach", "reaches", "slow_pods"]

OWN = "self"  # the address under which a probe tells of connections that stay in the pod
# A handshake within a region takes about a millisecond and between neighbouring regions 30; a lost packet costs a second.
_LONG_SECONDS = 0.05
_TIMES_AS_LONG = 5.0  # as in the pods whose network is well


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a pod to connect to `host:port`: seconds for the name, seconds for the connection; None where there is none."""

    pod: str
    place: str
    name_seconds: float | None
    connect_seconds: float | None
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """All tries of one pod for one address: medians in seconds, without what it takes to reach itself; the last `problem`."""

    pod: str
    place: str
    tries: int
    name_seconds: float | None
    connect_seconds: float | None
    problem: str

    @property
    def reached(self) -> bool:
        """It came to a connection, and the last try did too."""
        return self.connect_seconds is not None and not self.problem


def reaches(attempts: Iterable[Attempt]) -> list[Reach]:
    """The tries of each pod for each address taken together, in the order in which they were made."""
    groups: dict[tuple[str, str], list[Attempt]] = {}
    own: dict[str, list[float]] = {}
    for one in attempts:
        if one.place != OWN:
            groups.setdefault((one.pod, one.place), []).append(one)
        elif one.connect_seconds is not None:
            own.setdefault(one.pod, []).append(one.connect_seconds)
    within = {pod: median(seconds) for pod, seconds in own.items()}
    return [_taken_together(pod, place, tries, within.get(pod, 0.0)) for (pod, place), tries in groups.items()]


def _taken_together(pod: str, place: str, tries: Sequence[Attempt], within: float) -> Reach:
    good = [one.connect_seconds for one in tries if one.connect_seconds is not None and not one.problem]
    named = [one.name_seconds for one in tries if one.name_seconds is not None]
    return Reach(
        pod=pod,
        place=place,
        tries=len(tries),
        name_seconds=median(named) if named else None,
        connect_seconds=max(0.0, median(good) - within) if good else None,
        problem=tries[-1].problem,
    )


def slow_pods(found: Iterable[Reach]) -> dict[str, float]:
    """The pods that take long to reach all that they reach, with the seconds that they take (the median over the addresses).

    One address that is slow for everybody is that server's affair, and one alone tells nothing. Where some pods are quick, long
    is also relative to them, so that a database in another region does not count.
    """
    by_pod: dict[str, dict[str, float]] = {}
    for one in found:
        if one.connect_seconds is not None and one.reached:
            by_pod.setdefault(one.pod, {})[one.place] = one.connect_seconds
    quickest = _quickest(by_pod)
    return {
        pod: median(places.values())
        for pod, places in by_pod.items()
        if len(places) > 1 and all(_is_long(seconds, quickest[place]) for place, seconds in places.items())
    }


def _quickest(by_pod: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """For each address the time of the pod that is quickest on the whole; 0 where all pods are as slow as that one."""
    if not by_pod:
        return {}
    best = min(by_pod, key=lambda pod: median(by_pod[pod].values()))
    quick = {place: seconds for place, seconds in by_pod[best].items() if seconds < _LONG_SECONDS}
    well = len(quick) * 2 > len(by_pod[best])
    return {place: by_pod[best].get(place, 0.0) if well else 0.0 for places in by_pod.values() for place in places}


def _is_long(seconds: float, quickest: float) -> bool:
    return seconds >= max(_LONG_SECONDS, _TIMES_AS_LONG * quickest)
