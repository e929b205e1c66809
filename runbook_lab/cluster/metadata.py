"""What every object carries: names, owners, times and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str]  # namespace ("" where there is none), name


def utc_now() -> datetime:
    """Give the present moment."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Write a time as `metav1.Time` does: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """Read a time that `timestamp` wrote."""
    return datetime.fromisoformat(text)


def key_of(obj: Object) -> Key:
    """Give namespace and name."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def is_terminating(obj: Object) -> bool:
    """Whether the object's deletion was asked for."""
    return "deletionTimestamp" in obj["metadata"]


def controller_of(obj: Object) -> Mapping[str, Any] | None:
    """Give the reference to the owner that controls the object, if any."""
    return next((owner for owner in obj["metadata"].get("ownerReferences") or () if owner.get("controller")), None)


def is_controlled_by(obj: Object, owner: Object) -> bool:
    """Whether this very owner (by uid) controls the object."""
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def owner_reference(owner: Object) -> Object:
    """Make the reference that a controller puts into what it creates."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition(obj: Object, kind: str) -> Object | None:
    """Give the condition of a type from an object's status."""
    return next((entry for entry in obj.get("status", {}).get("conditions") or () if entry["type"] == kind), None)


def is_true(obj: Object, kind: str) -> bool:
    """Whether a condition is there and holds."""
    found = condition(obj, kind)
    return found is not None and found["status"] == "True"


def pod_template_labels(template: Object) -> dict[str, str]:
    """Give a pod template's labels, also where it has none."""
    return dict((template.get("metadata") or {}).get("labels") or {})
