"""How the cluster's own parts follow a resource: for as long as they live, also when they fall behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

from runbook_lab.cluster.store import Gone, Object, Store


async def follow(store: Store, plural: str) -> AsyncIterator[tuple[str, Object]]:
    """Give what `store.watch` gives; a follower that was cut off for being too slow begins again with what is there now."""
    while True:
        try:
            async for change in store.watch(plural):
                yield change
        except Gone:
            continue
