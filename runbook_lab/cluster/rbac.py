"""What an identity may do: roles and bindings are objects of the cluster, and decide as in Kubernetes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runbook_lab.cluster.access import OPERATOR, READER, Identity
from runbook_lab.cluster.errors import Forbidden, NotFound
from runbook_lab.cluster.resources import BY_PLURAL
from runbook_lab.cluster.store import Store

Object = dict[str, Any]
_READ = ["get", "list", "watch"]
_WRITE = ["create", "update", "patch", "delete", "deletecollection"]
_GROUP = "rbac.authorization.k8s.io"

# All but secrets: their values are not a reader's business.
_READABLE_CORE = sorted(r.plural for r in BY_PLURAL.values() if not r.group and r.plural != "secrets")
_READABLE_GROUPS = sorted({r.group for r in BY_PLURAL.values() if r.group} | {"metrics.k8s.io"})

_READER_RULES: list[Object] = [
    {"apiGroups": [""], "resources": [*_READABLE_CORE, "pods/log", "pods/status"], "verbs": _READ},
    {"apiGroups": _READABLE_GROUPS, "resources": ["*"], "verbs": _READ},
]
_OPERATOR_RULES: list[Object] = [
    *_READER_RULES,
    {"apiGroups": [""], "resources": ["secrets"], "verbs": _READ},
    {
        "apiGroups": [""],
        "resources": [
            "configmaps",
            "endpoints",
            "events",
            "persistentvolumeclaims",
            "pods",
            "secrets",
            "serviceaccounts",
            "services",
        ],
        "verbs": _WRITE,
    },
    {"apiGroups": [""], "resources": ["pods/exec", "pods/attach", "pods/portforward"], "verbs": ["get", "create"]},
    {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["get", "patch", "update"]},
    # To cordon, drain and uncordon.
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch", "update"]},
    {
        "apiGroups": ["apps"],
        "resources": [
            "deployments",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        ],
        "verbs": _WRITE,
    },
    {"apiGroups": ["autoscaling", "networking.k8s.io", "policy"], "resources": ["*"], "verbs": _WRITE},
]
# Everybody may ask who they are and what they may do.
_BASIC_RULES: list[Object] = [
    {
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        "verbs": ["create"],
    },
    {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
    {
        "nonResourceURLs": [
            "/api",
            "/api/*",
            "/apis",
            "/apis/*",
            "/healthz",
            "/livez",
            "/openapi",
            "/openapi/*",
            "/readyz",
            "/version",
        ],
        "verbs": ["get"],
    },
]


@dataclass(frozen=True)
class Attributes:
    """What a request wants to do: on a resource of the API, or (`path`) on a URL outside of the resources."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        """`pods`, or `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def install_roles(store: Store) -> None:
    """Put the roles of the two identities into a new cluster."""
    roles = {READER: _READER_RULES, OPERATOR: _OPERATOR_RULES, "system:basic-user": _BASIC_RULES}
    for name, rules in roles.items():
        store.create("clusterroles", {"metadata": {"name": name}, "rules": rules})
    subjects = {READER: ("User", READER), OPERATOR: ("User", OPERATOR), "system:basic-user": ("Group", "system:authenticated")}
    for name, (kind, subject) in subjects.items():
        store.create(
            "clusterrolebindings",
            {
                "metadata": {"name": name},
                "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": name},
                "subjects": [{"apiGroup": _GROUP, "kind": kind, "name": subject}],
            },
        )


def may(store: Store, identity: Identity, attributes: Attributes) -> bool:
    """Whether any rule that applies to the identity allows it."""
    return any(_allows(rule, attributes) for rule in rules_of(store, identity, attributes.namespace))


def require(store: Store, identity: Identity, attributes: Attributes) -> None:
    """Raise Forbidden, in Kubernetes' words, for what the identity may not do."""
    if not may(store, identity, attributes):
        raise Forbidden(_refusal(identity, attributes), resource=BY_PLURAL.get(attributes.resource), name=attributes.name)


def rules_of(store: Store, identity: Identity, namespace: str) -> Iterator[Object]:
    """Give the rules that apply to an identity in a namespace ("": cluster-wide ones only)."""
    bindings = store.list("clusterrolebindings")
    if namespace:
        bindings += store.list("rolebindings", namespace=namespace)
    for binding in bindings:
        home = binding["metadata"].get("namespace", "")
        if any(_is_subject(subject, identity, home) for subject in binding.get("subjects") or ()):
            yield from _rules(store, binding, namespace)


def _rules(store: Store, binding: Object, namespace: str) -> list[Object]:
    reference = binding["roleRef"]
    try:
        if reference["kind"] == "ClusterRole":
            role = store.get("clusterroles", reference["name"])
        else:
            role = store.get("roles", reference["name"], namespace=namespace)
    except NotFound:
        # A binding to a role that is not there grants nothing.
        return []
    return role.get("rules") or []


def _is_subject(subject: Object, identity: Identity, namespace: str) -> bool:
    """Whether the subject of a binding in this namespace is the identity."""
    name = str(subject["name"])
    match subject["kind"]:
        case "Group":
            return name in identity.groups
        case "ServiceAccount":
            return identity.user == f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
    return subject["kind"] == "User" and name == identity.user


def _allows(rule: Object, wanted: Attributes) -> bool:
    if not _in(wanted.verb, rule["verbs"]):
        return False
    if wanted.path:
        return any(_path_matches(pattern, wanted.path) for pattern in rule.get("nonResourceURLs") or ())
    return (
        _in(wanted.group, rule.get("apiGroups"))
        and _resource_matches(rule.get("resources"), wanted)
        and (not rule.get("resourceNames") or wanted.name in rule["resourceNames"])
    )


def _in(value: str, allowed: list[str] | None) -> bool:
    return allowed is not None and ("*" in allowed or value in allowed)


def _resource_matches(allowed: list[str] | None, wanted: Attributes) -> bool:
    return _in(wanted.full_resource, allowed) or (wanted.subresource != "" and f"*/{wanted.subresource}" in (allowed or ()))


def _path_matches(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def _refusal(identity: Identity, wanted: Attributes) -> str:
    if wanted.path:
        return f'forbidden: User "{identity.user}" cannot {wanted.verb} path "{wanted.path}"'
    qualified = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    what = f'{qualified} "{wanted.name}"' if wanted.name else qualified
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    return (
        f'{what} is forbidden: User "{identity.user}" cannot {wanted.verb} resource "{wanted.full_resource}" '
        f'in API group "{wanted.group}" {where}'
    )
