"""The kinds that the lab cluster serves: one table, from which discovery, routes, tables and the store take what they need."""

from dataclasses import dataclass, replace

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Resource:
    """One kind as the API serves it. `plural` is unique in this server and names the resource everywhere in this package."""

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    singular_name: str = ""

    @property
    def api_version(self) -> str:
        """`v1`, or `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`pods`, or `deployments.apps`: the name that messages use."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """The lower-case name that kubectl accepts next to the plural."""
        return self.singular_name or self.kind.lower()

    @property
    def list_kind(self) -> str:
        """The kind of a list of these."""
        return f"{self.kind}List"

    @property
    def has_status(self) -> bool:
        """Whether status is written apart from the rest, through its own subresource."""
        return "status" in self.subresources


_WORKLOAD = ("status", "scale")
_RBAC = "rbac.authorization.k8s.io"

RESOURCES: tuple[Resource, ...] = (
    Resource("configmaps", "ConfigMap", short_names=("cm",)),
    Resource("endpoints", "Endpoints", short_names=("ep",), singular_name="endpoints"),
    Resource("events", "Event", short_names=("ev",)),
    Resource("limitranges", "LimitRange", short_names=("limits",)),
    Resource("namespaces", "Namespace", namespaced=False, short_names=("ns",), subresources=("status",)),
    Resource("nodes", "Node", namespaced=False, short_names=("no",), subresources=("status",)),
    Resource("persistentvolumeclaims", "PersistentVolumeClaim", short_names=("pvc",), subresources=("status",)),
    Resource(
        "pods",
        "Pod",
        short_names=("po",),
        categories=("all",),
        subresources=("status", "log", "exec", "attach", "portforward", "eviction", "ephemeralcontainers"),
    ),
    Resource("resourcequotas", "ResourceQuota", short_names=("quota",), subresources=("status",)),
    Resource("secrets", "Secret"),
    Resource("serviceaccounts", "ServiceAccount", short_names=("sa",)),
    Resource("services", "Service", short_names=("svc",), categories=("all",), subresources=("status",)),
    Resource("deployments", "Deployment", "apps", short_names=("deploy",), categories=("all",), subresources=_WORKLOAD),
    Resource("replicasets", "ReplicaSet", "apps", short_names=("rs",), categories=("all",), subresources=_WORKLOAD),
    Resource("statefulsets", "StatefulSet", "apps", short_names=("sts",), categories=("all",), subresources=_WORKLOAD),
    Resource("controllerrevisions", "ControllerRevision", "apps"),
    Resource(
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        "autoscaling",
        "v2",
        short_names=("hpa",),
        categories=("all",),
        subresources=("status",),
    ),
    Resource("leases", "Lease", "coordination.k8s.io"),
    Resource("endpointslices", "EndpointSlice", "discovery.k8s.io"),
    Resource("ingresses", "Ingress", "networking.k8s.io", short_names=("ing",), subresources=("status",)),
    Resource("networkpolicies", "NetworkPolicy", "networking.k8s.io", short_names=("netpol",)),
    Resource("poddisruptionbudgets", "PodDisruptionBudget", "policy", short_names=("pdb",), subresources=("status",)),
    Resource("clusterroles", "ClusterRole", _RBAC, namespaced=False),
    Resource("clusterrolebindings", "ClusterRoleBinding", _RBAC, namespaced=False),
    Resource("roles", "Role", _RBAC),
    Resource("rolebindings", "RoleBinding", _RBAC),
)

# Served beside the version that is stored, and converted to and from it.
OTHER_VERSIONS: tuple[Resource, ...] = tuple(
    replace(resource, version="v1") for resource in RESOURCES if resource.plural == "horizontalpodautoscalers"
)

BY_PLURAL: dict[str, Resource] = {resource.plural: resource for resource in RESOURCES}
BY_KIND: dict[tuple[str, str], Resource] = {(resource.api_version, resource.kind): resource for resource in RESOURCES}


def resource_of(manifest: dict[str, object]) -> Resource:
    """Find what a manifest's `apiVersion` and `kind` name; a KeyError says that this cluster does not serve it."""
    key = (str(manifest.get("apiVersion")), str(manifest.get("kind")))
    if key not in BY_KIND:
        raise KeyError(f"the lab cluster serves no kind {key[1]} in {key[0]}")
    return BY_KIND[key]
