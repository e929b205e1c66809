"""Who blocks whom, followed to the session at the root."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["roots"]


def roots(edges: Iterable[tuple[int, int]]) -> dict[tuple[int, int], tuple[int, int]]:
    """For each edge (blocked pid, blocking pid): the pid at the root of it, and how many sessions wait for that one in the end.

    The root waits for nobody. In a deadlock, which the server will break within a second, everybody waits for everybody: the
    smallest pid of the cycle then stands for it. Of several roots the one that most sessions wait for is named.
    """
    blockers: dict[int, set[int]] = {}
    for blocked, blocking in edges:
        blockers.setdefault(blocked, set()).add(blocking)
    reached = {pid: _roots_of(pid, blockers) for pid in {blocking for them in blockers.values() for blocking in them}}
    waiters: dict[int, set[int]] = {}
    for blocked, them in blockers.items():
        for blocking in them:
            for root in reached[blocking]:
                waiters.setdefault(root, set()).add(blocked)
    counts = {root: len(sessions - {root}) for root, sessions in waiters.items()}
    return {(blocked, blocking): _heaviest(reached[blocking], counts) for blocked, them in blockers.items() for blocking in them}


def _roots_of(pid: int, blockers: Mapping[int, set[int]]) -> set[int]:
    """The pids at the end of all paths from here; the smallest of those seen when every path runs in a circle."""
    seen: set[int] = set()
    ends: set[int] = set()
    todo = [pid]
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in blockers:
            todo.extend(blockers[current])
        else:
            ends.add(current)
    return ends or {min(seen)}


def _heaviest(candidates: set[int], counts: Mapping[int, int]) -> tuple[int, int]:
    root = max(candidates, key=lambda pid: (counts[pid], -pid))
    return root, counts[root]
