"""What the cluster says it serves: `/version`, `/api`, `/apis` and below, in the old form and in the aggregated one."""

from typing import Any

from runbook_lab.cluster.resources import OTHER_VERSIONS, RESOURCES, Resource

Object = dict[str, Any]

# The version whose behaviour is followed; kubectl warns when it is more than one minor version away.
MINOR_VERSION = "33"
_VERBS_OF_SUBRESOURCE = {
    "status": ["get", "patch", "update"],
    "scale": ["get", "patch", "update"],
    "log": ["get"],
    "exec": ["create", "get"],
    "attach": ["create", "get"],
    "portforward": ["create", "get"],
    "eviction": ["create"],
    "ephemeralcontainers": ["get", "patch", "update"],
}
_KIND_OF_SUBRESOURCE = {
    "scale": ("autoscaling", "v1", "Scale"),
    "exec": ("", "v1", "PodExecOptions"),
    "attach": ("", "v1", "PodAttachOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
    "eviction": ("policy", "v1", "Eviction"),
}
# Served without being stored.
_REVIEWS = (
    Resource("selfsubjectaccessreviews", "SelfSubjectAccessReview", "authorization.k8s.io", namespaced=False, verbs=("create",)),
    Resource("selfsubjectrulesreviews", "SelfSubjectRulesReview", "authorization.k8s.io", namespaced=False, verbs=("create",)),
    Resource("selfsubjectreviews", "SelfSubjectReview", "authentication.k8s.io", namespaced=False, verbs=("create",)),
)
_METRICS = (
    Resource("nodes", "NodeMetrics", "metrics.k8s.io", "v1beta1", namespaced=False, verbs=("get", "list")),
    Resource("pods", "PodMetrics", "metrics.k8s.io", "v1beta1", verbs=("get", "list")),
)
SERVED: tuple[Resource, ...] = (*RESOURCES, *OTHER_VERSIONS, *_REVIEWS, *_METRICS)


def server_version() -> Object:
    """Give `/version`."""
    return {
        "major": "1",
        "minor": MINOR_VERSION,
        "gitVersion": f"v1.{MINOR_VERSION}.0+runbook-lab",
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "python",
        "platform": "linux/amd64",
    }


def core_versions(address: str) -> Object:
    """Give `/api`."""
    servers = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": servers}


def group_list() -> Object:
    """Give `/apis`."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in _groups()]}


def group(name: str) -> Object | None:
    """Give `/apis/{group}`; None for a group that is not served."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)} if name in _groups() else None


def resource_list(group_name: str, version: str) -> Object | None:
    """Give `/api/v1` or `/apis/{group}/{version}`; None where that is not served."""
    entries = []
    for resource in _of(group_name, version):
        entry: Object = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(resource.verbs),
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        entries.append(entry)
        entries += [_subresource(resource, name) for name in resource.subresources]
    if not entries:
        return None
    group_version = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def aggregated(*, core: bool, api_version: str) -> Object:
    """Give `/api` (core) or `/apis` with everything in one answer; `api_version` is `v2` or `v2beta1` of apidiscovery.k8s.io."""
    names = [""] if core else _groups()
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{api_version}",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name} if name else {"creationTimestamp": None},
                "versions": [
                    {"version": version, "freshness": "Current", "resources": [_aggregated(r) for r in _of(name, version)]}
                    for version in _versions(name)
                ],
            }
            for name in names
        ],
    }


def _aggregated(resource: Resource) -> Object:
    entry: Object = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {
                "subresource": name,
                "responseKind": dict(zip(("group", "version", "kind"), _subresource_kind(resource, name), strict=True)),
                "verbs": _VERBS_OF_SUBRESOURCE[name],
            }
            for name in resource.subresources
        ]
    return entry


def _subresource(resource: Resource, name: str) -> Object:
    group_name, version, kind = _subresource_kind(resource, name)
    entry: Object = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": _VERBS_OF_SUBRESOURCE[name],
    }
    if (group_name, version) != (resource.group, resource.version):
        entry |= {"group": group_name, "version": version}
    return entry


def _subresource_kind(resource: Resource, name: str) -> tuple[str, str, str]:
    return _KIND_OF_SUBRESOURCE.get(name, (resource.group, resource.version, resource.kind))


def _groups() -> list[str]:
    return sorted({resource.group for resource in SERVED if resource.group})


def _versions(group_name: str) -> list[str]:
    """Give a group's versions, the preferred one first."""
    return list(dict.fromkeys(resource.version for resource in SERVED if resource.group == group_name))


def _of(group_name: str, version: str) -> list[Resource]:
    return [resource for resource in SERVED if (resource.group, resource.version) == (group_name, version)]


def _group(name: str) -> Object:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in _versions(name)]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}
