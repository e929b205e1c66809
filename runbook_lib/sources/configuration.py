"""Config maps: what they hold, when they last changed, and how they differ from what was applied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runbook_lib.models.window import Window
from runbook_lib.sources.tables import instant
from runbook_lib.sources.templates import hidden_value

__all__ = ["CHANGE_COLUMNS", "change_rows", "config_map_facts"]

CHANGE_COLUMNS = {"config_map": "text", "key": "text", "old": "any", "new": "any", "updated_at": "time"}

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CONTENT = ("f:data", "f:binaryData")

_CREATING = timedelta(seconds=1)

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Write:
    """The last time that a program wrote content, and all keys whose values are its own. applies: what it wrote counts as applied
    since, as `kubectl apply` notes it."""

    at: datetime
    manager: str
    keys: frozenset[str]
    creation: bool
    applies: bool


def config_map_facts(config_map: Object) -> dict[str, Any]:
    """Keys: name, data, keys (those of binary data, too), resource_version, updated_at (when its content was last written; None
    when nobody tracked it), updated_by (the program that did), last_applied (its data as `kubectl apply` last wrote it, None when
    it never did), applied_keys (those whose last write was itself an application, and no return to one)."""
    metadata = config_map["metadata"]
    writes = _writes(metadata)
    last = next(reversed(writes), None)
    by_key = {key: write for write in writes for key in write.keys}
    return {
        "name": metadata["name"],
        "data": dict(config_map.get("data") or {}),
        "keys": sorted({*(config_map.get("data") or ()), *(config_map.get("binaryData") or ())}),
        "resource_version": str(metadata.get("resourceVersion") or ""),
        "updated_at": last.at if last else None,
        "updated_by": last.manager if last else "",
        "last_applied": _last_applied(metadata),
        "applied_keys": frozenset(key for key, write in by_key.items() if write.applies and not write.creation),
    }


def change_rows(config_map: Object, *, window: Window) -> list[tuple[Any, ...]]:
    """Rows of CHANGE_COLUMNS for what was written in the window, or differs from what was last applied.

    The old value is known only where it was applied with kubectl: Kubernetes keeps no earlier versions of a config map. When
    something was written in the window and nobody can say which key, the row's key is empty. Being created is no change.
    """
    facts = config_map_facts(config_map)
    data, applied = facts["data"], facts["last_applied"]
    before = data if applied is None else applied
    drifted = [key for key in sorted(before.keys() | data.keys()) if before.get(key) != data.get(key)]
    writes = [write for write in _writes(config_map["metadata"]) if write.at in window and not write.creation]
    at = {key: write.at for write in writes for key in write.keys}
    rows = [_row(facts, key, before.get(key), at.get(key, facts["updated_at"])) for key in drifted]
    # An editor or a patch owns just the keys that it changed; `kubectl apply` owns all keys whatever it changed.
    if at.keys() < data.keys():
        rows.extend(_row(facts, key, None, at[key]) for key in sorted(at) if key not in drifted)
    if rows or not writes:
        return rows
    return [(facts["name"], "", None, None, writes[-1].at)]


def _row(facts: Mapping[str, Any], key: str, old: str | None, at: datetime | None) -> tuple[Any, ...]:
    new = facts["data"].get(key)
    shown = tuple(hidden_value(key, value) if value is not None else None for value in (old, new))
    return (facts["name"], key, *shown, at)


def _writes(metadata: Object) -> list[_Write]:
    """Who wrote content and when, in the order of time; entries for labels and annotations alone do not count."""
    created = instant(metadata.get("creationTimestamp"))
    writes = []
    for entry in metadata.get("managedFields") or ():
        fields, at = entry.get("fieldsV1") or {}, instant(entry.get("time"))
        content = [key for part in _CONTENT for key in fields.get(part) or () if key.startswith("f:")]
        if at is not None and any(part in fields for part in _CONTENT):
            keys = frozenset(key.removeprefix("f:") for key in content)
            notes = (fields.get("f:metadata") or {}).get("f:annotations") or {}
            creation = created is not None and at <= created + _CREATING
            writes.append(_Write(at, str(entry.get("manager") or ""), keys, creation, f"f:{_LAST_APPLIED}" in notes))
    return sorted(writes, key=lambda write: write.at)


def _last_applied(metadata: Object) -> dict[str, str] | None:
    text = (metadata.get("annotations") or {}).get(_LAST_APPLIED)
    if not text:
        return None
    try:
        applied = json.loads(text)
    except ValueError:
        return None
    data = applied.get("data") if isinstance(applied, dict) else None
    return {str(key): str(value) for key, value in data.items()} if isinstance(data, dict) else {}
