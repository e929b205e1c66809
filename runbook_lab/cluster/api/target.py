"""What a URL names: a resource, and maybe a namespace, an object and a subresource."""

from dataclasses import dataclass
from typing import Any

from runbook_lab.cluster.discovery import SERVED
from runbook_lab.cluster.errors import BadRequest, MethodNotAllowed, NotFound
from runbook_lab.cluster.resources import Resource


@dataclass(frozen=True)
class Target:
    """The resource of a request. `namespace` None means all of them (or a resource that has none), `name` None the collection."""

    resource: Resource
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None


def not_served() -> NotFound:
    """Make the answer to a URL that leads nowhere."""
    return NotFound("the server could not find the requested resource")


def parse_target(path: str) -> Target:
    """Read `/api/v1/…` and `/apis/{group}/{version}/…`; NotFound for what is not served."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"]:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise not_served()
    namespace = None
    # /namespaces/shop and /namespaces/shop/status are the namespace itself; /namespaces/shop/pods is what it holds.
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = next((r for r in SERVED if (r.group, r.version, r.plural) == (group, version, rest[0])), None) if rest else None
    if resource is None or len(rest) > 3 or (namespace is not None and not resource.namespaced):
        raise not_served()
    name = rest[1] if len(rest) > 1 else None
    subresource = rest[2] if len(rest) > 2 else None
    if (subresource and subresource not in resource.subresources) or (name and resource.namespaced and namespace is None):
        raise not_served()
    return Target(resource, namespace, name, subresource)


def check_name(target: Target, metadata: dict[str, Any]) -> None:
    """Fill in the name, or raise BadRequest where it is another than the URL's."""
    metadata.setdefault("name", target.name)
    if metadata["name"] != target.name:
        raise BadRequest(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})",
            resource=target.resource,
        )


def check_namespace(target: Target, metadata: dict[str, Any]) -> None:
    """Fill in the namespace, or raise BadRequest where it is another than the URL's."""
    if target.namespace is None:
        if target.resource.namespaced:
            raise MethodNotAllowed("the server does not allow this method on the requested resource", resource=target.resource)
        return
    if metadata.get("namespace") not in (None, "", target.namespace):
        raise BadRequest(
            f"the namespace of the provided object does not match the namespace sent on the request "
            f"({metadata['namespace']} and {target.namespace})"
        )
    metadata["namespace"] = target.namespace
