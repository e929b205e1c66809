"""`kubectl logs`: the node's log of one container, streamed."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from runbook_lab.cluster.api.containers import container_of
from runbook_lab.cluster.api.context import now, services
from runbook_lab.cluster.api.options import flag, number
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.errors import BadRequest, MethodNotAllowed, NotFound
from runbook_lab.cluster.node.interface import ContainerNotFoundError, NodeError


async def serve_logs(request: web.Request, target: Target) -> web.StreamResponse:
    """Stream a container's log as plain text."""
    if request.method != "GET":
        raise MethodNotAllowed("the server does not allow this method on the requested resource", resource=target.resource)
    pod = services(request).store.get("pods", str(target.name), namespace=target.namespace)
    query = request.query
    tail, limit = number(query, "tailLines"), number(query, "limitBytes")
    chunks = services(request).node.logs(
        str(target.namespace),
        str(target.name),
        container_of(pod, query.get("container")),
        previous=flag(query, "previous"),
        follow=flag(query, "follow"),
        tail_lines=None if tail is None else int(tail),
        since=_since(request),
        timestamps=flag(query, "timestamps"),
        limit_bytes=None if limit is None else int(limit),
    )
    try:
        # The first chunk tells whether there is a log at all, while the answer's code can still say so.
        first = await anext(chunks, b"")
    except ContainerNotFoundError as error:
        raise NotFound(str(error), resource=target.resource, name=target.name) from error
    except NodeError as error:
        raise BadRequest(str(error)) from error
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    await response.write(first)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


def _since(request: web.Request) -> datetime | None:
    seconds = number(request.query, "sinceSeconds")
    if seconds is not None:
        return now() - timedelta(seconds=seconds)
    text = request.query.get("sinceTime")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f'parsing time "{text}": expected RFC 3339') from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
