"""Pod templates: as a person reads them in a plan, whether two are the same program, and what they need to start."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from runbook_lib.actions.cluster import CONFIG_MAPS, SECRETS, Operator, Resource
from runbook_lib.errors import SourceError
from runbook_lib.service.secret_names import OPTION, names_secret, option_value_follows
from runbook_lib.service.secrets import holds_secret

__all__ = [
    "RESTARTED_AT",
    "config_maps_of",
    "missing_references",
    "same_program",
    "shown_value",
    "template_text",
    "without_hash",
]

Template = Mapping[str, Any]

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation that `kubectl rollout restart` sets, and that changes nothing but the pods' age."""

_HASH = "pod-template-hash"
_HIDDEN = "(hidden)"
_OPTION = re.compile(rf"(?<![\w\-])({OPTION}[= ])(?!-)(?:\"[^\"]*\"|'[^']*'|[^\s\"']+)", re.IGNORECASE)


def without_hash(template: Template) -> dict[str, Any]:
    """The template without the label that the controller adds for each revision."""
    clean = copy.deepcopy(dict(template))
    (clean.get("metadata", {}).get("labels") or {}).pop(_HASH, None)
    return clean


def same_program(one: Template, other: Template) -> bool:
    """Whether pods of both would run alike: equal but for marks of restarts."""
    return _bare(one) == _bare(other)


def shown_value(name: str, value: str | None) -> str:
    """A setting as a plan shows it: hidden when its name or its shape says that it is a secret."""
    if value is None:
        return "(not set)"
    return _HIDDEN if names_secret(name, value) or holds_secret(value) else value


def template_text(template: Template, *, against: Template | None = None) -> str:
    """The template as YAML without the value of any secret; a hidden value that differs from that in `against` says so."""
    import yaml

    other = {} if against is None else dict(_literals(against))
    clean = without_hash(template)
    for container, setting in _settings(clean):
        name, value = str(setting.get("name")), setting["value"]
        shown = shown_value(name, value)
        differs = against is not None and shown != value and other.get((container, name)) != value
        setting["value"] = f"{shown} (differs)" if differs else shown
    others = {} if against is None else dict(_commands(against))
    for place, elements in _commands(clean):
        elements[:] = _without_option_values(elements, others.get(place, []) if against is not None else elements)
    return _masked_lines(yaml.safe_dump(clean, sort_keys=True, width=120))


def config_maps_of(template: Template) -> set[str]:
    """The config maps that the template reads, optional ones included."""
    return {name for resource, name, _ in _references(template) if resource is CONFIG_MAPS}


def missing_references(operator: Operator, template: Template) -> tuple[list[str], list[str]]:
    """What the template cannot start without and is not there; and what could not be looked at, as warnings."""
    missing, unknown = [], []
    needed = {(resource.kind, name): resource for resource, name, optional in _references(template) if not optional}
    for (kind, name), resource in sorted(needed.items()):
        try:
            if not operator.exists(resource, name):
                missing.append(f"{kind}/{name}")
        except SourceError as error:
            unknown.append(
                f"whether {kind}/{name}, which the template needs, is still there could not be checked: {error.reason}"
            )
    return missing, unknown


def _references(template: Template) -> Iterator[tuple[Resource, str, bool]]:
    """The config maps and secrets that the template names: resource, name, whether it is optional."""
    spec = template.get("spec") or {}
    for container in _containers(spec):
        for source in container.get("envFrom") or ():
            yield from _named(source, "configMapRef", "secretRef")
        for setting in container.get("env") or ():
            yield from _named(setting.get("valueFrom") or {}, "configMapKeyRef", "secretKeyRef")
    for volume in spec.get("volumes") or ():
        for part in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            yield from _named(part, "configMap", "secret")


def _named(source: Mapping[str, Any], config_map: str, secret: str) -> Iterator[tuple[Resource, str, bool]]:
    for key, resource in ((config_map, CONFIG_MAPS), (secret, SECRETS)):
        reference = source.get(key)
        if reference:
            yield resource, str(reference.get("name") or reference.get("secretName")), bool(reference.get("optional"))


def _containers(spec: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _settings(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Environment variables that stand in the template with their value, each with its container's name."""
    for container in _containers(template.get("spec") or {}):
        for setting in container.get("env") or ():
            if "value" in setting:
                yield str(container.get("name")), setting


def _literals(template: Template) -> Iterator[tuple[tuple[str, str], str]]:
    for container, setting in _settings(template):
        yield (container, str(setting.get("name"))), str(setting["value"])


def _commands(template: Template) -> Iterator[tuple[tuple[str, str], list[str]]]:
    """The command and the arguments of each container, by its name and which of both."""
    for container in _containers(template.get("spec") or {}):
        for part in ("command", "args"):
            if container.get(part):
                yield (str(container.get("name")), part), container[part]


def _without_option_values(elements: Sequence[str], other: Sequence[str]) -> list[str]:
    """The elements of a command without what follows `--password` and the like; what `other` does not hold says so."""
    shown = []
    for before, element in pairwise(["", *map(str, elements)]):
        follows = option_value_follows(before) and not element.startswith("-")
        hidden = _HIDDEN if follows else _OPTION.sub(rf"\1{_HIDDEN}", element)
        shown.append(f"{hidden} (differs)" if hidden != element and element not in other else hidden)
    return shown


def _masked_lines(text: str) -> str:
    """Hide what has a secret's shape in commands, arguments and annotations."""
    return "\n".join(
        f"{line[: len(line) - len(line.lstrip())]}{_HIDDEN}" if holds_secret(line) else line for line in text.splitlines()
    )


def _bare(template: Template) -> dict[str, Any]:
    clean = without_hash(template)
    metadata = clean.get("metadata") or {}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != RESTARTED_AT}
    labels = metadata.get("labels") or {}
    return {"annotations": annotations, "labels": labels, "spec": clean.get("spec")}
