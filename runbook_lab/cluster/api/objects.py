"""Get, list, create, update, patch and delete."""

from aiohttp import web

from runbook_lab.cluster.api.applying import apply
from runbook_lab.cluster.api.context import answer, services, write_options
from runbook_lab.cluster.api.options import DeleteOptions, ListOptions, flag, parse_body
from runbook_lab.cluster.api.presenting import present, table
from runbook_lab.cluster.api.representation import Representation, parse_accept
from runbook_lab.cluster.api.target import Target, check_name, check_namespace
from runbook_lab.cluster.api.watching import watch
from runbook_lab.cluster.conversion import stored_version, to_served, to_stored
from runbook_lab.cluster.decoding import Decoded, DecodeError, decode
from runbook_lab.cluster.errors import BadRequest, Cause, Invalid, MethodNotAllowed
from runbook_lab.cluster.patch import APPLY_PATCH, apply_patch, check_patch_type
from runbook_lab.cluster.pod_admission import admit_pod
from runbook_lab.cluster.resources import Resource
from runbook_lab.cluster.store import Check, Object
from runbook_lab.cluster.tables.table import metadata_only
from runbook_lab.cluster.validation import validate, validate_ephemeral
from runbook_lab.cluster.violations import invalid

_LIST_FORMS = ("Table", "PartialObjectMetadataList", "PartialObjectMetadata")


async def serve_object(request: web.Request, target: Target) -> web.StreamResponse:
    """Answer a request on one object, or on its status."""
    match request.method:
        case "GET":
            found = services(request).store.get(target.resource.plural, str(target.name), namespace=target.namespace)
            return present(request, target, found)
        case "PUT":
            return await _replace(request, target)
        case "PATCH":
            return await _patch(request, target)
        case "DELETE" if target.subresource is None:
            return await _delete(request, target)
    raise MethodNotAllowed("the server does not allow this method on the requested resource", resource=target.resource)


async def serve_collection(request: web.Request, target: Target) -> web.StreamResponse:
    """Answer a request on the objects of a resource."""
    match request.method:
        case "GET":
            options = ListOptions.read(request.query)
            form = parse_accept(request.headers.get("Accept"), known=_LIST_FORMS)
            return await watch(request, target, options, form) if options.watch else _list(request, target, options, form)
        case "POST":
            return await _create(request, target)
        case "DELETE":
            return await _delete_all(request, target)
    raise MethodNotAllowed("the server does not allow this method on the requested resource", resource=target.resource)


def _list(request: web.Request, target: Target, options: ListOptions, form: Representation) -> web.Response:
    store, pages = services(request).store, services(request).pages
    if options.continue_token:
        page = pages.next(options.continue_token, limit=options.limit)
    else:
        options.check_version(store.version)
        fields = options.fields
        if target.name is not None:
            fields = f"metadata.name={target.name}"
        items = store.list(target.resource.plural, namespace=target.namespace, labels=options.labels, fields=fields)
        page = pages.first(items, version=store.version, limit=options.limit)
    metadata: Object = {"resourceVersion": str(page.version)}
    if page.continue_token:
        metadata |= {"continue": page.continue_token, "remainingItemCount": page.remaining}
    if form.kind == "Table":
        return answer(table(request, target, page.items, metadata, form))
    if form.kind:
        partial = [metadata_only(item, form.version) for item in page.items]
        kind = {"kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{form.version}"}
        return answer({**kind, "metadata": metadata, "items": partial})
    served = [to_served(target.resource, item) for item in page.items]
    # As on a real server, the items of a list do not repeat what the list's kind says.
    items = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in served]
    kind = {"kind": target.resource.list_kind, "apiVersion": target.resource.api_version}
    return answer({**kind, "metadata": metadata, "items": items})


async def _create(request: web.Request, target: Target) -> web.Response:
    store, options, resource = services(request).store, write_options(request), stored_version(target.resource)
    body = parse_body(await request.read(), request.content_type)
    decoded = decode(target.resource, body, field_validation=options.field_validation)
    obj = to_stored(target.resource, decoded.object)
    metadata = obj.setdefault("metadata", {})
    check_namespace(target, metadata)
    if resource.namespaced:
        store.get("namespaces", str(target.namespace))
    if metadata.get("resourceVersion"):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    if resource.plural == "pods":
        admit_pod(store, obj, namespace=str(target.namespace))
    if resource.has_status:
        obj.pop("status", None)
    created = store.create(
        resource.plural,
        obj,
        namespace=target.namespace,
        manager=options.manager,
        dry_run=options.dry_run,
        check=lambda new, old: validate(resource, new, old),
    )
    return present(request, target, created, status=201, warnings=decoded.unknown)


async def _replace(request: web.Request, target: Target) -> web.Response:
    body = parse_body(await request.read(), request.content_type)
    decoded = decode(target.resource, body, field_validation=write_options(request).field_validation)
    return _write(request, target, decoded)


async def _patch(request: web.Request, target: Target) -> web.Response:
    if request.content_type == APPLY_PATCH and target.subresource in (None, "status"):
        return await apply(request, target)
    # A kind of patch that is not served must not answer "not found" for an object that it would create.
    check_patch_type(request.content_type)
    if flag(request.query, "force"):
        cause = Cause("force", "FieldValueForbidden", "Forbidden: may not be specified for non-apply patch")
        raise Invalid(f'PatchOptions.meta.k8s.io "" is invalid: {cause.field}: {cause.message}', causes=[cause])
    body = await request.read()
    current = services(request).store.get(target.resource.plural, str(target.name), namespace=target.namespace)
    patched = apply_patch(target.resource, to_served(target.resource, current), request.content_type, body)
    try:
        decoded = decode(target.resource, patched, field_validation=write_options(request).field_validation)
    except DecodeError as error:
        # Here it is the patch that is wrong, and a real server calls that invalid, where it is a bad request elsewhere.
        cause = invalid("patch", body.decode(errors="replace"), error.why)
        raise Invalid(f' "" is invalid: patch: {cause.message}', causes=[cause]) from error
    return _write(request, target, decoded)


def _write(request: web.Request, target: Target, decoded: Decoded) -> web.Response:
    options, resource = write_options(request), stored_version(target.resource)
    wanted = to_stored(target.resource, decoded.object)
    check_name(target, wanted.setdefault("metadata", {}))
    check_namespace(target, wanted["metadata"])
    updated = services(request).store.update(
        resource.plural,
        wanted,
        subresource=target.subresource,
        manager=options.manager,
        dry_run=options.dry_run,
        check=_ephemeral_rules(resource) if target.subresource == "ephemeralcontainers" else _rules(resource),
    )
    return present(request, target, updated, warnings=decoded.unknown)


def _rules(resource: Resource) -> Check:
    return lambda new, old: validate(resource, new, old)


def _ephemeral_rules(resource: Resource) -> Check:
    return lambda new, old: validate_ephemeral(resource, new, old or {})


async def _delete_options(request: web.Request) -> DeleteOptions:
    body = await request.read()
    return DeleteOptions.read(request.query, parse_body(body, request.content_type) if body else {})


async def _delete(request: web.Request, target: Target) -> web.Response:
    options, resource = await _delete_options(request), target.resource
    store, name = services(request).store, str(target.name)
    deleted = store.delete(
        resource.plural,
        name,
        namespace=target.namespace,
        grace_seconds=options.grace_seconds,
        propagation=options.propagation,
        uid=options.uid,
        resource_version=options.resource_version,
        dry_run=options.dry_run,
    )
    if "deletionTimestamp" in deleted["metadata"] or resource.plural == "pods":
        # It lives on for a while; the answer shows until when.
        return present(request, target, deleted)
    details = {"name": name, "kind": resource.plural, "uid": deleted["metadata"]["uid"]}
    if resource.group:
        details["group"] = resource.group
    return answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})


async def _delete_all(request: web.Request, target: Target) -> web.Response:
    options, listing, resource = await _delete_options(request), ListOptions.read(request.query), target.resource
    store = services(request).store
    items = store.list(resource.plural, namespace=target.namespace, labels=listing.labels, fields=listing.fields)
    deleted = [
        store.delete(
            resource.plural,
            item["metadata"]["name"],
            namespace=item["metadata"].get("namespace"),
            grace_seconds=options.grace_seconds,
            propagation=options.propagation,
            dry_run=options.dry_run,
        )
        for item in items
    ]
    kind = {"kind": resource.list_kind, "apiVersion": resource.api_version}
    deleted = [to_served(resource, item) for item in deleted]
    return answer({**kind, "metadata": {"resourceVersion": str(store.version)}, "items": deleted})
