"""Sets of fields in the FieldsV1 form: `{"f:spec": {"f:replicas": {}}}`.

A key is a field (`f:name`), a member of a list by its keys (`k:{"name":"web"}`) or by its value (`v:"a"`). What has nothing
below it is in the set; what has something below it only with a `.` beside that.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runbook_lab.cluster.schema.topology import is_atomic, key_of_member, list_keys
from runbook_lab.cluster.schema.types import FieldType, ObjectType, object_type

FieldSet = dict[str, Any]

_ABSENT = object()
_SELF = "."
# Kept, as making one takes longer than writing the key of a list's member.
_ENCODER = json.JSONEncoder(separators=(",", ":"), sort_keys=True)


class FieldError(ValueError):
    """The members of a list cannot be told apart. The message names the list as Kubernetes does."""


def fields_of(obj: Mapping[str, Any], kind: ObjectType) -> FieldSet:
    """Give all fields that an object has. FieldError where the members of a list cannot be told apart."""
    return _Walk(strict=True).object(obj, {}, kind, "")


def changed_fields(new: Mapping[str, Any], old: Mapping[str, Any], kind: ObjectType) -> FieldSet:
    """Give the fields that `new` has and `old` has not, or has differently."""
    return _Walk(by_value=True).object(new, old, kind, "")


def removed_fields(new: Mapping[str, Any], old: Mapping[str, Any], kind: ObjectType) -> FieldSet:
    """Give the fields that `old` has and `new` has not."""
    return _Walk().object(old, new, kind, "")


def members_by_key(members: Sequence[Any], keys: tuple[str, ...], path: str = "", *, strict: bool = False) -> dict[str, Any]:
    """Give the members of a list by what a field set calls them.

    With `strict` FieldError where one has no key, or two have the same; else the former go by their place (what is stored may be
    so: a variable may be set twice), and the last of the latter counts.
    """
    found: dict[str, Any] = {}
    for index, member in enumerate(members):
        if not keys:
            found[f"v:{_json(member)}"] = member
            continue
        key = key_of_member(member, keys) if isinstance(member, Mapping) else None
        if key is None and not strict:
            found[f"i:{index}"] = member
            continue
        if key is None:
            missing = next((name for name in keys if not isinstance(member, Mapping) or name not in member), keys[0])
            omitted = f'associative list with keys has an element that omits key field "{missing}"'
            raise FieldError(f"{path}: element {index}: {omitted}")
        name = f"k:{_json(key)}"
        if name in found and strict:
            raise FieldError(f"{path}: duplicate entries for key {path_step(name)}")
        found[name] = member
    return found


def without(fields: FieldSet, gone: FieldSet) -> FieldSet:
    """Give the fields of a set that are not in another."""
    result: FieldSet = {}
    for key, inner in fields.items():
        if key == _SELF:
            continue
        if key not in gone:
            result[key] = inner
            continue
        node = _node(member=_is_member(inner) and not _is_member(gone[key]), below=without(inner, gone[key]))
        if node is not None:
            result[key] = node
    return result


def both(left: FieldSet, right: FieldSet) -> FieldSet:
    """Give the fields that are in two sets."""
    result: FieldSet = {}
    for key in left.keys() & right.keys() - {_SELF}:
        inner, other = left[key], right[key]
        node = _node(member=_is_member(inner) and _is_member(other), below=both(inner, other))
        if node is not None:
            result[key] = node
    return result


def either(left: FieldSet, right: FieldSet) -> FieldSet:
    """Give the fields that are in one of two sets."""
    result: FieldSet = {}
    for key in [*left, *(key for key in right if key not in left)]:
        if key == _SELF:
            continue
        if key not in left or key not in right:
            result[key] = left[key] if key in left else right[key]
            continue
        inner, other = left[key], right[key]
        node = _node(member=_is_member(inner) or _is_member(other), below=either(inner, other))
        if node is not None:
            result[key] = node
    return result


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """Give the fields of a set as messages name them: `.spec.template.spec.containers[name="web"].image`."""
    for key in sorted(fields):
        if key == _SELF:
            continue
        path = prefix + path_step(key)
        if _is_member(fields[key]):
            yield path
        yield from paths(fields[key], path)


def path_step(key: str) -> str:
    """Give one key of a set as messages write it: `.replicas`, `[name="web"]`, `[="a"]`."""
    form, _, text = key.partition(":")
    if form == "f":
        return f".{text}"
    if form == "v":
        return f"[={text}]"
    if form == "i":
        return f"[{text}]"
    return "[" + ",".join(f"{name}={_json(value)}" for name, value in json.loads(text).items()) + "]"


class _Walk:
    """Compares two values by their type: what the first has and the second has not or, with `by_value`, has differently."""

    def __init__(self, *, by_value: bool = False, strict: bool = False) -> None:
        self._by_value = by_value
        self._strict = strict

    def object(self, this: Mapping[str, Any], other: Any, kind: ObjectType, path: str) -> FieldSet:
        result = {}
        for name, value in this.items():
            counterpart = other.get(name, _ABSENT) if isinstance(other, Mapping) else _ABSENT
            node = self._field(value, counterpart, kind.name, name, kind.fields.get(name), f"{path}.{name}")
            if node is not None:
                result[f"f:{name}"] = node
        return result

    def _field(self, this: Any, other: Any, owner: str, name: str, field: FieldType | None, path: str) -> FieldSet | None:
        if this == other:
            return None
        if not this or field is None or is_atomic(owner, name, field):
            return self._leaf(this, other)
        if isinstance(this, Mapping) and field.ref:
            return self.object(this, other, object_type(field.ref), path) or None
        if isinstance(this, Mapping):
            known = other if isinstance(other, Mapping) else {}
            nodes = {f"f:{key}": self._leaf(value, known.get(key, _ABSENT)) for key, value in this.items()}
            return {key: node for key, node in nodes.items() if node is not None} or None
        if isinstance(this, list):
            return self._list(this, other, list_keys(owner, name, field) or (), field, path) or None
        return self._leaf(this, other)

    def _list(self, this: list[Any], other: Any, keys: tuple[str, ...], field: FieldType, path: str) -> FieldSet:
        kind = object_type(field.items.ref) if field.items and field.items.ref else None
        known = members_by_key(other, keys) if isinstance(other, list) else {}
        result: FieldSet = {}
        for key, member in members_by_key(this, keys, path, strict=self._strict).items():
            # Only a refusal tells the path.
            at = path + path_step(key) if self._strict else ""
            below = self.object(member, known.get(key, _ABSENT), kind, at) if kind else {}
            node = _node(member=key not in known, below=below)
            if node is not None:
                result[key] = node
        return result

    def _leaf(self, this: Any, other: Any) -> FieldSet | None:
        return {} if other is _ABSENT or (self._by_value and this != other) else None


def _is_member(node: FieldSet) -> bool:
    return not node or _SELF in node


def _node(*, member: bool, below: FieldSet) -> FieldSet | None:
    """Make what stands under a key; None where that is nothing."""
    if not below:
        return {} if member else None
    return {_SELF: {}, **below} if member else below


def _json(value: Any) -> str:
    return _ENCODER.encode(value)
