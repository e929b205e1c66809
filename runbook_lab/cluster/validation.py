"""What an object must be beyond its types: required fields, names, ranges, selectors that match, fields that never change."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runbook_lab.cluster.errors import Cause, Invalid
from runbook_lab.cluster.pod_rules import ephemeral_causes, pod_spec_causes, pod_update_causes
from runbook_lab.cluster.resources import Resource
from runbook_lab.cluster.schema.types import FieldType, ObjectType, object_type, type_of
from runbook_lab.cluster.selectors import SelectorError, parse_label_selector
from runbook_lab.cluster.violations import immutable, invalid, required, unsupported

Object = dict[str, Any]

_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with "
    "an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_QUALIFIED_NAME = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_CONFIG_KEY = re.compile(r"^[-._a-zA-Z0-9]+$")
# RBAC's objects may carry names such as `system:node`.
_FREE_NAMES = ("clusterroles", "clusterrolebindings", "roles", "rolebindings")


def validate(resource: Resource, new: Object, old: Object | None = None) -> None:
    """Refuse a broken object (after defaults) with Invalid, and all its causes; `old` is what it would replace."""
    causes = [
        *_metadata_causes(resource, new),
        *_required_causes(new, type_of(resource), ""),
        *_KIND_RULES.get(resource.plural, _no_rule)(new),
    ]
    if old is not None:
        causes += _UPDATE_RULES.get(resource.plural, _no_update_rule)(new, old)
    if causes:
        raise Invalid.of(resource, new["metadata"].get("name") or new["metadata"].get("generateName", ""), causes)


def validate_ephemeral(resource: Resource, new: Object, old: Object) -> None:
    """Refuse ephemeral containers that a running pod cannot take in, with Invalid and all causes."""
    if causes := list(ephemeral_causes(new["spec"], old["spec"])):
        raise Invalid.of(resource, new["metadata"]["name"], causes)


def _metadata_causes(resource: Resource, obj: Object) -> Iterator[Cause]:
    metadata = obj["metadata"]
    name = metadata.get("name") or ""
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif resource.plural not in _FREE_NAMES and (not _SUBDOMAIN.match(name) or len(name) > 253):
        yield invalid("metadata.name", name, _SUBDOMAIN_RULE)
    for key, value in (metadata.get("labels") or {}).items():
        if not _QUALIFIED_NAME.match(key):
            yield invalid("metadata.labels", key, "name part must consist of alphanumeric characters, '-', '_' or '.'")
        if not _LABEL_VALUE.match(value or "") or len(value or "") > 63:
            yield invalid(
                "metadata.labels",
                value,
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'",
            )


def _required_causes(value: Mapping[str, Any], kind: ObjectType, path: str) -> Iterator[Cause]:
    """Find missing fields, in all but the status (which only controllers write)."""
    for name, field in kind.fields.items():
        at = f"{path}.{name}" if path else name
        if at == "status":
            continue
        if value.get(name) is None:
            if field.required:
                yield required(at)
            continue
        yield from _required_inside(value[name], field, at)


def _required_inside(value: Any, field: FieldType, path: str) -> Iterator[Cause]:
    if field.ref and isinstance(value, Mapping):
        yield from _required_causes(value, object_type(field.ref), path)
    elif field.items and isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _required_inside(entry, field.items, f"{path}[{index}]")


# --- rules of single kinds


def _no_rule(_: Object) -> Iterator[Cause]:
    return iter(())


def _no_update_rule(_: Object, __: Object) -> Iterator[Cause]:
    return iter(())


def _pod(obj: Object) -> Iterator[Cause]:
    return pod_spec_causes(obj.get("spec") or {}, "spec")


def _workload(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    replicas = spec.get("replicas", 1)
    if replicas < 0:
        yield invalid("spec.replicas", replicas, "must be greater than or equal to 0")
    template = spec.get("template") or {}
    selector = spec.get("selector") or {}
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid("spec.selector", selector, "empty selector is invalid for workloads")
    else:
        try:
            matches = parse_label_selector(selector)
        except SelectorError as error:
            yield invalid("spec.selector", selector, str(error))
        else:
            labels = (template.get("metadata") or {}).get("labels") or {}
            if not matches({"metadata": {"labels": labels}}):
                yield invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    pod = template.get("spec") or {}
    if pod.get("restartPolicy") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", pod.get("restartPolicy"), ["Always"])
    yield from pod_spec_causes(pod, "spec.template.spec")


def _deployment(obj: Object) -> Iterator[Cause]:
    yield from _workload(obj)
    spec = obj.get("spec") or {}
    strategy = spec.get("strategy") or {}
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") not in ("Recreate", "RollingUpdate"):
        yield unsupported("spec.strategy.type", strategy.get("type"), ["Recreate", "RollingUpdate"])
    elif strategy["type"] == "Recreate" and rolling:
        yield Cause(
            "spec.strategy.rollingUpdate",
            "FieldValueForbidden",
            "Forbidden: may not be specified when strategy `type` is 'Recreate'",
        )
    elif rolling and {str(rolling.get("maxSurge")), str(rolling.get("maxUnavailable"))} <= {"0", "0%"}:
        yield invalid(
            "spec.strategy.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), "may not be 0 when `maxSurge` is 0"
        )
    for field in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        if (spec.get(field) or 0) < 0:
            yield invalid(f"spec.{field}", spec[field], "must be greater than or equal to 0")
    if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        yield invalid("spec.progressDeadlineSeconds", spec["progressDeadlineSeconds"], "must be greater than minReadySeconds")


def _config(obj: Object) -> Iterator[Cause]:
    for field in ("data", "binaryData"):
        for key in obj.get(field) or {}:
            if not _CONFIG_KEY.match(key):
                yield invalid(
                    f"{field}[{key}]", key, "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                )


def _service(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if spec.get("type") not in ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"):
        yield unsupported("spec.type", spec.get("type"), ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"])
    if not spec.get("ports") and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    for index, port in enumerate(spec.get("ports") or ()):
        if not 1 <= port.get("port", 0) <= 65535:
            yield invalid(f"spec.ports[{index}].port", port.get("port"), "must be between 1 and 65535, inclusive")


def _autoscaler(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if spec.get("maxReplicas", 1) < spec.get("minReplicas", 1):
        yield invalid("spec.maxReplicas", spec.get("maxReplicas"), "must be greater than or equal to `minReplicas`")


_KIND_RULES: dict[str, Callable[[Object], Iterator[Cause]]] = {
    "pods": _pod,
    "deployments": _deployment,
    "replicasets": _workload,
    "statefulsets": _workload,
    "configmaps": _config,
    "secrets": _config,
    "services": _service,
    "horizontalpodautoscalers": _autoscaler,
}


# --- rules of updates


def _same_selector(new: Object, old: Object) -> Iterator[Cause]:
    if new["spec"].get("selector") != old["spec"].get("selector"):
        yield immutable("spec.selector", new["spec"].get("selector"))


def _statefulset_update(new: Object, old: Object) -> Iterator[Cause]:
    free = {"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "minReadySeconds"}
    free |= {"persistentVolumeClaimRetentionPolicy"}
    if {k: v for k, v in new["spec"].items() if k not in free} != {k: v for k, v in old["spec"].items() if k not in free}:
        yield Cause(
            "spec",
            "FieldValueForbidden",
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
            "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        )


def _config_update(new: Object, old: Object) -> Iterator[Cause]:
    if old.get("immutable"):
        for field in ("data", "binaryData", "stringData", "immutable"):
            if new.get(field) != old.get(field):
                yield Cause(field, "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set")
    if new.get("type") != old.get("type"):
        yield immutable("type", new.get("type"))


def _service_update(new: Object, old: Object) -> Iterator[Cause]:
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    if before and after and before != after and old["spec"].get("type") != "ExternalName":
        yield immutable("spec.clusterIP", after)


_UPDATE_RULES: dict[str, Callable[[Object, Object], Iterator[Cause]]] = {
    "pods": pod_update_causes,
    "deployments": _same_selector,
    "replicasets": _same_selector,
    "statefulsets": _statefulset_update,
    "configmaps": _config_update,
    "secrets": _config_update,
    "services": _service_update,
}
