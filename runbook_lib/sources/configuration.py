"""Config maps: what they hold, when they last changed, and how they differ from what was applied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from runbook_lib.models.window import Window
from runbook_lib.sources.tables import instant
from runbook_lib.sources.templates import hidden_value

__all__ = ["CHANGE_COLUMNS", "change_rows", "config_map_facts"]

CHANGE_COLUMNS = {"config_map": "text", "key": "text", "old": "any", "new": "any", "updated_at": "time"}

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CONTENT = ("f:data", "f:binaryData")

Object = Mapping[str, Any]


def config_map_facts(config_map: Object) -> dict[str, Any]:
    """Keys: name, data, resource_version, updated_at (when its content was last written; None when nobody tracked it),
    updated_by (the program that did), last_applied (its data as `kubectl apply` last wrote it, None when it never did)."""
    metadata = config_map["metadata"]
    at, by = _last_written(metadata)
    return {
        "name": metadata["name"],
        "data": dict(config_map.get("data") or {}),
        "resource_version": str(metadata.get("resourceVersion") or ""),
        "updated_at": at,
        "updated_by": by,
        "last_applied": _last_applied(metadata),
    }


def change_rows(config_map: Object, *, window: Window) -> list[tuple[Any, ...]]:
    """Rows of CHANGE_COLUMNS for what was written in the window, or differs from what was last applied.

    The old value is known only where it was applied with kubectl: Kubernetes keeps no earlier versions of a config map. When
    something was written in the window and nobody can say which key, the row's key is empty.
    """
    facts = config_map_facts(config_map)
    data, applied, at = facts["data"], facts["last_applied"], facts["updated_at"]
    before = data if applied is None else applied
    drifted = [key for key in sorted(before.keys() | data.keys()) if before.get(key) != data.get(key)]
    rows = [_row(facts, key, before.get(key), at) for key in drifted]
    if at is None or at not in window:
        return rows
    written = [key for key in _written_keys(config_map["metadata"], window, all_keys=data.keys()) if key not in drifted]
    rows.extend(_row(facts, key, None, at) for key in written)
    return rows or [(facts["name"], "", None, None, at)]


def _row(facts: Mapping[str, Any], key: str, old: str | None, at: datetime | None) -> tuple[Any, ...]:
    new = facts["data"].get(key)
    shown = tuple(hidden_value(key, value) if value is not None else None for value in (old, new))
    return (facts["name"], key, *shown, at)


def _last_written(metadata: Object) -> tuple[datetime | None, str]:
    """When and by which program the content was last written; entries for labels and annotations alone do not count."""
    entries = [
        entry for entry in metadata.get("managedFields") or () if any(key in (entry.get("fieldsV1") or {}) for key in _CONTENT)
    ]
    times = [(at, str(entry.get("manager") or "")) for entry in entries if (at := instant(entry.get("time")))]
    return max(times) if times else (None, "")


def _written_keys(metadata: Object, window: Window, *, all_keys: Any) -> list[str]:
    """The keys that programs which wrote in the window own, when that narrows them down.

    An editor or a patch owns just the keys that it changed; `kubectl apply` owns all keys whatever it changed.
    """
    owned: set[str] = set()
    for entry in metadata.get("managedFields") or ():
        at = instant(entry.get("time"))
        if at is None or at not in window:
            continue
        for field in _CONTENT:
            keys = (entry.get("fieldsV1") or {}).get(field) or {}
            owned.update(key.removeprefix("f:") for key in keys if key.startswith("f:"))
    return sorted(owned & set(all_keys)) if owned < set(all_keys) else []


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
