"""The recent changes of one resource, and those who follow them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from runbook_lab.cluster.errors import Gone

# Kept for watches that start in the past, as etcd keeps some minutes of it.
KEPT_CHANGES = 2_000
# A watcher that is this far behind is cut off rather than fed from memory without end.
_LONGEST_BACKLOG = 20_000


@dataclass(frozen=True)
class Change:
    """One change: its type (ADDED, MODIFIED, DELETED), version, the object after it and (None when added) before it."""

    type: str
    version: int
    object: dict[str, Any]
    previous: dict[str, Any] | None

    @property
    def namespace(self) -> str:
        """Where it happened; empty for what has no namespace."""
        return str(self.object["metadata"].get("namespace", ""))


class Subscription:
    """The changes that one watcher has not yet taken; iterate it, and close it when done."""

    def __init__(self, history: "History", namespace: str | None, backlog: list[Change]) -> None:
        self._history = history
        self._namespace = namespace
        self._waiting: deque[Change] = deque()
        self._news = asyncio.Event()
        for change in backlog:
            self.offer(change)

    def offer(self, change: Change) -> None:
        """Take a change into the backlog, when it is of the namespace that is followed."""
        if self._namespace in (None, change.namespace):
            self._waiting.append(change)
            self._news.set()

    def close(self) -> None:
        """Follow no longer."""
        self._history.forget(self)

    def __aiter__(self) -> AsyncIterator[Change]:
        return self

    async def __anext__(self) -> Change:
        if len(self._waiting) > _LONGEST_BACKLOG:
            raise Gone("too old resource version: the watcher fell behind")
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()


class History:
    """A bounded list of changes with its followers."""

    def __init__(self) -> None:
        self._changes: deque[Change] = deque()
        self._compacted_at = 0
        self._subscriptions: set[Subscription] = set()

    def record(self, change: Change) -> None:
        """Keep a change and tell the followers."""
        self._changes.append(change)
        if len(self._changes) > KEPT_CHANGES:
            self._compacted_at = self._changes.popleft().version
        for subscription in self._subscriptions:
            subscription.offer(change)

    def subscribe(self, *, namespace: str | None, since: int) -> Subscription:
        """Follow what comes after version `since`; Gone where part of that is no longer kept."""
        if since < self._compacted_at:
            raise Gone(f"too old resource version: {since} ({self._compacted_at})")
        subscription = Subscription(self, namespace, [change for change in self._changes if change.version > since])
        self._subscriptions.add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Stop telling a follower; no harm when it was forgotten before."""
        self._subscriptions.discard(subscription)
