"""What a pod's spec must be, alone or in the template of a workload, and what of it an update may change."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runbook_lab.cluster.errors import Cause
from runbook_lab.cluster.quantity import parse_quantity
from runbook_lab.cluster.violations import duplicate, invalid, required, unsupported

Object = dict[str, Any]

_DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
_ENV_NAME = re.compile(r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "grpc", "httpGet", "tcpSocket")


def pod_spec_causes(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """Find what is wrong with a pod's spec."""
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    if spec.get("restartPolicy") not in ("Always", "OnFailure", "Never"):
        yield unsupported(f"{path}.restartPolicy", spec.get("restartPolicy"), ["Always", "OnFailure", "Never"])
    seen = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            at = f"{path}.{field}[{index}]"
            if container.get("name") in seen:
                yield duplicate(f"{at}.name", container.get("name"))
            seen.add(container.get("name"))
            yield from _container_causes(container, at)


def _container_causes(container: Mapping[str, Any], path: str) -> Iterator[Cause]:
    name = container.get("name") or ""
    if name and not _DNS_LABEL.match(name):
        yield invalid(
            f"{path}.name", name, "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'"
        )
    if not container.get("image"):
        yield required(f"{path}.image")
    if container.get("imagePullPolicy") not in ("Always", "IfNotPresent", "Never"):
        yield unsupported(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), ["Always", "IfNotPresent", "Never"])
    for index, port in enumerate(container.get("ports") or ()):
        if not 1 <= port.get("containerPort", 0) <= 65535:
            yield invalid(
                f"{path}.ports[{index}].containerPort", port.get("containerPort"), "must be between 1 and 65535, inclusive"
            )
    for index, entry in enumerate(container.get("env") or ()):
        if not _ENV_NAME.match(entry.get("name") or ""):
            yield invalid(
                f"{path}.env[{index}].name",
                entry.get("name"),
                "a valid environment variable name must consist of letters, digits, '_', '-' or '.'",
            )
        if entry.get("value") and entry.get("valueFrom"):
            yield invalid(f"{path}.env[{index}].valueFrom", "", "may not be specified when `value` is not empty")
    yield from _resource_causes(container.get("resources") or {}, f"{path}.resources")
    for probe in _PROBES:
        handlers = [handler for handler in _HANDLERS if handler in (container.get(probe) or {})]
        if container.get(probe) is not None and len(handlers) != 1:
            word = "must specify a handler type" if not handlers else "may not specify more than 1 handler type"
            yield Cause(f"{path}.{probe}", "FieldValueRequired", f"Required value: {word}")


def ephemeral_causes(new: Object, old: Object) -> Iterator[Cause]:
    """Find what is wrong with the ephemeral containers of a pod's spec: they are added, and never changed or taken out."""
    wanted, present = new.get("ephemeralContainers") or [], old.get("ephemeralContainers") or []
    by_name = {container.get("name"): container for container in wanted}
    for container in present:
        if container["name"] not in by_name:
            yield _forbidden(
                "spec.ephemeralContainers", f'existing ephemeral containers "{container["name"]}" may not be removed'
            )
        elif by_name[container["name"]] != container:
            yield _forbidden(
                "spec.ephemeralContainers", f'existing ephemeral containers "{container["name"]}" may not be changed'
            )
    others = {container["name"] for field in ("initContainers", "containers") for container in new.get(field) or ()}
    seen = set(others)
    for index, container in enumerate(wanted):
        at = f"spec.ephemeralContainers[{index}]"
        if container.get("name") in seen:
            yield duplicate(f"{at}.name", container.get("name"))
        seen.add(container.get("name"))
        if not container.get("name"):
            yield required(f"{at}.name")
        target = container.get("targetContainerName")
        if target and target not in others:
            yield Cause(f"{at}.targetContainerName", "FieldValueNotFound", f'Not found: "{target}"')
        for field in (*_PROBES, "lifecycle", "ports", "resources"):
            if container.get(field):
                yield _forbidden(f"{at}.{field}", "cannot be set for an Ephemeral Container")
        yield from _container_causes(container, at)


def _forbidden(field: str, why: str) -> Cause:
    return Cause(field, "FieldValueForbidden", f"Forbidden: {why}")


def _resource_causes(resources: Mapping[str, Any], path: str) -> Iterator[Cause]:
    amounts: dict[tuple[str, str], Any] = {}
    for side in ("limits", "requests"):
        for name, text in (resources.get(side) or {}).items():
            try:
                amounts[side, name] = parse_quantity(text)
            except ValueError as error:
                yield invalid(f"{path}.{side}[{name}]", text, str(error))
                continue
            if amounts[side, name] < 0:
                yield invalid(f"{path}.{side}[{name}]", text, "must be greater than or equal to 0")
    for (side, name), amount in amounts.items():
        limit = amounts.get(("limits", name))
        if side == "requests" and limit is not None and amount > limit:
            text = resources["requests"][name]
            yield invalid(f"{path}.requests", text, f"must be less than or equal to {name} limit of {resources['limits'][name]}")


def pod_update_causes(new: Object, old: Object) -> Iterator[Cause]:
    """Find changes to a pod's spec beyond those that a pod allows: images, tolerations, deadline and gates."""

    def fixed(spec: Object) -> Object:
        rest = copy.deepcopy(spec)
        for field in ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates"):
            rest.pop(field, None)
        for container in [*(rest.get("initContainers") or ()), *(rest.get("containers") or ())]:
            container.pop("image", None)
        # A pod that waits for its node is given one by the scheduler.
        if not old["spec"].get("nodeName"):
            rest.pop("nodeName", None)
        return rest

    if fixed(new["spec"]) != fixed(old["spec"]):
        yield Cause(
            "spec",
            "FieldValueForbidden",
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )
