"""What differs between two pod templates, path by path, without the value of any secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runbook_lib.service.secret_names import OPTION, names_secret
from runbook_lib.service.secrets import holds_secret

__all__ = ["DIFF_COLUMNS", "difference", "hidden_value"]

DIFF_COLUMNS = {"path": "text", "old": "any", "new": "any", "kind": "text"}

HIDDEN = "(hidden)"
_OPTION = re.compile(rf"(?<![\w\-])(?P<name>{OPTION})(?P<sep>[= ]|\",\s*\")(?!-)(?P<value>[^\s\"]+)", re.IGNORECASE)
# By what a list's elements are the same element in another revision, in this order; ports and mounts have no name of their own.
_IDENTITIES = ("name", "mountPath", "devicePath", "containerPort", "key", "ip", "topologyKey")
_GENERATED_LABEL = "pod-template-hash"
_KINDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\.image(PullPolicy)?$"), "image"),
    (re.compile(r"\.env(From)?(\[|$)"), "env"),
    (re.compile(r"\.resources(\.|$)"), "resources"),
    (re.compile(r"\.(liveness|readiness|startup)Probe(\.|$)"), "probe"),
    (re.compile(r"\.(command|args|workingDir)$"), "command"),
    (re.compile(r"(^volumes|\.volumeMounts|\.volumeDevices)(\[|\.|$)"), "volume"),
    (re.compile(r"^annotations\["), "annotation"),
    (re.compile(r"^labels\["), "label"),
)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, str | None, str | None, str]]:
    """Rows of DIFF_COLUMNS, sorted by path: what differs between two pod templates; None where one has no such path.

    The label that Kubernetes makes for each revision is left out. A value that looks like a secret is hidden; that it changed
    is still told.
    """
    before, after = dict(_flat_template(old)), dict(_flat_template(new))
    rows = []
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path), after.get(path)
        if was != now:
            rows.append((path, *_shown(path, was, now), _kind(path)))
    return rows


def _flat_template(template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    metadata = template.get("metadata") or {}
    for kind in ("annotations", "labels"):
        for key, value in (metadata.get(kind) or {}).items():
            if key != _GENERATED_LABEL:
                yield f"{kind}[{key}]", str(value)
    yield from _flat("", template.get("spec") or {})


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Paths and texts of all leaves. A list whose elements have an identity is a mapping by it; any other is one value."""
    if isinstance(value, Mapping) and value:
        reference = _reference(path, value)
        if reference is not None:
            yield path, reference
            return
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list) and path.endswith(".envFrom"):
        # in this order: of two sources with the same key the later one wins
        yield path, ", ".join(_source(one) for one in value)
    elif isinstance(value, list) and (identity := _identity(value)):
        for inner in value:
            rest = {key: element for key, element in inner.items() if key != identity}
            yield from _flat(f"{path}[{inner[identity]}]", rest or {"present": True})
    elif value != []:  # an empty list is the same as none
        yield path, value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _reference(path: str, value: Mapping[str, Any]) -> str | None:
    """An environment variable as one value: its text, or where that comes from."""
    if not re.search(r"\.env\[[^\]]*\]$", path):
        return None
    source = value.get("valueFrom")
    if source is None:
        return str(value.get("value", ""))
    kind: str = next(iter(source), "")
    where: Mapping[str, Any] = source.get(kind) or {}
    words = {"configMapKeyRef": "config map", "secretKeyRef": "secret", "fieldRef": "field", "resourceFieldRef": "resource"}
    named = where.get("name") or where.get("fieldPath") or where.get("resource") or ""
    key = f", key {where['key']}" if where.get("key") else ""
    return f"(from {words.get(kind, kind)} {named}{key})"


def _source(source: Mapping[str, Any]) -> str:
    for kind in ("configMap", "secret"):
        if reference := source.get(f"{kind}Ref"):
            prefix = f" with prefix {source['prefix']}" if source.get("prefix") else ""
            return f"{kind.lower()}/{reference.get('name')}{prefix}"
    return json.dumps(source, sort_keys=True)


def _identity(values: list[Any]) -> str | None:
    """The key by which all elements of a list are told apart, None when they have none."""
    if not values or not all(isinstance(value, Mapping) for value in values):
        return None
    for key in _IDENTITIES:
        names = [value.get(key) for value in values]
        if None not in names and len(set(map(str, names))) == len(names):
            return key
    return None


def _kind(path: str) -> str:
    return next((kind for pattern, kind in _KINDS if pattern.search(path)), "other")


def _shown(path: str, old: str | None, new: str | None) -> tuple[str | None, str | None]:
    shown = _masked(path, old), _masked(path, new)
    if shown[0] is not None and shown[0] == shown[1]:  # the difference is in what is hidden
        return shown[0], f"{shown[1]} (changed)"
    return shown


def _masked(path: str, value: str | None) -> str | None:
    if value is None or value.startswith("(from "):
        return value
    name = path.rpartition("[")[2].rstrip("]") if path.endswith("]") else path.rpartition(".")[2]
    if _kind(path) == "command":
        value = _OPTION.sub(rf"\g<name>\g<sep>{HIDDEN}", value)
    return hidden_value(name, value)


def hidden_value(name: str, value: str) -> str:
    """The value of a setting, hidden when its name or its shape says that it is a secret."""
    return HIDDEN if names_secret(name, value) or holds_secret(value) else value
