"""Who wrote a part of an object last, and when: Kubernetes keeps that in `metadata.managedFields`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runbook_lib.sources.tables import instant

__all__ = ["FieldWrite", "keys_written", "last_write"]


@dataclass(frozen=True, slots=True)
class FieldWrite:
    """The last time that a program (`kubectl-patch`) wrote a field."""

    at: datetime
    manager: str


def last_write(metadata: Mapping[str, Any], *path: str) -> FieldWrite | None:
    """The last write below a path such as `f:spec`, `f:selector`. None when nobody recorded it.

    What is removed leaves no trace of its own: the one who removed a field owns nothing of it.
    """
    writes = [
        FieldWrite(at, str(entry.get("manager") or ""))
        for entry in metadata.get("managedFields") or ()
        if _below(entry, path) is not None and (at := instant(entry.get("time"))) is not None
    ]
    return max(writes, key=lambda write: write.at, default=None)


def keys_written(metadata: Mapping[str, Any], *path: str) -> list[str]:
    """The keys below a path that have an owner, sorted: of `f:data`, the keys of a config map or secret, without its values."""
    found = (_below(entry, path) or {} for entry in metadata.get("managedFields") or ())
    return sorted({key.removeprefix("f:") for keys in found for key in keys if key.startswith("f:")})


def _below(entry: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any] | None:
    found: Any = entry.get("fieldsV1") or {}
    for key in path:
        if key not in found:
            return None
        found = found[key]
    return found if isinstance(found, Mapping) else {}
