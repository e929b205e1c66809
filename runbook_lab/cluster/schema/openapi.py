"""OpenAPI v3 documents of the served kinds: for `kubectl explain`, `apply`, and whoever asks which options exist."""

import hashlib
import re
from functools import cache
from typing import Any

from runbook_lab.cluster.discovery import SERVED
from runbook_lab.cluster.resources import OTHER_VERSIONS, RESOURCES, Resource
from runbook_lab.cluster.schema.types import FieldType, ObjectType, object_type, type_of

Object = dict[str, Any]
_SIMPLE: dict[str, Object] = {
    "string": {"type": "string"},
    "integer": {"type": "integer", "format": "int32"},
    "number": {"type": "number", "format": "double"},
    "boolean": {"type": "boolean"},
    "time": {"type": "string", "format": "date-time"},
    "quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "any": {"x-kubernetes-int-or-string": True},
}
_WRITE_OPTIONS = ("dryRun", "fieldManager", "fieldValidation")


def openapi_index() -> Object:
    """Give `/openapi/v3`: a document for each served group version."""
    paths = sorted({_path(resource) for resource in SERVED})
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_hash(path)}"} for path in paths}}


@cache
def openapi_document(path: str) -> Object | None:
    """Give the document of a group version, such as `apis/apps/v1`; None where that is not served."""
    resources = [resource for resource in (*RESOURCES, *OTHER_VERSIONS) if _path(resource) == path]
    if not resources and path not in {_path(resource) for resource in SERVED}:
        return None
    schemas: Object = {}
    for resource in resources:
        _collect(type_of(resource), schemas)
        schemas[_schema_name(type_of(resource).name)]["x-kubernetes-group-version-kind"] = [_kind(resource)]
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": {url: operations for resource in resources for url, operations in _paths(resource).items()},
        "components": {"schemas": schemas},
    }


def _path(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def _hash(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:32].upper()


def _kind(resource: Resource) -> Object:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema_name(type_name: str) -> str:
    """Give a dotted name, of which kubectl shows the last part: `V1PodSpec` is `io.k8s.api.v1.PodSpec`."""
    match = re.match(r"^(?P<group>[A-Z][a-z]+)?(?P<version>V\d+)(?P<kind>[A-Z].*)$", type_name)
    if not match:
        return f"io.k8s.api.{type_name}"
    group = f"{match['group'].lower()}." if match["group"] else ""
    return f"io.k8s.api.{group}{match['version'].lower()}.{match['kind']}"


def _collect(kind: ObjectType, schemas: Object) -> None:
    """Add a type, and all that it mentions."""
    name = _schema_name(kind.name)
    if name in schemas:
        return
    required = [key for key, field in kind.fields.items() if field.required]
    schemas[name] = {"type": "object", "description": kind.description} | ({"required": required} if required else {})
    schemas[name]["properties"] = {key: _schema(field, schemas) for key, field in kind.fields.items()}


def _schema(field: FieldType, schemas: Object) -> Object:
    described = {"description": field.description} if field.description else {}
    if field.ref:
        _collect(object_type(field.ref), schemas)
        return {**described, "allOf": [{"$ref": f"#/components/schemas/{_schema_name(field.ref)}"}], "default": {}}
    if field.items:
        merge: Object = {}
        if field.merge_key is not None:
            merge = {"x-kubernetes-patch-strategy": "merge"} | (
                {"x-kubernetes-patch-merge-key": field.merge_key} if field.merge_key else {}
            )
        return {**described, "type": "array", "items": _schema(field.items, schemas), **merge}
    if field.values:
        return {**described, "type": "object", "additionalProperties": _schema(field.values, schemas)}
    return {**described, **_SIMPLE[field.simple or "any"]}


def _paths(resource: Resource) -> Object:
    """Give the writing operations of a resource: kubectl looks there whether the server validates fields."""
    prefix = f"/{_path(resource)}" + ("/namespaces/{namespace}" if resource.namespaced else "")
    options = [{"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for name in _WRITE_OPTIONS]
    operation = {
        "parameters": options,
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-group-version-kind": _kind(resource),
    }
    return {
        f"{prefix}/{resource.plural}": {"post": {**operation, "x-kubernetes-action": "post"}},
        f"{prefix}/{resource.plural}/{{name}}": {
            "put": {**operation, "x-kubernetes-action": "put"},
            "patch": {**operation, "x-kubernetes-action": "patch"},
        },
    }
