"""The environment of a container's process, from all the places a manifest takes it from."""

from __future__ import annotations

import base64
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lab.cluster.image import Image
from runbook_lab.cluster.metadata import Object
from runbook_lab.cluster.quantity import parse_quantity
from runbook_lab.cluster.store import NotFound, Store

# All that a container sees of the supervisor's own environment: how to find programs and libraries, not its secrets.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "USER", "LOGNAME")
_REFERENCE = re.compile(r"\$(?:\$|\(([A-Za-z_][\w.-]*)\))")
_LABEL_PATH = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class ConfigError(Exception):
    """The container cannot be made as the manifest asks; `reason` is what the container's waiting state shows."""

    reason = "CreateContainerConfigError"


class Environment:
    """Resolves a container's variables against the config maps, secrets and services that exist when it starts."""

    def __init__(self, store: Store, pod: Object, container: Object) -> None:
        self._store = store
        self._pod = pod
        self._namespace = pod["metadata"]["namespace"]
        self._container = container

    def resolve(self, image: Image, base: Mapping[str, str]) -> dict[str, str]:
        """Give all variables: the node's own (`base`), services, the image's, `envFrom`, last `env`. Raises ConfigError."""
        variables = {name: os.environ[name] for name in _INHERITED if name in os.environ} | dict(base)
        if self._pod["spec"].get("enableServiceLinks", True):
            variables |= service_links(self._store.list("services", namespace=self._namespace))
        variables |= image.env
        if image.tools_path:
            variables["PATH"] = os.pathsep.join((*image.tools_path, variables.get("PATH", os.defpath)))
        for source in self._container.get("envFrom") or ():
            variables |= self._all_of(source)
        for entry in self._container.get("env") or ():
            value = self._value_of(entry["valueFrom"]) if entry.get("valueFrom") else expand(entry.get("value") or "", variables)
            if value is not None:
                variables[entry["name"]] = value
        return variables

    def _all_of(self, source: Object) -> dict[str, str]:
        prefix = source.get("prefix") or ""
        for field, read in (("configMapRef", self._config_map), ("secretRef", self._secret)):
            if reference := source.get(field):
                data = read(reference["name"], optional=reference.get("optional", False))
                return {prefix + key: value for key, value in (data or {}).items()}
        return {}

    def _value_of(self, source: Object) -> str | None:
        if reference := source.get("configMapKeyRef"):
            return self._key_of("ConfigMap", reference, self._config_map)
        if reference := source.get("secretKeyRef"):
            return self._key_of("Secret", reference, self._secret)
        if reference := source.get("fieldRef"):
            return self._field(reference["fieldPath"])
        if reference := source.get("resourceFieldRef"):
            return self._resource(reference)
        raise ConfigError("expected valueFrom to be a configMapKeyRef, secretKeyRef, fieldRef or resourceFieldRef")

    def _key_of(self, kind: str, reference: Object, read: Any) -> str | None:
        optional = reference.get("optional", False)
        data = read(reference["name"], optional=optional)
        if data is not None and reference["key"] in data:
            return str(data[reference["key"]])
        if optional:
            return None
        raise ConfigError(f"couldn't find key {reference['key']} in {kind} {self._namespace}/{reference['name']}")

    def _config_map(self, name: str, *, optional: bool) -> dict[str, str] | None:
        found = self._find("configmaps", "configmap", name, optional)
        return found and (found.get("data") or {})

    def _secret(self, name: str, *, optional: bool) -> dict[str, str] | None:
        found = self._find("secrets", "secret", name, optional)
        if found is None:
            return None
        return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}

    def _find(self, plural: str, word: str, name: str, optional: bool) -> Object | None:
        try:
            return self._store.get(plural, name, namespace=self._namespace)
        except NotFound:
            if optional:
                return None
            raise ConfigError(f'{word} "{name}" not found') from None

    def _field(self, path: str) -> str:
        if match := _LABEL_PATH.fullmatch(path):
            return str((self._pod["metadata"].get(match[1]) or {}).get(match[2], ""))
        section, _, name = path.partition(".")
        value = (self._pod.get(section) or {}).get("podIP" if name == "podIPs" else name)
        return "" if value is None else str(value)

    def _resource(self, reference: Object) -> str:
        section, _, name = reference["resource"].partition(".")
        amount = ((self._container.get("resources") or {}).get(section) or {}).get(name)
        divisor = parse_quantity(reference.get("divisor") or "1") or 1
        return str(math.ceil(parse_quantity(amount) / divisor)) if amount is not None else "0"


def service_links(services: Sequence[Object]) -> dict[str, str]:
    """Give the variables by which containers find services, such as `PAYMENTS_SERVICE_HOST` and `PAYMENTS_SERVICE_PORT`."""
    variables = {}
    for service in services:
        ip, ports = service["spec"].get("clusterIP"), service["spec"].get("ports") or []
        if not ip or ip == "None" or not ports:
            continue
        name = service["metadata"]["name"].upper().replace("-", "_")
        variables[f"{name}_SERVICE_HOST"] = ip
        variables[f"{name}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                variables[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    return variables


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)` in commands, arguments and values: `$$` is a dollar, an unknown name stays as it is."""

    def replace(match: re.Match[str]) -> str:
        return "$" if match[1] is None else variables.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)
