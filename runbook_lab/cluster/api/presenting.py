"""Answering with an object, or with a table of several, in the form and version that the client asked for."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from runbook_lab.cluster.api.context import answer, now
from runbook_lab.cluster.api.representation import Representation, parse_accept
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.conversion import to_served
from runbook_lab.cluster.store import Object
from runbook_lab.cluster.tables.table import make_table, metadata_only

_SINGLE_FORMS = ("Table", "PartialObjectMetadata")


def present(
    request: web.Request, target: Target, obj: Object, *, status: int = 200, warnings: list[str] | None = None
) -> web.Response:
    """Answer with an object, in the form that the client accepts."""
    form = parse_accept(request.headers.get("Accept"), known=_SINGLE_FORMS)
    content: Mapping[str, Any] = to_served(target.resource, obj)
    if form.kind == "Table":
        metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        content = table(request, target, [obj], metadata, form)
    elif form.kind:
        content = metadata_only(obj, form.version)
    return answer(content, status=status, warnings=warnings or [])


def table(request: web.Request, target: Target, items: list[Object], metadata: Object, form: Representation) -> Object:
    """Give the table of some objects."""
    include = request.query.get("includeObject", "Metadata")
    return make_table(target.resource.plural, items, list_metadata=metadata, now=now(), version=form.version, include=include)
