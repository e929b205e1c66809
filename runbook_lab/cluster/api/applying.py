"""Server-side apply over HTTP: `kubectl apply --server-side`, and any client's `PATCH` with `application/apply-patch+yaml`."""

import yaml
from aiohttp import web

from runbook_lab.cluster.api.context import authorize, now, services, write_options
from runbook_lab.cluster.api.options import WriteOptions, flag
from runbook_lab.cluster.api.presenting import present
from runbook_lab.cluster.api.target import Target, check_name, check_namespace
from runbook_lab.cluster.apply import apply_configuration
from runbook_lab.cluster.conversion import stored_version, to_stored
from runbook_lab.cluster.decoding import DecodeError, decode
from runbook_lab.cluster.errors import BadRequest, Cause, Invalid, NotFound, TypedPatchError
from runbook_lab.cluster.metadata import timestamp
from runbook_lab.cluster.pod_admission import admit_pod
from runbook_lab.cluster.rbac import Attributes
from runbook_lab.cluster.store import Check, Object
from runbook_lab.cluster.validation import validate

_IDENTITY = ("name", "namespace", "uid", "resourceVersion")


async def apply(request: web.Request, target: Target) -> web.Response:
    """Apply a configuration to an object, or to its status; the object is created where there is none."""
    options = write_options(request)
    if "fieldManager" not in request.query:
        cause = Cause("fieldManager", "FieldValueRequired", "Required value: is required for apply patch")
        raise Invalid(f'PatchOptions.meta.k8s.io "" is invalid: {cause.field}: {cause.message}', causes=[cause])
    config = _read(target, await request.read())
    live = _live(request, target)
    new, managed = apply_configuration(
        stored_version(target.resource),
        live,
        config,
        manager=options.manager,
        subresource=target.subresource,
        force=flag(request.query, "force"),
        now=timestamp(now()),
    )
    if live is None:
        return present(request, target, _create(request, target, new, managed, options), status=201)
    updated = services(request).store.update(
        target.resource.plural,
        new,
        subresource=target.subresource,
        manager=options.manager,
        dry_run=options.dry_run,
        check=_rules(target),
        managed=managed,
    )
    return present(request, target, updated)


def _read(target: Target, body: bytes) -> Object:
    """Read the configuration, reduced to what this request may write. What its kind has no field for is refused, always."""
    try:
        sent = yaml.safe_load(body)
    except yaml.YAMLError as error:
        raise BadRequest(f"error decoding YAML: {error}") from error
    if not isinstance(sent, dict) or not sent.get("apiVersion") or not sent.get("kind"):
        raise BadRequest('Object \'Kind\' is missing in the configuration to apply: expected "apiVersion" and "kind"')
    try:
        decoded = decode(target.resource, sent)
    except DecodeError as error:
        raise TypedPatchError.of(target.resource, sent, error.why) from error
    if decoded.unknown:
        listed = "\n".join(f".{field}: field not declared in schema" for field in decoded.unknown_fields)
        raise TypedPatchError.of(target.resource, sent, listed if len(decoded.unknown) == 1 else f"errors:\n{listed}")
    config = to_stored(target.resource, decoded.object)
    check_name(target, config.setdefault("metadata", {}))
    check_namespace(target, config["metadata"])
    if target.subresource == "status":
        identity = {key: value for key, value in config["metadata"].items() if key in _IDENTITY}
        return {key: value for key, value in config.items() if key in ("apiVersion", "kind", "status")} | {"metadata": identity}
    if target.resource.has_status:
        config.pop("status", None)
    return config


def _live(request: web.Request, target: Target) -> Object | None:
    """Give the object as it is; None where it is to be created, which needs a right of its own."""
    store, resource = services(request).store, target.resource
    try:
        return store.get(resource.plural, str(target.name), namespace=target.namespace)
    except NotFound:
        if target.subresource:
            raise
    authorize(
        request,
        Attributes("create", resource.group, resource.plural, namespace=target.namespace or "", name=str(target.name)),
    )
    if target.namespace:
        store.get("namespaces", target.namespace)
    return None


def _create(request: web.Request, target: Target, new: Object, managed: list[Object], options: WriteOptions) -> Object:
    if new["metadata"].get("resourceVersion") or new["metadata"].get("uid"):
        raise NotFound.of(target.resource, str(target.name))
    if target.resource.plural == "pods":
        admit_pod(services(request).store, new, namespace=str(target.namespace))
    return services(request).store.create(
        target.resource.plural,
        new,
        namespace=target.namespace,
        manager=options.manager,
        dry_run=options.dry_run,
        check=_rules(target),
        managed=managed,
    )


def _rules(target: Target) -> Check:
    return lambda new, old: validate(stored_version(target.resource), new, old)
