"""Write `types.json`, the fields of every served kind, from the models of the official Python client.

    python -m runbook_lab.cluster.schema.generate

The file is kept in the tree, so that the lab starts without importing the client (half a second), and reads the same with
any version of it. The client's models know types, required fields and descriptions; what they do not know - how strategic
merge patches treat a list - stands in `merge_keys.py`.
"""

import json
import re
from pathlib import Path
from typing import Any

from kubernetes import client

from runbook_lab.cluster.resources import OTHER_VERSIONS, RESOURCES
from runbook_lab.cluster.schema.merge_keys import MERGE_KEYS
from runbook_lab.cluster.schema.types import short_name

# Amounts may be written as numbers, too (`cpu: 1`); the client calls them strings.
_QUANTITIES = {
    "allocatable",
    "allocatedResources",
    "averageValue",
    "capacity",
    "default",
    "defaultRequest",
    "divisor",
    "hard",
    "limits",
    "max",
    "maxLimitRequestRatio",
    "min",
    "overhead",
    "requests",
    "sizeLimit",
    "used",
}
_SIMPLE = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "datetime": "time",
    "object": "any",
    "bytes": "string",
}


def model_name(kind: str, group: str, version: str) -> str:
    """Give the client's class of a kind: `V1Pod`, but `CoreV1Event` where two groups have one."""
    plain = f"{version.capitalize()}{kind}"
    return plain if hasattr(client, plain) else f"{group.split('.')[0].capitalize() or 'Core'}{plain}"


def field_type(declared: str, name: str) -> dict[str, Any]:
    """Translate the client's type of a field: `{"type": …}`, `{"ref": …}`, `{"list": …}` or `{"map": …}`."""
    if match := re.fullmatch(r"[Ll]ist\[(.+)\]", declared):
        return {"list": field_type(match[1], name)}
    if match := re.fullmatch(r"[Dd]ict[\[(]str, (.+)[\])]", declared):
        return {"map": field_type(match[1], name)}
    if declared in _SIMPLE:
        return {"type": "quantity" if declared == "str" and name in _QUANTITIES else _SIMPLE[declared]}
    return {"ref": declared}


def describe_type(name: str) -> dict[str, Any]:
    """Give a type's description, fields and required fields."""
    model = getattr(client, name)
    # A name that means something to Python is kept under its alias.
    by_alias = {info.alias or name: info for name, info in model.model_fields.items()}
    fields = {}
    for attribute, json_name in sorted(model.attribute_map.items(), key=lambda item: item[1]):
        info = by_alias[attribute]
        field: dict[str, Any] = field_type(model.openapi_types[attribute], json_name)
        field["description"] = info.description or ""
        if info.is_required():
            field["required"] = True
        if (merge_key := MERGE_KEYS.get((short_name(name), json_name))) is not None:
            field["merge"] = merge_key
        fields[json_name] = field
    return {"description": (model.__doc__ or "").split("Attributes:")[0].strip(), "fields": fields}


def references(described: dict[str, Any]) -> set[str]:
    """Give the types that a type's fields mention."""

    def inside(field: dict[str, Any]) -> set[str]:
        if "ref" in field:
            return {field["ref"]}
        return inside(field.get("list") or field["map"]) if "list" in field or "map" in field else set()

    return set().union(*(inside(field) for field in described["fields"].values()))


def main() -> None:
    """Collect the types of all served kinds, and those that they mention."""
    kinds = {
        f"{resource.api_version}/{resource.kind}": model_name(resource.kind, resource.group, resource.version)
        for resource in (*RESOURCES, *OTHER_VERSIONS)
    }
    waiting, types = set(kinds.values()), {}
    while waiting:
        name = waiting.pop()
        types[name] = describe_type(name)
        waiting |= references(types[name]) - types.keys()
    path = Path(__file__).with_name("types.json")
    path.write_text(json.dumps({"kinds": kinds, "types": dict(sorted(types.items()))}, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
