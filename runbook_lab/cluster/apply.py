"""Server-side apply: a configuration is merged into an object by whoever manages its fields, and refused where others do.

What the configuration says is set and managed by its manager from then on; what it said before and says no more is removed,
unless somebody else manages it; all else stays as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lab.cluster import managed_fields
from runbook_lab.cluster.errors import ApplyConflict, BadRequest, Cause, TypedPatchError
from runbook_lab.cluster.field_set import FieldError, FieldSet, either, members_by_key, paths
from runbook_lab.cluster.resources import Resource
from runbook_lab.cluster.schema.topology import is_atomic, list_keys
from runbook_lab.cluster.schema.types import FieldType, ObjectType, object_type, type_of

Object = dict[str, Any]


def apply_configuration(
    resource: Resource, live: Object | None, config: Object, *, manager: str, subresource: str | None, force: bool, now: str
) -> tuple[Object, list[Object]]:
    """Give the object with the configuration applied, and its managedFields. `live` stays as it is (None: there is none yet).

    Raises ApplyConflict (409) where that would change what others manage, unless `force` takes it from them, and TypedPatchError
    where the members of a list cannot be told apart.
    """
    if "managedFields" in (config.get("metadata") or {}):
        raise BadRequest("metadata.managedFields must be nil")
    kind, old = type_of(resource), live or {}
    try:
        owned = managed_fields.owned_fields(resource, config)
    except FieldError as error:
        raise TypedPatchError.of(resource, config, str(error)) from error
    entries = old.get("metadata", {}).get("managedFields") or ()
    previous = managed_fields.applied(entries, manager, subresource)
    new = _merge_object(old, config, kind)
    if previous:
        kept = owned
        for entry in entries:
            if entry is not previous:
                kept = either(kept, entry["fieldsV1"])
        new = _prune_object(new, previous["fieldsV1"], kept, kind)
    managed, conflicts = managed_fields.take_over(resource, old, new, owned, manager=manager, subresource=subresource, now=now)
    if conflicts and not force:
        raise _conflict(conflicts)
    return new, managed


def _conflict(conflicts: Sequence[tuple[Object, FieldSet]]) -> ApplyConflict:
    """Say who manages which of the fields, in the words by which kubectl knows this refusal."""
    by_manager = sorted((_described(entry), list(paths(taken))) for entry, taken in conflicts)
    causes = [
        Cause(path, "FieldManagerConflict", f"conflict with {manager}") for manager, fields in by_manager for path in fields
    ]
    if len(causes) == 1:
        return ApplyConflict(f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}", causes=causes)
    lines = [line for manager, fields in by_manager for line in (f"conflicts with {manager}:", *(f"- {path}" for path in fields))]
    return ApplyConflict(f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines), causes=causes)


def _described(entry: Object) -> str:
    text = f'"{entry["manager"]}"'
    if entry.get("subresource"):
        text += f' with subresource "{entry["subresource"]}"'
    return text if entry["operation"] == "Apply" else f"{text} using {entry['apiVersion']}"


# --- what the configuration says


def _merge_object(live: Any, config: Mapping[str, Any], kind: ObjectType) -> Object:
    result = dict(live) if isinstance(live, Mapping) else {}
    for name, value in config.items():
        result[name] = _merge_field(result.get(name), value, kind.name, name, kind.fields.get(name))
    return result


def _merge_field(live: Any, value: Any, owner: str, name: str, field: FieldType | None) -> Any:
    if field is None or is_atomic(owner, name, field):
        return value
    if isinstance(value, Mapping) and field.ref:
        return _merge_object(live, value, object_type(field.ref))
    if isinstance(value, Mapping):
        return {**(live if isinstance(live, Mapping) else {}), **value}
    if isinstance(value, list):
        return _merge_list(live or [], value, list_keys(owner, name, field) or (), field)
    return value


def _merge_list(live: list[Any], config: list[Any], keys: tuple[str, ...], field: FieldType) -> list[Any]:
    kind = object_type(field.items.ref) if field.items and field.items.ref else None
    merged, wanted = members_by_key(live, keys), members_by_key(config, keys)
    order = _order([*merged], [*wanted])
    for key, member in wanted.items():
        merged[key] = _merge_object(merged.get(key), member, kind) if kind else member
    return [merged[key] for key in order]


def _order(live: list[str], wanted: list[str]) -> list[str]:
    """Put the members that only the server has where they stood, before what is new; the others in the configuration's order."""
    result: list[str] = []
    waiting = [*wanted]
    for key in live:
        if key not in wanted:
            result.append(key)
        elif key in waiting:
            # All that the configuration has before it comes before it here, too.
            place = waiting.index(key) + 1
            result += waiting[:place]
            waiting = waiting[place:]
    return result + waiting


# --- what it said before, and says no more


def _prune_object(obj: Object, last: FieldSet, kept: FieldSet, kind: ObjectType) -> Object:
    """Remove the fields of `last` that nobody keeps; a field of which nothing is kept goes with all that is in it."""
    result = {}
    for name, value in obj.items():
        key = f"f:{name}"
        if key not in last:
            result[name] = value
        elif key in kept:
            result[name] = _prune_field(value, last[key], kept[key], kind.name, name, kind.fields.get(name))
    return result


def _prune_field(value: Any, last: FieldSet, kept: FieldSet, owner: str, name: str, field: FieldType | None) -> Any:
    if field is None or not last or is_atomic(owner, name, field):
        return value
    if isinstance(value, Mapping) and field.ref:
        return _prune_object(dict(value), last, kept, object_type(field.ref))
    if isinstance(value, Mapping):
        return {key: inner for key, inner in value.items() if f"f:{key}" not in last or f"f:{key}" in kept}
    if isinstance(value, list):
        kind = object_type(field.items.ref) if field.items and field.items.ref else None
        result = []
        for key, member in members_by_key(value, list_keys(owner, name, field) or ()).items():
            if key not in last:
                result.append(member)
            elif key in kept:
                result.append(_prune_object(member, last[key], kept[key], kind) if kind else member)
        return result
    return value
