"""Who wrote which field, and when: `metadata.managedFields`, after an update and after an apply.

As on a real API server, but for two things: where a map is made anew, its manager has its entries and not the map itself, and a
write in another version of a kind (`autoscaling/v1`) is kept as one in the version that is stored.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lab.cluster.field_set import FieldSet, both, changed_fields, either, fields_of, removed_fields, without
from runbook_lab.cluster.resources import Resource
from runbook_lab.cluster.schema.types import type_of

Object = dict[str, Any]
Entries = list[Object]

# Written by the server itself, so nobody manages them.
_SERVER_OWNED = {
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "name",
    "namespace",
    "selfLink",
}
_IDENTITY = {"apiVersion", "kind"}


def track(
    resource: Resource,
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    *,
    manager: str,
    subresource: str | None,
    now: str,
    entries: Sequence[Object] = (),
) -> Entries:
    """Give the managedFields of `new`, written over `old` by `manager` at `now` (RFC 3339): what changed moves to its entry.

    `entries` are the managedFields so far.
    """
    kind, before, after = type_of(resource), content(old or {}), content(new)
    changed = changed_fields(after, before, kind)
    removed = removed_fields(after, before, kind)
    mine: FieldSet = {}
    kept = []
    for entry in entries:
        if _is(entry, manager, "Update", subresource):
            mine = without(entry["fieldsV1"], removed)
        elif rest := without(without(entry["fieldsV1"], changed), removed):
            kept.append({**entry, "fieldsV1": rest})
    merged = either(mine, changed)
    if merged:
        kept.append(_entry(resource, manager, "Update", subresource, merged, now))
    return _sorted(kept)


def given(metadata: Mapping[str, Any], stored: Mapping[str, Any], subresource: str | None) -> Entries:
    """Give the managedFields that an update begins with: the client's own, where it sends some that can be read.

    One empty entry forgets them all. A client that knows nothing of them, or writes a subresource, leaves them as they are.
    """
    entries = metadata.get("managedFields")
    if entries == [{}] and not subresource:
        return []
    readable = bool(entries) and all(
        entry.get("manager") and entry.get("operation") in ("Apply", "Update") and isinstance(entry.get("fieldsV1"), Mapping)
        for entry in entries
    )
    return list(entries if readable and not subresource else stored["managedFields"])


def applied(entries: Sequence[Object], manager: str, subresource: str | None) -> Object | None:
    """Give the entry of what a manager has applied so far, if any."""
    return next((entry for entry in entries if _is(entry, manager, "Apply", subresource)), None)


def take_over(
    resource: Resource,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    owned: FieldSet,
    *,
    manager: str,
    subresource: str | None,
    now: str,
) -> tuple[Entries, list[tuple[Object, FieldSet]]]:
    """Give the managedFields of `new`, by which `manager` applied the fields `owned`, and whom that took which fields from."""
    kind, before, after = type_of(resource), content(old), content(new)
    changed, removed = changed_fields(after, before, kind), removed_fields(after, before, kind)
    entries = old.get("metadata", {}).get("managedFields") or ()
    previous = applied(entries, manager, subresource)
    kept, conflicts = [], []
    for entry in entries:
        if entry is previous:
            continue
        if taken := both(entry["fieldsV1"], both(owned, changed)):
            conflicts.append((entry, taken))
        if rest := without(without(entry["fieldsV1"], taken), removed):
            kept.append({**entry, "fieldsV1": rest})
    if previous and previous["fieldsV1"] == owned:
        now = previous.get("time", now)
    if owned:
        kept.append(_entry(resource, manager, "Apply", subresource, owned, now))
    return _sorted(kept), conflicts


def content(obj: Mapping[str, Any]) -> Object:
    """Give the part of an object that somebody manages."""
    content = {key: value for key, value in obj.items() if key not in _IDENTITY}
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key not in _SERVER_OWNED}
    content.pop("metadata", None)
    return {"metadata": metadata, **content} if metadata else content


def owned_fields(resource: Resource, config: Mapping[str, Any]) -> FieldSet:
    """Give the fields that whoever applies a configuration manages from then on."""
    return fields_of(content(config), type_of(resource))


def same_managers(left: Sequence[Object] | None, right: Sequence[Object] | None) -> bool:
    """Whether two lists of entries say the same, whatever their times."""

    def essence(entries: Sequence[Object] | None) -> list[Object]:
        return [{key: value for key, value in entry.items() if key != "time"} for entry in entries or ()]

    return essence(left) == essence(right)


def _is(entry: Object, manager: str, operation: str, subresource: str | None) -> bool:
    return (entry["manager"], entry["operation"], entry.get("subresource") or None) == (manager, operation, subresource)


def _entry(resource: Resource, manager: str, operation: str, subresource: str | None, fields: FieldSet, now: str) -> Object:
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": resource.api_version,
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return {**entry, "subresource": subresource} if subresource else entry


def _sorted(entries: Entries) -> Entries:
    order = ("operation", "time", "manager", "subresource")
    return sorted(entries, key=lambda entry: [entry.get(key, "") for key in order])
