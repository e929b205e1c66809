"""The fields of every served kind, read from `types.json` at first use."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from runbook_lab.cluster.resources import Resource


@dataclass(frozen=True)
class FieldType:
    """The type of a field: exactly one of `simple`, `ref` (another type), `items` (of a list) and `values` (of a map).

    `simple` is `string`, `integer`, `number`, `boolean`, `time`, `quantity` or `any`. `merge_key` is how a strategic merge patch
    treats the list: by that field of its members, `""` as a set, None as a whole.
    """

    simple: str | None = None
    ref: str | None = None
    items: "FieldType | None" = None
    values: "FieldType | None" = None
    description: str = ""
    required: bool = False
    merge_key: str | None = None


@dataclass(frozen=True)
class ObjectType:
    """A type with fields."""

    name: str
    description: str
    fields: Mapping[str, FieldType]


@cache
def short_name(name: str) -> str:
    """Strip the version from a type's name: `V1PodSpec` is `PodSpec`."""
    return re.sub(r"^[A-Za-z]*?V\d+(?:(?:alpha|beta)\d+)?(?=[A-Z])", "", name)


@cache
def _document() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(__file__).with_name("types.json").read_text())
    return content


@cache
def object_type(name: str) -> ObjectType:
    """Give a type by its name, such as `V1PodSpec`."""
    described = _document()["types"][name]
    return ObjectType(name, described["description"], {key: _field(field) for key, field in described["fields"].items()})


def type_of(resource: Resource) -> ObjectType:
    """Give the type of a resource's objects."""
    return object_type(_document()["kinds"][f"{resource.api_version}/{resource.kind}"])


def all_types() -> list[ObjectType]:
    """Give every type, by name."""
    return [object_type(name) for name in _document()["types"]]


def _field(described: Mapping[str, Any]) -> FieldType:
    return FieldType(
        simple=described.get("type"),
        ref=described.get("ref"),
        items=_field(described["list"]) if "list" in described else None,
        values=_field(described["map"]) if "map" in described else None,
        description=described.get("description", ""),
        required=described.get("required", False),
        merge_key=described.get("merge"),
    )
