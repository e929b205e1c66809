"""Events as `kubectl describe` shows them: repeated ones are one object whose count and last time grow."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from runbook_lab.cluster.metadata import Object, moment, timestamp, utc_now
from runbook_lab.cluster.store import NotFound, Store

# An API server keeps events for an hour.
_KEPT = timedelta(hours=1)
# As many as client-go remembers, to tell a repeated event from a new one.
_REMEMBERED = 4096


class Recorder:
    """Writes the events of one component (`kubelet`, `deployment-controller`, ...)."""

    def __init__(self, store: Store, component: str, *, host: str = "", clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._component = component
        self._host = host
        self._clock = clock
        self._known: dict[tuple[Any, ...], tuple[str, str]] = {}

    def normal(self, about: Object, reason: str, message: str, *, container: str | None = None) -> None:
        """Record that something happened as it should."""
        self._record(about, "Normal", reason, message, container)

    def warning(self, about: Object, reason: str, message: str, *, container: str | None = None) -> None:
        """Record that something went wrong."""
        self._record(about, "Warning", reason, message, container)

    def _record(self, about: Object, kind: str, reason: str, message: str, container: str | None) -> None:
        now = timestamp(self._clock())
        identity = (about["metadata"]["uid"], kind, reason, message, container)
        if identity in self._known and self._repeat(*self._known[identity], now=now):
            return
        created = self._store.create("events", self._event(about, kind, reason, message, container, now), manager=self._component)
        self._known[identity] = (created["metadata"]["namespace"], created["metadata"]["name"])
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]

    def _repeat(self, namespace: str, name: str, *, now: str) -> bool:
        try:
            event = self._store.get("events", name, namespace=namespace)
        except NotFound:  # too old to be kept, or deleted by hand
            return False
        event["count"] += 1
        event["lastTimestamp"] = now
        self._store.update("events", event, manager=self._component)
        return True

    def _event(self, about: Object, kind: str, reason: str, message: str, container: str | None, now: str) -> Object:
        metadata = about["metadata"]
        involved = {
            "kind": about["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "apiVersion": about["apiVersion"],
            "resourceVersion": metadata["resourceVersion"],
        }
        if metadata.get("namespace"):
            involved["namespace"] = metadata["namespace"]
        if container:
            involved["fieldPath"] = f"spec.containers{{{container}}}"
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        # Events about objects without a namespace stand in "default".
        namespace = metadata.get("namespace") or "default"
        return {
            # The time in the name, as in a real cluster: events of one second are then listed in their order.
            "metadata": {"name": f"{metadata['name']}.{time.time_ns():x}", "namespace": namespace},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": kind,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "eventTime": None,
            "source": source,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }


def remove_old_events(store: Store, *, now: datetime) -> None:
    """Take out the events that an API server would no longer keep."""
    for event in store.list("events"):
        if now - moment(event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]) > _KEPT:
            store.remove("events", event["metadata"]["name"], namespace=event["metadata"]["namespace"])
