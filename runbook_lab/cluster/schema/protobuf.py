"""Reading what clients send as protobuf, into the same plain objects as JSON gives. Answers are always JSON."""

import base64
import json
import struct
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from runbook_lab.cluster.schema.wire import WireError, signed, wire_fields

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_META = "k8s.io.apimachinery.pkg.apis.meta.v1"

# Numbers and booleans that are no pointers in the Go types. Of all others (`replicas`), zero is a value.
_UNSET_WHEN_ZERO = {
    "failureThreshold",
    "generation",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostPort",
    "initialDelaySeconds",
    "minReadySeconds",
    "nodePort",
    "paused",
    "periodSeconds",
    "publishNotReadyAddresses",
    "readOnly",
    "stdin",
    "stdinOnce",
    "successThreshold",
    "timeoutSeconds",
    "tty",
    "unschedulable",
}

Object = dict[str, Any]


class ProtobufError(ValueError):
    """The body is no object in Kubernetes' protobuf form, or of a kind whose fields are not known here."""


def read_protobuf(body: bytes) -> Object:
    """Read an object with its apiVersion and kind."""
    if not body.startswith(_MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        # runtime.Unknown: 1 holds apiVersion (1) and kind (2), 2 the object itself.
        envelope = dict(wire_fields(body[len(_MAGIC) :]))
        identity = {number: _bytes(value).decode() for number, value in wire_fields(_bytes(envelope.get(1, b"")))}
        api_version, kind = identity.get(1, ""), identity.get(2, "")
        message = _kinds().get(f"{api_version}/{kind}")
        if message is None:
            # The options of a deletion may carry the version of whatever is deleted.
            message = _kinds().get(f"v1/{kind}") if kind == "DeleteOptions" else None
        if message is None:
            raise ProtobufError(f"protobuf of kind {kind} in {api_version} is not read here; send JSON")
        content: Object = _read(_bytes(envelope.get(2, b"")), message)
    except (WireError, UnicodeDecodeError) as error:
        raise ProtobufError(str(error)) from error
    return {"apiVersion": api_version, "kind": kind} | content


@cache
def _document() -> Object:
    content: Object = json.loads(Path(__file__).with_name("messages.json").read_text())
    return content


def _kinds() -> dict[str, str]:
    kinds: dict[str, str] = _document()["kinds"]
    return kinds


def _read(data: bytes, message: str) -> Any:
    special = _SPECIAL.get(message)
    if special:
        return special(data)
    fields, result = _document()["messages"][message], dict[str, Any]()
    for number, raw in wire_fields(data):
        field = fields.get(str(number))
        if field is None:
            raise ProtobufError(f"{message} has no field {number} here; send JSON")
        name, mode = field["name"], field.get("mode")
        if mode == "map":
            entry = _read(_bytes(raw), field["message"])
            result.setdefault(name, {})[entry.get("key", "")] = entry.get("value", "")
            continue
        value = _read(_bytes(raw), field["message"]) if "message" in field else _scalar(raw, field["type"])
        if mode == "inline":
            result.update(value)
        elif mode == "list":
            result.setdefault(name, []).append(value)
        elif _is_set(name, value) or message.endswith("Entry"):
            result[name] = value
    return result


def _is_set(name: str, value: Any) -> bool:
    """Tell whether JSON would carry a field: Go writes empty values to protobuf also where nothing was set."""
    if value in (None, ""):
        return False
    return not (name in _UNSET_WHEN_ZERO and value in (0, False))


def _scalar(raw: int | bytes, kind: str) -> Any:
    if kind == "string":
        return _bytes(raw).decode()
    if kind == "bytes":
        return base64.b64encode(_bytes(raw)).decode()
    number = int(raw) if isinstance(raw, int) else 0
    if kind == "boolean":
        return bool(number)
    return struct.unpack("<d", struct.pack("<Q", number))[0] if kind == "double" else signed(number)


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise WireError("expected a field with a length, found a number")
    return value


# --- types with a JSON form of their own


def _time(data: bytes) -> str | None:
    parts = dict(wire_fields(data))
    seconds = parts.get(1)
    if not isinstance(seconds, int):
        return None
    return datetime.fromtimestamp(signed(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _int_or_string(data: bytes) -> int | str:
    parts = dict(wire_fields(data))
    if parts.get(1):
        return _bytes(parts.get(3, b"")).decode()
    number = parts.get(2, 0)
    return signed(number) if isinstance(number, int) else 0


def _quantity(data: bytes) -> str:
    return _bytes(dict(wire_fields(data)).get(1, b"0")).decode()


def _raw_json(data: bytes) -> Any:
    return json.loads(_bytes(dict(wire_fields(data)).get(1, b"null")))


_SPECIAL = {
    f"{_META}.Time": _time,
    f"{_META}.MicroTime": _time,
    f"{_META}.FieldsV1": _raw_json,
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    "k8s.io.apimachinery.pkg.api.resource.Quantity": _quantity,
    "k8s.io.apimachinery.pkg.runtime.RawExtension": _raw_json,
}
