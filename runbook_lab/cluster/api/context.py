"""What every route needs of the cluster and of the request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from runbook_lab.cluster.access import Access, Identity
from runbook_lab.cluster.api.options import WriteOptions
from runbook_lab.cluster.api.pages import Pages
from runbook_lab.cluster.node.interface import Node
from runbook_lab.cluster.rbac import Attributes, require
from runbook_lab.cluster.store import Store


@dataclass(frozen=True)
class Services:
    """The parts of the cluster that routes use."""

    store: Store
    node: Node
    access: Access
    pages: Pages


SERVICES = web.AppKey("services", Services)
IDENTITY = web.RequestKey("identity", Identity)


def services(request: web.Request) -> Services:
    """Give the parts of the cluster."""
    return request.app[SERVICES]


def identity(request: web.Request) -> Identity:
    """Give who sent the request."""
    return request[IDENTITY]


def authorize(request: web.Request, attributes: Attributes) -> None:
    """Raise Forbidden for what the sender may not do."""
    require(services(request).store, identity(request), attributes)


def write_options(request: web.Request) -> WriteOptions:
    """Read the request's options for a write."""
    return WriteOptions.read(request.query, request.headers.get("User-Agent", ""))


def answer(content: Mapping[str, Any], *, status: int = 200, warnings: tuple[str, ...] | list[str] = ()) -> web.Response:
    """Make a JSON answer; kubectl prints each warning on stderr."""
    response = web.Response(
        body=json.dumps(content, separators=(",", ":")).encode(), status=status, content_type="application/json"
    )
    for warning in warnings:
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


def now() -> datetime:
    """Give the present time."""
    return datetime.now(UTC)
