"""The garbage collector: what lost its owner goes, and an owner that is deleted in the foreground waits for its dependents."""

from __future__ import annotations

import asyncio
import contextlib

from runbook_lab.cluster.following import follow
from runbook_lab.cluster.metadata import Object, is_terminating
from runbook_lab.cluster.resources import BY_PLURAL
from runbook_lab.cluster.store import FOREGROUND_FINALIZER, NotFound, Store

_MANAGER = "garbage-collector"
# What controllers here own; and what can be deleted in the foreground.
_OWNERS = ("deployments", "replicasets", "statefulsets", "services", "pods")
_DEPENDENTS = ("replicasets", "pods", "controllerrevisions", "endpointslices", "endpoints", "configmaps", "secrets")


class GarbageCollector:
    """Deletes dependents in the background, as soon as no owner of theirs exists any more."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self) -> None:
        """Follow the owners and collect, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for plural in (*_OWNERS, "namespaces"):
                tasks.create_task(self._follow(plural))

    async def _follow(self, plural: str) -> None:
        async for change, obj in follow(self._store, plural):
            if change == "DELETED":
                self._collect(obj)
                if plural == "namespaces":
                    self._empty(obj["metadata"]["name"])
            elif FOREGROUND_FINALIZER in obj["metadata"].get("finalizers", ()) and is_terminating(obj):
                self._collect(obj)
                self._finish_foreground(plural, obj)

    def _collect(self, owner: Object) -> None:
        """Delete the dependents of an owner that have no other one left."""
        foreground = FOREGROUND_FINALIZER in owner["metadata"].get("finalizers", ())
        for plural, obj in self._dependents(owner):
            alive = [
                uid for uid in (entry["uid"] for entry in obj["metadata"]["ownerReferences"]) if uid != owner["metadata"]["uid"]
            ]
            if not alive and not is_terminating(obj):
                with contextlib.suppress(NotFound):
                    self._store.delete(
                        plural,
                        obj["metadata"]["name"],
                        namespace=obj["metadata"]["namespace"],
                        propagation="Foreground" if foreground and plural in _OWNERS else "Background",
                    )
        for reference in owner["metadata"].get("ownerReferences") or ():
            self._release_parent(owner, reference["uid"])

    def _dependents(self, owner: Object) -> list[tuple[str, Object]]:
        uid, namespace = owner["metadata"]["uid"], owner["metadata"].get("namespace")
        return [
            (plural, obj)
            for plural in _DEPENDENTS
            for obj in self._store.list(plural, namespace=namespace)
            if any(entry["uid"] == uid for entry in obj["metadata"].get("ownerReferences") or ())
        ]

    def _release_parent(self, gone: Object, uid: str) -> None:
        """Let a parent go that waited in the foreground for what is gone now."""
        for plural in _OWNERS:
            for obj in self._store.list(plural, namespace=gone["metadata"].get("namespace")):
                if obj["metadata"]["uid"] == uid and FOREGROUND_FINALIZER in obj["metadata"].get("finalizers", ()):
                    self._finish_foreground(plural, obj)

    def _finish_foreground(self, plural: str, owner: Object) -> None:
        if self._dependents(owner):
            return
        owner["metadata"]["finalizers"] = [name for name in owner["metadata"]["finalizers"] if name != FOREGROUND_FINALIZER]
        owner["metadata"].pop("resourceVersion")
        with contextlib.suppress(NotFound):
            self._store.update(plural, owner, manager=_MANAGER)

    def _empty(self, namespace: str) -> None:
        """Delete all that stood in a namespace that is gone."""
        for plural, resource in BY_PLURAL.items():
            if resource.namespaced:
                for obj in self._store.list(plural, namespace=namespace):
                    with contextlib.suppress(NotFound):
                        self._store.delete(plural, obj["metadata"]["name"], namespace=namespace)
