"""Who am I, and what may I do: `kubectl auth whoami`, `auth can-i` and `auth can-i --list`."""

from typing import Any

from aiohttp import web

from runbook_lab.cluster.api.context import answer, identity, services
from runbook_lab.cluster.api.options import parse_body
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.errors import MethodNotAllowed
from runbook_lab.cluster.rbac import Attributes, may, rules_of

Object = dict[str, Any]


async def serve_review(request: web.Request, target: Target) -> web.Response:
    """Answer a self review."""
    if request.method != "POST" or target.name:
        raise MethodNotAllowed("the server does not allow this method on the requested resource", resource=target.resource)
    body = parse_body(await request.read(), request.content_type)
    review = {"kind": target.resource.kind, "apiVersion": target.resource.api_version, "metadata": {}}
    spec = body.get("spec") or {}
    match target.resource.plural:
        case "selfsubjectaccessreviews":
            return answer({**review, "spec": spec, "status": _access(request, spec)}, status=201)
        case "selfsubjectrulesreviews":
            return answer({**review, "spec": {}, "status": _rules(request, spec)}, status=201)
        case _:
            who = identity(request)
            return answer({**review, "status": {"userInfo": {"username": who.user, "groups": list(who.groups)}}}, status=201)


def _access(request: web.Request, spec: Object) -> Object:
    wanted = spec.get("resourceAttributes") or {}
    path = spec.get("nonResourceAttributes") or {}
    attributes = Attributes(
        verb=wanted.get("verb") or path.get("verb") or "",
        group=wanted.get("group", ""),
        resource=wanted.get("resource", ""),
        subresource=wanted.get("subresource", ""),
        namespace=wanted.get("namespace", ""),
        name=wanted.get("name", ""),
        path=path.get("path", ""),
    )
    return {"allowed": may(services(request).store, identity(request), attributes)}


def _rules(request: web.Request, spec: Object) -> Object:
    rules = list(rules_of(services(request).store, identity(request), spec.get("namespace", "")))
    kept = ("verbs", "apiGroups", "resources", "resourceNames")
    return {
        "resourceRules": [{key: rule[key] for key in kept if key in rule} for rule in rules if "resources" in rule],
        "nonResourceRules": [
            {"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]} for rule in rules if "nonResourceURLs" in rule
        ],
        "incomplete": False,
    }
