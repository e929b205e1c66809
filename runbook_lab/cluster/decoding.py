"""Reading an object as the API's types have it: wrong types are refused, unknown fields are reported and dropped."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runbook_lab.cluster.errors import BadRequest
from runbook_lab.cluster.resources import Resource
from runbook_lab.cluster.schema.types import FieldType, ObjectType, object_type, short_name, type_of

_GO_TYPES = {"string": "string", "integer": "int32", "number": "float64", "boolean": "bool", "time": "v1.Time"}


class DecodeError(BadRequest):
    """400: a value that its field cannot hold, or (when strict) an unknown field; `why` is the message without the kind."""

    def __init__(self, preamble: str, why: str) -> None:
        super().__init__(f"{preamble}: {why}")
        self.why = why


@dataclass
class Decoded:
    """An object with only known fields, and the paths of those that are not (`spec.replica`)."""

    object: dict[str, Any]
    unknown_fields: list[str] = field(default_factory=list)

    @property
    def unknown(self) -> list[str]:
        """What was found unknown, in the words of warnings."""
        return [f'unknown field "{path}"' for path in self.unknown_fields]


def decode(resource: Resource, obj: Mapping[str, Any], *, field_validation: str = "Warn") -> Decoded:
    """Read an object of a resource.

    BadRequest for a value of the wrong type, for another kind than the resource's and, with `Strict`, for any unknown field.
    With `Warn` the caller passes `unknown` on as warnings, with `Ignore` it is empty.
    """
    if field_validation not in ("Strict", "Warn", "Ignore"):
        raise BadRequest(
            f'fieldValidation: Unsupported value: "{field_validation}": supported values: "Ignore", "Strict", "Warn"'
        )
    _check_identity(resource, obj)
    decoder = _Decoder(resource)
    kind = type_of(resource)
    decoded = decoder.object({key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}, kind, "")
    identity = {"apiVersion": resource.api_version, "kind": resource.kind}
    result = Decoded(identity | decoded, [] if field_validation == "Ignore" else decoder.unknown)
    if result.unknown and field_validation == "Strict":
        raise DecodeError(decoder.preamble, f"strict decoding error: {', '.join(result.unknown)}")
    return result


def _check_identity(resource: Resource, obj: Any) -> None:
    if not isinstance(obj, Mapping):
        raise BadRequest(f"couldn't get version/kind; json parse error: cannot unmarshal {_json_name(obj)} into an object")
    given = (obj.get("apiVersion", resource.api_version), obj.get("kind", resource.kind))
    if given != (resource.api_version, resource.kind):
        raise BadRequest(
            f"the API version in the data ({given[0]}, kind {given[1]}) does not match the expected API version "
            f"({resource.api_version}, kind {resource.kind})"
        )


class _Decoder:
    def __init__(self, resource: Resource) -> None:
        self.preamble = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
        self.unknown: list[str] = []

    def object(self, value: Mapping[str, Any], kind: ObjectType, path: str) -> dict[str, Any]:
        result = {}
        for key, inner in value.items():
            at = f"{path}.{key}" if path else key
            declared = kind.fields.get(key)
            if declared is None:
                self.unknown.append(at)
            elif inner is not None or key == "creationTimestamp":
                # null means "not set", but the API's own writers send `creationTimestamp: null`, and hashes are made of it.
                result[key] = inner if inner is None else self.value(inner, declared, kind.name, at)
        return result

    def value(self, value: Any, declared: FieldType, owner: str, path: str) -> Any:
        if declared.ref:
            if not isinstance(value, Mapping):
                raise self.mismatch(value, owner, path, declared.ref)
            return self.object(value, object_type(declared.ref), path)
        if declared.items:
            if not isinstance(value, list):
                raise self.mismatch(value, owner, path, "[]" + (declared.items.ref or "string"))
            return [self.value(entry, declared.items, owner, f"{path}[{index}]") for index, entry in enumerate(value)]
        if declared.values:
            if not isinstance(value, Mapping):
                raise self.mismatch(value, owner, path, "map[string]string")
            return {key: None if v is None else self.value(v, declared.values, owner, path) for key, v in value.items()}
        if not _fits(value, declared.simple or "any"):
            raise self.mismatch(value, owner, path, _GO_TYPES.get(declared.simple or "", "resource.Quantity"))
        return str(value) if declared.simple == "quantity" else value

    def mismatch(self, value: Any, owner: str, path: str, expected: str) -> DecodeError:
        where = f"{short_name(owner)}.{path} of type {expected}"
        return DecodeError(self.preamble, f"json: cannot unmarshal {_json_name(value)} into Go struct field {where}")


def _fits(value: Any, simple: str) -> bool:
    if simple in ("string", "time"):
        return isinstance(value, str)
    if simple == "boolean":
        return isinstance(value, bool)
    if simple == "any":
        return True
    if isinstance(value, bool):
        return False
    if simple == "integer":
        return isinstance(value, int)
    return isinstance(value, int | float) or (simple == "quantity" and isinstance(value, str))


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object" if isinstance(value, dict) else "null"
