"""The cluster's objects: in memory, versioned, watched.

Synchronous, for use on one asyncio loop. Objects are plain dicts in the form of the JSON API. What goes in is copied, and what
comes out is a copy, but for what a `Subscription` gives: that is shared between watchers and must not be written to.
"""

import itertools
import random
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from runbook_lab.cluster import managed_fields
from runbook_lab.cluster.defaults import apply_defaults
from runbook_lab.cluster.errors import AlreadyExists, BadRequest, Conflict, Gone, Invalid, NotFound, StoreError
from runbook_lab.cluster.history import Change, History, Subscription
from runbook_lab.cluster.managed_fields import Entries
from runbook_lab.cluster.metadata import timestamp
from runbook_lab.cluster.resources import BY_PLURAL, Resource
from runbook_lab.cluster.selectors import SelectorError, parse_fields, parse_labels

__all__ = ["AlreadyExists", "Change", "Conflict", "Gone", "Invalid", "NotFound", "Object", "Store", "StoreError", "Subscription"]

Object = dict[str, Any]
Check = Callable[[Object, Object | None], None]  # called with the new object and what it would replace
_Key = tuple[str, str]  # namespace ("" where there is none), name

# The letters Kubernetes takes for generated names: no vowels, so no words; no digits that read like letters.
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_DEFAULT_GRACE_SECONDS = 30
# Fields that only the server writes; what a client sends in them is ignored.
_SERVER_FIELDS = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)
FOREGROUND_FINALIZER = "foregroundDeletion"


def copy_json(obj: Object) -> Object:
    """Copy an object; several times faster than `copy.deepcopy`, which every read would otherwise pay."""
    return {key: _copy_value(value) for key, value in obj.items()}


def _copy_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copy_value(inner) for inner in value]
    return value


class Store:
    """All objects of the cluster, by resource, namespace and name."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), seed: int | None = None) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self._versions = itertools.count(1)
        self._version = 0
        self._objects: dict[str, dict[_Key, Object]] = {plural: {} for plural in BY_PLURAL}
        self._history: dict[str, History] = {plural: History() for plural in BY_PLURAL}

    @property
    def version(self) -> int:
        """The resourceVersion of the last change."""
        return self._version

    # --- reading

    def get(self, plural: str, name: str, *, namespace: str | None = None) -> Object:
        """Give one object; NotFound where there is none."""
        return copy_json(self._find(plural, name, namespace))

    def list(
        self,
        plural: str,
        *,
        namespace: str | None = None,
        labels: str | Mapping[str, str] | None = None,
        fields: str | None = None,
    ) -> list[Object]:
        """Give the objects of a resource (of one namespace, or of all) by namespace and name; BadRequest for a wrong selector."""
        try:
            match_labels, match_fields = parse_labels(labels), parse_fields(fields, plural)
        except SelectorError as error:
            raise BadRequest(str(error)) from error
        return [
            copy_json(obj)
            for (space, _), obj in sorted(self._objects[plural].items())
            if namespace in (None, space) and match_labels(obj) and match_fields(obj)
        ]

    def subscribe(self, plural: str, *, namespace: str | None = None, since: int | None = None) -> Subscription:
        """Follow the changes after version `since` (None: from now on). Gone where that history is no longer kept.

        Close the subscription when done.
        """
        return self._history[plural].subscribe(namespace=namespace, since=self._version if since is None else since)

    async def watch(self, plural: str, *, namespace: str | None = None) -> AsyncIterator[tuple[str, Object]]:
        """Give the present objects as ADDED, then each ADDED, MODIFIED and DELETED as it happens. Never ends by itself."""
        subscription = self.subscribe(plural, namespace=namespace)
        try:
            for obj in self.list(plural, namespace=namespace):
                yield "ADDED", obj
            async for change in subscription:
                yield change.type, copy_json(change.object)
        finally:
            subscription.close()

    # --- writing

    def create(
        self,
        plural: str,
        obj: Object,
        *,
        namespace: str | None = None,
        manager: str = "controller",
        dry_run: bool = False,
        check: Check | None = None,
        managed: Entries | None = None,
    ) -> Object:
        """Add an object, with its defaults, and give it as stored. AlreadyExists where the name is taken.

        `check` may refuse the completed object by raising; with `dry_run` nothing is kept. `managed` are its managedFields, where
        not all of it is the manager's.
        """
        resource = BY_PLURAL[plural]
        new = copy_json(obj)
        metadata = new.setdefault("metadata", {})
        for field in (*_SERVER_FIELDS, "resourceVersion", "managedFields"):
            metadata.pop(field, None)
        new |= {"apiVersion": resource.api_version, "kind": resource.kind}
        if resource.namespaced:
            metadata["namespace"] = namespace or metadata.get("namespace") or "default"
        else:
            metadata.pop("namespace", None)
        if not metadata.get("name"):
            metadata["name"] = self._generate_name(resource, metadata.get("generateName"))
        key = (metadata.get("namespace", ""), metadata["name"])
        if key in self._objects[plural]:
            raise AlreadyExists.of(resource, metadata["name"])
        now = timestamp(self._clock())
        metadata |= {"uid": str(uuid.UUID(int=self._random.getrandbits(128), version=4)), "creationTimestamp": now}
        if "spec" in new:
            metadata["generation"] = 1
        apply_defaults(plural, new)
        if check:
            check(new, None)
        if managed is None:
            managed = managed_fields.track(resource, None, new, manager=manager, subresource=None, now=now)
        metadata["managedFields"] = managed
        return new if dry_run else self._commit("ADDED", resource, key, new, previous=None)

    def update(
        self,
        plural: str,
        obj: Object,
        *,
        subresource: str | None = None,
        manager: str = "controller",
        dry_run: bool = False,
        check: Check | None = None,
        managed: Entries | None = None,
    ) -> Object:
        """Replace an object, or a part of it by its `subresource`; an update of the whole leaves the status as it is.

        Conflict where `metadata.resourceVersion` is given and is not the stored one (leave it out to overwrite), or the uid
        differs. An update that changes nothing gives no event and no new version. An object that is being deleted is gone with
        its last finalizer. `managed` are the object's managedFields, where an update does not just move what it changes.
        """
        resource = BY_PLURAL[plural]
        given = obj.get("metadata") or {}
        old = self._find(plural, given.get("name", ""), given.get("namespace"))
        self._check_preconditions(resource, old, given)
        new = self._merged(resource, old, obj, subresource)
        if check:
            check(new, old)
        entries = managed if managed is not None else managed_fields.given(given, old["metadata"], subresource)
        if _same(old, new) and managed_fields.same_managers(entries, old["metadata"]["managedFields"]):
            return copy_json(old)
        now = timestamp(self._clock())
        metadata = new["metadata"]
        if new.get("spec") != old.get("spec") and "generation" in metadata:
            metadata["generation"] += 1
        if managed is None:
            managed = managed_fields.track(resource, old, new, manager=manager, subresource=subresource, now=now, entries=entries)
        metadata["managedFields"] = managed
        if dry_run:
            return copy_json(new)
        key = (metadata.get("namespace", ""), metadata["name"])
        stored = self._commit("MODIFIED", resource, key, new, previous=old)
        if _finally_deleted(old, new):
            self.remove(plural, key[1], namespace=key[0])
        return stored

    def delete(
        self,
        plural: str,
        name: str,
        *,
        namespace: str | None = None,
        grace_seconds: float | None = None,
        propagation: str = "Background",
        uid: str | None = None,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Delete an object, and give it as it was last.

        A scheduled pod with a grace period gets its `deletionTimestamp`, and is gone when the kubelet calls `remove`. An object
        with finalizers gets it, too, and is gone with the last of them. Propagation is `Background` (the garbage collector
        removes dependents later), `Foreground` (the object keeps the finalizer `foregroundDeletion` until the collector has
        removed its dependents) or `Orphan` (dependents lose their owner reference at once).
        """
        resource = BY_PLURAL[plural]
        old = self._find(plural, name, namespace)
        self._check_preconditions(resource, old, {"uid": uid, "resourceVersion": resource_version})
        if dry_run:
            return copy_json(old)
        grace = _grace(plural, old, grace_seconds)
        new = copy_json(old)
        metadata = new["metadata"]
        if propagation == "Foreground" and plural != "pods":
            metadata["finalizers"] = sorted({*metadata.get("finalizers", ()), FOREGROUND_FINALIZER})
        elif propagation == "Orphan":
            self._orphan(metadata["uid"])
        if not grace and not metadata.get("finalizers"):
            self.remove(plural, name, namespace=namespace)
            return new
        already = metadata.get("deletionGracePeriodSeconds")
        if already is None or grace < already:
            metadata["deletionGracePeriodSeconds"] = grace
            metadata["deletionTimestamp"] = timestamp(self._clock() + timedelta(seconds=grace))
            # The generation tells controllers that something was asked of the object.
            if "generation" in metadata:
                metadata["generation"] += 1
        if _same(old, new):
            return new
        return self._commit("MODIFIED", resource, (metadata.get("namespace", ""), name), new, previous=old)

    def remove(self, plural: str, name: str, *, namespace: str | None = None) -> None:
        """Take an object out for good, whatever its finalizers and grace; NotFound where there is none."""
        old = self._find(plural, name, namespace)
        key = (old["metadata"].get("namespace", ""), name)
        del self._objects[plural][key]
        last = copy_json(old)
        last["metadata"]["resourceVersion"] = str(self._next_version())
        self._history[plural].record(Change("DELETED", self._version, last, old))

    # --- inside

    def _find(self, plural: str, name: str, namespace: str | None) -> Object:
        resource = BY_PLURAL[plural]
        key = ((namespace or "default") if resource.namespaced else "", name)
        if key not in self._objects[plural]:
            raise NotFound.of(resource, name)
        return self._objects[plural][key]

    def _next_version(self) -> int:
        self._version = next(self._versions)
        return self._version

    def _commit(self, kind: str, resource: Resource, key: _Key, new: Object, *, previous: Object | None) -> Object:
        new["metadata"]["resourceVersion"] = str(self._next_version())
        self._objects[resource.plural][key] = new
        self._history[resource.plural].record(Change(kind, self._version, new, previous))
        return copy_json(new)

    def _generate_name(self, resource: Resource, prefix: str | None) -> str:
        if not prefix:
            raise Invalid(
                f"{resource.kind} is invalid: metadata.name: Required value: name or generateName is required", resource=resource
            )
        return prefix + "".join(self._random.choices(_SUFFIX_LETTERS, k=5))

    def _check_preconditions(self, resource: Resource, old: Object, given: Mapping[str, Any]) -> None:
        have = old["metadata"]
        for field, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            if given.get(field) and given[field] != have[field]:
                why = f"Precondition failed: {label} in precondition: {given[field]}, {label} in object meta: {have[field]}"
                raise Conflict.of(resource, have["name"], None if field == "resourceVersion" else why)

    def _merged(self, resource: Resource, old: Object, obj: Object, subresource: str | None) -> Object:
        """Take from `obj` what this kind of update may write, and the rest from `old`."""
        if subresource == "status":
            return {**copy_json(old), "status": copy_json(obj.get("status") or {})}
        if subresource == "ephemeralcontainers":
            new = copy_json(old)
            new["spec"]["ephemeralContainers"] = copy_json(obj.get("spec") or {}).get("ephemeralContainers") or []
            apply_defaults(resource.plural, new)
            return new
        new = copy_json(obj) | {"apiVersion": resource.api_version, "kind": resource.kind}
        if resource.has_status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = copy_json(old["status"])
        for field in (*_SERVER_FIELDS, "resourceVersion", "managedFields", "namespace"):
            new["metadata"].pop(field, None)
            if field in old["metadata"]:
                new["metadata"][field] = _copy_value(old["metadata"][field])
        apply_defaults(resource.plural, new)
        return new

    def _orphan(self, owner_uid: str) -> None:
        for plural, objects in self._objects.items():
            for obj in [*objects.values()]:
                owners = obj["metadata"].get("ownerReferences") or []
                if any(owner["uid"] == owner_uid for owner in owners):
                    freed = copy_json(obj)
                    freed["metadata"]["ownerReferences"] = [owner for owner in owners if owner["uid"] != owner_uid]
                    freed["metadata"].pop("resourceVersion")
                    self.update(plural, freed, manager="garbage-collector")


def _same(old: Object, new: Object) -> bool:
    """Compare what was asked for, without the server's own bookkeeping."""

    def essence(obj: Object) -> Object:
        metadata = {key: value for key, value in obj["metadata"].items() if key not in ("managedFields", "resourceVersion")}
        return {**obj, "metadata": metadata}

    return essence(old) == essence(new)


def _grace(plural: str, pod: Object, asked: float | None) -> float:
    """Give the seconds a pod has to end by itself; nothing but a pod that may be running has any."""
    if plural != "pods" or not pod["spec"].get("nodeName") or pod["status"].get("phase") in ("Succeeded", "Failed"):
        return 0
    return pod["spec"].get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS) if asked is None else max(asked, 0)


def _finally_deleted(old: Object, new: Object) -> bool:
    metadata = new["metadata"]
    lost_its_last = bool(old["metadata"].get("finalizers")) and not metadata.get("finalizers")
    return lost_its_last and "deletionTimestamp" in metadata and not metadata.get("deletionGracePeriodSeconds")
