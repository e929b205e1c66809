"""Write `messages.json`, the protobuf field numbers of what clients send, from the descriptors inside a kubectl binary.

    python -m runbook_lab.cluster.schema.generate_messages PATH_OF_KUBECTL

Needed since kubectl 1.32, whose typed commands (`create configmap`, `auth can-i`) send protobuf and nothing else. Every Go
program with the Kubernetes API types carries their `.proto` files, compiled and compressed.
"""

import json
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runbook_lab.cluster.discovery import SERVED
from runbook_lab.cluster.schema.types import all_types, short_name
from runbook_lab.cluster.schema.wire import wire_fields

_GZIP = re.compile(rb"\x1f\x8b\x08\x00\x00")
_LARGEST_DESCRIPTOR_BYTES = 1 << 20
_SCALARS = {1: "double", 3: "integer", 5: "integer", 8: "boolean", 9: "string", 12: "bytes"}
_MESSAGE, _REPEATED = 11, 3
_META = "k8s.io.apimachinery.pkg.apis.meta.v1"
_PACKAGES = {"": "core", "rbac.authorization.k8s.io": "rbac"}

Messages = dict[str, dict[str, Any]]


def read_descriptors(binary: bytes) -> Iterator[bytes]:
    """Give each compiled `.proto` file of the Kubernetes API in a binary."""
    for match in _GZIP.finditer(binary):
        try:
            content = zlib.decompressobj(31).decompress(binary[match.start() : match.start() + _LARGEST_DESCRIPTOR_BYTES])
        except zlib.error:
            continue
        if b"k8s.io/" in content[:16] and b"generated.proto" in content[:100]:
            yield content


def read_messages(descriptor: bytes) -> Messages:
    """Give the messages of a FileDescriptorProto (its fields 2 and 4 are package and messages)."""
    fields = list(wire_fields(descriptor))
    package = next(_text(value) for number, value in fields if number == 2)
    messages: Messages = {}
    for number, value in fields:
        if number == 4 and isinstance(value, bytes):
            messages |= _message(value, package)
    return messages


def _message(descriptor: bytes, parent: str) -> Messages:
    """Give a DescriptorProto (1 name, 2 fields, 3 nested messages) and what is nested in it."""
    fields = list(wire_fields(descriptor))
    name = f"{parent}.{next(_text(value) for number, value in fields if number == 1)}"
    messages: Messages = {name: dict(_field(value) for number, value in fields if number == 2 and isinstance(value, bytes))}
    for number, value in fields:
        if number == 3 and isinstance(value, bytes):
            messages |= _message(value, name)
    return messages


def _field(descriptor: bytes) -> tuple[str, dict[str, Any]]:
    """Give number and meaning of a FieldDescriptorProto (1 name, 3 number, 4 label, 5 type, 6 type name)."""
    parts = dict(wire_fields(descriptor))
    field: dict[str, Any] = {"name": _text(parts[1])}
    if parts[5] == _MESSAGE:
        field["message"] = _text(parts[6]).removeprefix(".")
    else:
        field["type"] = _SCALARS[int(parts[5])]
    if parts[4] == _REPEATED:
        field["mode"] = "map" if field.get("message", "").endswith("Entry") else "list"
    return str(parts[3]), field


def _text(value: int | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def mark_inlined(messages: Messages) -> None:
    """Mark the fields that JSON does not know: what Go embeds is one level deeper in protobuf."""
    in_json: dict[str, set[str]] = {}
    for kind in all_types():
        in_json.setdefault(short_name(kind.name), set()).update(kind.fields)
    for name, fields in messages.items():
        known = in_json.get(name.rpartition(".")[2])
        for field in fields.values():
            if known and "message" in field and "mode" not in field and field["name"] not in known:
                field["mode"] = "inline"


def main() -> None:
    """Collect what the served kinds, evictions and the options of a deletion are made of."""
    messages: Messages = {}
    for descriptor in read_descriptors(Path(sys.argv[1]).read_bytes()):
        messages |= read_messages(descriptor)
    mark_inlined(messages)
    kinds = {"v1/DeleteOptions": f"{_META}.DeleteOptions", "policy/v1/Eviction": "k8s.io.api.policy.v1.Eviction"}
    for resource in SERVED:
        package = _PACKAGES.get(resource.group, resource.group.partition(".")[0])
        kinds[f"{resource.api_version}/{resource.kind}"] = f"k8s.io.api.{package}.{resource.version}.{resource.kind}"
    kinds = {kind: name for kind, name in kinds.items() if name in messages}
    waiting, kept = set(kinds.values()), {}
    while waiting:
        name = waiting.pop()
        kept[name] = messages[name]
        waiting |= {field["message"] for field in kept[name].values() if "message" in field} - kept.keys()
    content = {"kinds": kinds, "messages": dict(sorted(kept.items()))}
    Path(__file__).with_name("messages.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
