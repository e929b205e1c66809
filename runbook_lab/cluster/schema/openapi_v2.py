"""The part of the OpenAPI v2 document that kubectl 1.28 reads before it writes: which operations validate fields.

It asks for protobuf only (gnostic's `openapi.v2.Document`), and has the types of the API built in; types are told as OpenAPI v3.
"""

import json
from functools import cache

from runbook_lab.cluster.resources import OTHER_VERSIONS, RESOURCES, Resource

CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_WRITE_OPTIONS = ("dryRun", "fieldManager", "fieldValidation")


@cache
def openapi_v2_document() -> bytes:
    """Give the document: swagger (1), info (2) and paths (8), each path (2) a named item."""
    info = _text(1, "Kubernetes") + _text(2, "unversioned")
    paths = b"".join(_part(2, _path_item(resource)) for resource in (*RESOURCES, *OTHER_VERSIONS))
    return _text(1, "2.0") + _part(2, info) + _part(8, paths)


def _path_item(resource: Resource) -> bytes:
    """Give a path with its patch operation (8), whose parameters are field 8 and extensions field 13."""
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    path = f"{root}{'/namespaces/{namespace}' if resource.namespaced else ''}/{resource.plural}/{{name}}"
    parameters = b"".join(_part(8, _query_parameter(name)) for name in _WRITE_OPTIONS)
    kind = {"group": resource.group, "kind": resource.kind, "version": resource.version}
    extension = _text(1, "x-kubernetes-group-version-kind") + _part(2, _text(2, json.dumps(kind)))
    responses = _part(9, b"")
    return _text(1, path) + _part(2, _part(8, parameters + responses + _part(13, extension)))


def _query_parameter(name: str) -> bytes:
    """Give a parameter of the query: a ParametersItem, in it a Parameter (1), a NonBodyParameter (2), a query parameter (3)."""
    schema = _text(2, "query") + _text(4, name) + _text(6, "string")
    return _part(1, _part(2, _part(3, schema)))


def _text(number: int, value: str) -> bytes:
    return _part(number, value.encode())


def _part(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
