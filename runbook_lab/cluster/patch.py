"""The three kinds of patches: JSON patch (RFC 6902), merge patch (RFC 7386), and Kubernetes' strategic merge patch."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jsonpatch
import jsonpointer

from runbook_lab.cluster.errors import BadRequest, Invalid, UnsupportedMediaType
from runbook_lab.cluster.resources import Resource
from runbook_lab.cluster.schema.types import FieldType, ObjectType, object_type, type_of

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
SUPPORTED = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH)

_DIRECTIVES = ("$patch", "$retainKeys")
_SET_ORDER = "$setElementOrder/"
_DELETE_FROM_SET = "$deleteFromPrimitiveList/"


def apply_patch(resource: Resource, obj: Mapping[str, Any], content_type: str, body: bytes) -> dict[str, Any]:
    """Give the patched object; `obj` stays as it is.

    Raises UnsupportedMediaType (415) for any other kind of patch, BadRequest for one that cannot be read, Invalid (422) for one
    that cannot be applied, such as a JSON patch whose `test` fails.
    """
    check_patch_type(content_type)
    try:
        patch = json.loads(body)
    except ValueError as error:
        raise BadRequest(f"error decoding patch: {error}") from error
    if content_type == JSON_PATCH:
        return json_patch(obj, patch)
    if not isinstance(patch, dict):
        raise BadRequest(f"cannot unmarshal a {type(patch).__name__} into a patch object")
    if content_type == MERGE_PATCH:
        return dict(merge_patch(obj, patch))
    return strategic_merge(obj, patch, type_of(resource))


def check_patch_type(content_type: str) -> None:
    """Raise UnsupportedMediaType for any other kind of patch. (An apply is none: `apply.py` does it.)"""
    if content_type not in SUPPORTED:
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: " + ", ".join(SUPPORTED)
        )


def json_patch(obj: Mapping[str, Any], operations: Any) -> dict[str, Any]:
    """Apply the operations in order; all or none."""
    try:
        patched = jsonpatch.JsonPatch(operations).apply(obj)
    except jsonpatch.InvalidJsonPatch as error:
        raise BadRequest(f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        failed_test = isinstance(error, jsonpatch.JsonPatchTestFailed)
        what = "a test of the JSON patch failed" if failed_test else "the JSON patch does not apply"
        raise Invalid(f"the server rejected our request due to an error in our request: {what}: {error}") from error
    if not isinstance(patched, dict):
        raise Invalid("the server rejected our request due to an error in our request: the JSON patch leaves no object")
    return patched


def merge_patch(obj: Any, patch: Any) -> Any:
    """Merge maps key by key; null deletes; all else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(obj) if isinstance(obj, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge(obj: Any, patch: Mapping[str, Any], kind: ObjectType | None) -> dict[str, Any]:
    """Merge as `merge_patch` does, but the members of keyed lists one by one, and by the directives in the patch."""
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    result = dict(obj) if isinstance(obj, Mapping) else {}
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key in _DIRECTIVES or key.startswith(_SET_ORDER):
            continue
        if key.startswith(_DELETE_FROM_SET):
            name = key.removeprefix(_DELETE_FROM_SET)
            result[name] = [member for member in result.get(name) or () if member not in value]
        elif value is None:
            result.pop(key, None)
        else:
            field = kind.fields.get(key) if kind else None
            result[key] = _merge_value(result.get(key), value, field, order=patch.get(_SET_ORDER + key))
    # An order may be given for a list in which nothing else changes.
    for key in patch:
        name = key.removeprefix(_SET_ORDER)
        if key.startswith(_SET_ORDER) and name not in patch and kind and name in result:
            result[name] = _merge_value(result[name], [], kind.fields.get(name), order=patch[key])
    return result


def _merge_value(old: Any, value: Any, field: FieldType | None, *, order: Sequence[Any] | None) -> Any:
    if isinstance(value, Mapping):
        return strategic_merge(old, value, object_type(field.ref) if field and field.ref else None)
    if isinstance(value, list) and field and field.merge_key is not None:
        if field.merge_key == "":
            return [*(old or ()), *(member for member in value if member not in (old or ()))]
        member = object_type(field.items.ref) if field.items and field.items.ref else None
        return _merge_keyed(old or [], value, key=field.merge_key, member=member, order=order)
    if isinstance(value, list):
        return [entry for entry in value if entry != {"$patch": "replace"}]
    return value


def _merge_keyed(
    old: list[dict[str, Any]],
    patch: list[dict[str, Any]],
    *,
    key: str,
    member: ObjectType | None,
    order: Sequence[Mapping[str, Any]] | None,
) -> list[dict[str, Any]]:
    """Merge the members of a list by their key; those that the patch names (or orders) stand in the patch's order."""
    if {"$patch": "replace"} in patch:
        return [entry for entry in patch if entry != {"$patch": "replace"}]
    missing = [entry for entry in patch if key not in entry]
    if missing:
        raise BadRequest(f"map: {missing[0]} does not contain declared merge key: {key}")
    merged = {entry.get(key): entry for entry in old}
    position = {name: index for index, name in enumerate(merged)}
    for entry in patch:
        if entry.get("$patch") == "delete":
            merged.pop(entry[key], None)
        else:
            merged[entry[key]] = strategic_merge(merged.get(entry[key]), entry, member)
    named = [entry[key] for entry in (order if order is not None else patch) if entry[key] in merged]
    named += [entry[key] for entry in patch if entry[key] in merged and entry[key] not in named]
    others = [name for name in merged if name not in named]
    return [merged[name] for name in _interleave(named, others, position.get)]


def _interleave(named: list[Any], others: list[Any], position: Callable[[Any], int | None]) -> list[Any]:
    """Put what only the server has between the named members, where it stood before; new members come before it."""
    result: list[Any] = []
    named, others = [*named], [*others]
    while named and others:
        at = position(named[0])
        first = named if at is None or at < (position(others[0]) or 0) else others
        result.append(first.pop(0))
    return result + named + others
