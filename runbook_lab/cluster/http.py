"""The API server: who asks, what for, may they - and then the route that answers."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from runbook_lab.cluster import discovery
from runbook_lab.cluster.access import Access, Identity
from runbook_lab.cluster.api.context import IDENTITY, SERVICES, Services, answer, authorize, services
from runbook_lab.cluster.api.eviction import serve_eviction
from runbook_lab.cluster.api.logs import serve_logs
from runbook_lab.cluster.api.metrics import serve_metrics
from runbook_lab.cluster.api.objects import serve_collection, serve_object
from runbook_lab.cluster.api.options import flag
from runbook_lab.cluster.api.pages import Pages
from runbook_lab.cluster.api.port_forward import serve_port_forward
from runbook_lab.cluster.api.representation import parse_accept
from runbook_lab.cluster.api.reviews import serve_review
from runbook_lab.cluster.api.scale import serve_scale
from runbook_lab.cluster.api.streams_spdy import serve_spdy
from runbook_lab.cluster.api.streams_websocket import serve_websocket
from runbook_lab.cluster.api.target import Target, not_served, parse_target
from runbook_lab.cluster.errors import BadRequest, NotAcceptable, StoreError
from runbook_lab.cluster.node.interface import Node
from runbook_lab.cluster.rbac import Attributes, install_roles, require
from runbook_lab.cluster.schema import openapi_v2
from runbook_lab.cluster.schema.openapi import openapi_document, openapi_index
from runbook_lab.cluster.store import Store

_LOG = logging.getLogger(__name__)
_PUBLIC = ("/healthz", "/livez", "/readyz", "/version")
_LARGEST_BODY_BYTES = 4 * 1024**2
_DISCOVERY_FORMS = ("APIGroupDiscoveryList",)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(store: Store, node: Node, access: Access) -> web.Application:
    """Make the API server's application; `server.ApiServer` serves it with the settings that it needs."""
    if not store.list("clusterroles"):
        install_roles(store)
    app = web.Application(middlewares=[_errors, _authentication], client_max_size=_LARGEST_BODY_BYTES)
    app[SERVICES] = Services(store, node, access, Pages())
    for path, handler in _PAGES.items():
        app.router.add_get(path, handler)
        # Some clients (the Python one, for the version) end them with a slash.
        app.router.add_get(f"{path}/", handler)
    app.router.add_get("/openapi/v3/{path:.+}", _openapi)
    app.router.add_route("*", "/{path:.*}", _resource)
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except StoreError as error:
        return answer(error.status(), status=error.code)
    except web.HTTPException as error:
        return answer(StoreError(error.reason).status() | {"code": error.status, "reason": error.reason}, status=error.status)
    except Exception:
        _LOG.exception("%s %s failed", request.method, request.path)
        return answer(StoreError("Internal error occurred: see the lab cluster's log").status(), status=500)


@web.middleware
async def _authentication(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path.rstrip("/") not in _PUBLIC:
        sender = services(request).access.identify(request.headers.get("Authorization"))
        request[IDENTITY] = _impersonated(request, sender)
    return await handler(request)


def _impersonated(request: web.Request, sender: Identity) -> Identity:
    """Tell whom a request is sent as (`kubectl --as`); Forbidden where the sender may not speak for others."""
    user, groups = request.headers.get("Impersonate-User"), tuple(request.headers.getall("Impersonate-Group", ()))
    if user is None:
        if groups:
            raise BadRequest("requested to impersonate groups without impersonating a user")
        return sender
    for resource, name in (("users", user), *(("groups", group) for group in groups)):
        require(services(request).store, sender, Attributes("impersonate", resource=resource, name=name))
    return Identity(user, (*groups, *sender.groups))


# --- what the server is


async def _health(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _version(_: web.Request) -> web.Response:
    return answer(discovery.server_version())


async def _core(request: web.Request) -> web.Response:
    return _discover(request, core=True)


async def _groups(request: web.Request) -> web.Response:
    return _discover(request, core=False)


def _discover(request: web.Request, *, core: bool) -> web.Response:
    """Answer in the aggregated form where the client knows it, with the content type by which it tells the forms apart."""
    form = parse_accept(request.headers.get("Accept"), known=_DISCOVERY_FORMS)
    if not form.kind:
        return answer(discovery.core_versions(request.host) if core else discovery.group_list())
    response = answer(discovery.aggregated(core=core, api_version=form.version))
    response.headers["Content-Type"] = f"application/json;g=apidiscovery.k8s.io;v={form.version};as=APIGroupDiscoveryList"
    return response


async def _group(request: web.Request) -> web.Response:
    found = discovery.group(request.match_info["group"])
    if found is None:
        raise not_served()
    return answer(found)


async def _resources(request: web.Request) -> web.Response:
    found = discovery.resource_list(request.match_info.get("group", ""), request.match_info["version"])
    if found is None:
        raise not_served()
    return answer(found)


async def _openapi_v2(request: web.Request) -> web.Response:
    if openapi_v2.CONTENT_TYPE not in request.headers.get("Accept", ""):
        raise NotAcceptable(f"only the following media types are accepted: {openapi_v2.CONTENT_TYPE}")
    # Asked for with an "@", which no media type may have, and answered with a dot, which clients can parse.
    return web.Response(
        body=openapi_v2.openapi_v2_document(), headers={"Content-Type": openapi_v2.CONTENT_TYPE.replace("@", ".")}
    )


async def _openapi_index(_: web.Request) -> web.Response:
    return answer(openapi_index())


async def _openapi(request: web.Request) -> web.Response:
    document = openapi_document(request.match_info["path"])
    if document is None:
        raise not_served()
    return answer(document)


_PAGES: dict[str, Handler] = {
    "/healthz": _health,
    "/livez": _health,
    "/readyz": _health,
    "/version": _version,
    "/api": _core,
    "/api/{version}": _resources,
    "/apis": _groups,
    "/apis/{group}": _group,
    "/apis/{group}/{version}": _resources,
    "/openapi/v2": _openapi_v2,
    "/openapi/v3": _openapi_index,
}


# --- what it serves


async def _resource(request: web.Request) -> web.StreamResponse:
    target = parse_target(request.path)
    authorize(request, _attributes(request, target))
    if target.resource.group == "metrics.k8s.io":
        return await serve_metrics(request, target)
    if target.resource.verbs == ("create",):
        return await serve_review(request, target)
    match target.subresource:
        case "log":
            return await serve_logs(request, target)
        case "scale":
            return await serve_scale(request, target)
        case "eviction":
            return await serve_eviction(request, target)
        case "exec" | "attach":
            return await _streams(request, target)
        case "portforward":
            return await serve_port_forward(request, target)
    if target.name is None or (request.method == "GET" and flag(request.query, "watch")):
        return await serve_collection(request, target)
    return await serve_object(request, target)


async def _streams(request: web.Request, target: Target) -> web.StreamResponse:
    match request.headers.get("Upgrade", "").lower():
        case "websocket":
            return await serve_websocket(request, target)
        case "spdy/3.1":
            return await serve_spdy(request, target)
    raise BadRequest("unable to upgrade: expected a WebSocket or SPDY/3.1 upgrade")


def _attributes(request: web.Request, target: Target) -> Attributes:
    single = target.name is not None
    match request.method:
        case "GET" | "HEAD":
            verb = "watch" if flag(request.query, "watch") else "get" if single else "list"
        case "POST":
            verb = "create"
        case "DELETE":
            verb = "delete" if single else "deletecollection"
        case "PATCH":
            verb = "patch"
        case _:
            verb = "update"
    attributes = Attributes(
        verb=verb,
        group=target.resource.group,
        resource=target.resource.plural,
        subresource=target.subresource or "",
        # A namespace is, for its own rights, inside itself.
        namespace=target.namespace or (target.name or "" if target.resource.plural == "namespaces" else ""),
        name=target.name or "",
    )
    if target.subresource in ("exec", "attach", "portforward"):
        # A WebSocket begins with GET, but running a command is no reading.
        attributes = replace(attributes, verb="create")
    return attributes
