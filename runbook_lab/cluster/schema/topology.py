"""What counts as one field to whoever manages fields: lists by the keys of their members, maps as a whole or key by key.

From the `listType`, `listMapKey`, `mapType` and `structType` markers of the Kubernetes API types. A list that is not named here,
and has no key to merge by either, is one field.
"""

from collections.abc import Mapping
from typing import Any

from runbook_lab.cluster.schema.types import FieldType, short_name

# Where applying tells members apart by more than the one key of a strategic merge patch.
_LIST_KEYS: dict[tuple[str, str], tuple[str, ...]] = {
    ("Container", "ports"): ("containerPort", "protocol"),
    ("EphemeralContainer", "env"): ("name",),
    ("EphemeralContainer", "ports"): ("containerPort", "protocol"),
    ("EphemeralContainer", "volumeMounts"): ("mountPath",),
    ("HorizontalPodAutoscalerStatus", "conditions"): ("type",),
    ("NamespaceStatus", "conditions"): ("type",),
    ("PersistentVolumeClaimStatus", "conditions"): ("type",),
    ("PodSpec", "topologySpreadConstraints"): ("topologyKey", "whenUnsatisfiable"),
    ("ServiceSpec", "ports"): ("port", "protocol"),
    ("ServiceStatus", "conditions"): ("type",),
}
# A key that a manifest may leave out stands for its default.
_KEY_DEFAULTS = {"protocol": "TCP"}
_ATOMIC_TYPES = {
    "AggregationRule",
    "ConfigMapKeySelector",
    "CrossVersionObjectReference",
    "LabelSelector",
    "LocalObjectReference",
    "NodeSelector",
    "NodeSelectorTerm",
    "ObjectFieldSelector",
    "ObjectReference",
    "ResourceFieldSelector",
    "RoleRef",
    "SecretKeySelector",
    "SecretReference",
    "TypedLocalObjectReference",
}
_ATOMIC_FIELDS = {("PodSpec", "nodeSelector"), ("ServiceSpec", "selector")}


def is_atomic(owner: str, name: str, field: FieldType) -> bool:
    """Whether a field of the type `owner` (such as `V1PodSpec`) has one manager for all that is in it."""
    if field.items:
        return list_keys(owner, name, field) is None
    inside = short_name(field.ref) if field.ref else ""
    return (short_name(owner), name) in _ATOMIC_FIELDS or inside in _ATOMIC_TYPES


def list_keys(owner: str, name: str, field: FieldType) -> tuple[str, ...] | None:
    """Give the keys by which a list's members are told apart: `()` for plain values, None for a list that is one field."""
    if (keys := _LIST_KEYS.get((short_name(owner), name))) is not None:
        return keys
    if field.merge_key is None:
        return None
    return (field.merge_key,) if field.merge_key else ()


def key_of_member(member: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any] | None:
    """Give what tells a member apart; None where it leaves out a key."""
    found = {key: member.get(key, _KEY_DEFAULTS.get(key)) for key in keys}
    return None if None in found.values() else found
