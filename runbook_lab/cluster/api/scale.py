"""The `scale` subresource: the replicas of a workload, and nothing else of it."""

from dataclasses import replace
from typing import Any

from aiohttp import web

from runbook_lab.cluster.api.context import services, write_options
from runbook_lab.cluster.api.options import parse_body
from runbook_lab.cluster.api.presenting import present
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.errors import BadRequest, Cause, Conflict, Invalid, MethodNotAllowed
from runbook_lab.cluster.patch import apply_patch
from runbook_lab.cluster.resources import Resource
from runbook_lab.cluster.store import Object
from runbook_lab.cluster.tables.columns import selector_text
from runbook_lab.cluster.validation import validate

_SCALE = Resource("scales", "Scale", "autoscaling")


async def serve_scale(request: web.Request, target: Target) -> web.Response:
    """Answer a request on the scale of a workload."""
    store, resource = services(request).store, target.resource
    workload = store.get(resource.plural, str(target.name), namespace=target.namespace)
    if request.method == "GET":
        return present(request, replace(target, resource=_SCALE), _scale(workload))
    if request.method == "PUT":
        wanted = parse_body(await request.read(), request.content_type)
    elif request.method == "PATCH":
        wanted = apply_patch(resource, _scale(workload), request.content_type, await request.read())
    else:
        raise MethodNotAllowed("the server does not allow this method on the requested resource", resource=resource)
    given = (wanted.get("metadata") or {}).get("resourceVersion")
    if given and given != workload["metadata"]["resourceVersion"]:
        raise Conflict.of(resource, str(target.name))
    workload["spec"]["replicas"] = _replicas(wanted, str(target.name))
    options = write_options(request)
    updated = store.update(
        resource.plural,
        workload,
        subresource="scale",
        manager=options.manager,
        dry_run=options.dry_run,
        check=lambda new, old: validate(resource, new, old),
    )
    return present(request, replace(target, resource=_SCALE), _scale(updated))


def _scale(workload: Object) -> Object:
    metadata = workload["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": workload["spec"].get("replicas", 1)},
        "status": {
            "replicas": workload.get("status", {}).get("replicas", 0),
            "selector": selector_text(workload["spec"].get("selector")),
        },
    }


def _replicas(wanted: Any, name: str) -> int:
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise BadRequest('Scale in version "v1" cannot be handled as a Scale: spec.replicas must be an integer')
    if replicas < 0:
        cause = Cause("spec.replicas", "FieldValueInvalid", f"Invalid value: {replicas}: must be greater than or equal to 0")
        raise Invalid.of(_SCALE, name, [cause])
    return replicas
