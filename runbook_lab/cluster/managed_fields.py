"""Who wrote which field, and when: `metadata.managedFields` in the FieldsV1 form.

Objects are followed key by key; a list counts as one field (a real API server also follows the members of keyed lists).
"""

from collections.abc import Mapping
from typing import Any

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
    old: Mapping[str, Any] | None, new: Mapping[str, Any], *, manager: str, subresource: str | None, now: str
) -> list[dict[str, Any]]:
    """Give the managedFields of `new`, written over `old` by `manager` at `now` (RFC 3339): what changed moves to its entry."""
    changed = _fields(_content(new), _content(old or {}))
    removed = _fields(_content(old or {}), _content(new), values=False)
    entries = []
    mine = {}
    for entry in (old or {}).get("metadata", {}).get("managedFields") or ():
        if (entry["manager"], entry.get("subresource")) == (manager, subresource):
            mine = _without(entry["fieldsV1"], removed)
            continue
        rest = _without(_without(entry["fieldsV1"], changed), removed)
        if rest:
            entries.append({**entry, "fieldsV1": rest})
    merged = _merge(mine, changed)
    if merged:
        entry = {
            "manager": manager,
            "operation": "Update",
            "apiVersion": new["apiVersion"],
            "time": now,
            "fieldsType": "FieldsV1",
            "fieldsV1": merged,
        }
        if subresource:
            entry["subresource"] = subresource
        entries.append(entry)
    return entries


def _content(obj: Mapping[str, Any]) -> dict[str, Any]:
    content = {key: value for key, value in obj.items() if key not in _IDENTITY}
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key not in _SERVER_OWNED}
    content.pop("metadata", None)
    return {"metadata": metadata, **content} if metadata else content


def _fields(this: Any, other: Any, *, values: bool = True) -> dict[str, Any]:
    """Give the field set of what `this` has and `other` has not (with `values`: or has differently)."""
    result: dict[str, Any] = {}
    for key, value in this.items():
        counterpart = other.get(key) if isinstance(other, Mapping) else None
        if isinstance(value, Mapping) and value:
            if inner := _fields(value, counterpart, values=values):
                result[f"f:{key}"] = inner
        elif counterpart is None or (values and counterpart != value):
            result[f"f:{key}"] = {}
    return result


def _without(fields: dict[str, Any], gone: dict[str, Any]) -> dict[str, Any]:
    result = {}
    for key, inner in fields.items():
        if key not in gone:
            result[key] = inner
        elif inner and gone[key] and (rest := _without(inner, gone[key])):
            result[key] = rest
    return result


def _merge(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    result = dict(left)
    for key, inner in right.items():
        result[key] = _merge(result[key], inner) if key in result else inner
    return result
