"""Watches: the changes of a collection, one JSON object a line, for as long as the client stays."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from runbook_lab.cluster.api.context import now, services
from runbook_lab.cluster.api.options import ListOptions
from runbook_lab.cluster.api.representation import Representation
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.conversion import to_served
from runbook_lab.cluster.errors import BadRequest, Gone
from runbook_lab.cluster.history import Change, Subscription
from runbook_lab.cluster.selectors import SelectorError, parse_fields, parse_labels
from runbook_lab.cluster.store import Object, Store
from runbook_lab.cluster.tables.table import make_table, metadata_only

_BOOKMARK_SECONDS = 60
# What Kubernetes calls --min-request-timeout: a watch without a timeout ends after this to twice this.
_SHORTEST_WATCH_SECONDS = 1_800

Event = tuple[str, Object]


async def watch(request: web.Request, target: Target, options: ListOptions, form: Representation) -> web.StreamResponse:
    """Stream the changes that a client asked for, each in the form that it accepts."""
    store = services(request).store
    selected = _selection(target, options)
    render = _renderer(request, target, form)
    since = _since(options)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    seconds = options.timeout_seconds or _SHORTEST_WATCH_SECONDS * random.uniform(1, 2)
    response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        async with asyncio.timeout(seconds):
            async for kind, obj in _events(store, target, options, since, selected):
                content = render(obj) if kind not in ("BOOKMARK", "ERROR") else obj
                await response.write(json.dumps({"type": kind, "object": content}, separators=(",", ":")).encode() + b"\n")
        await response.write_eof()
    except TimeoutError:
        # The time that the client gave is over: the end of the stream, no error.
        await response.write_eof()
    except ConnectionResetError:
        # The client has seen enough and is gone, as with every `kubectl get -w` that somebody interrupts.
        pass
    return response


def _since(options: ListOptions) -> int | None:
    """Give the version that a watch begins after, None where it begins with all objects; BadRequest before the answer begins."""
    if options.resource_version in ("", "0") or options.initial_events:
        return None
    try:
        return int(options.resource_version)
    except ValueError as error:
        raise BadRequest(f"invalid resource version: {options.resource_version}") from error


async def _events(
    store: Store, target: Target, options: ListOptions, since: int | None, selected: Callable[[Object], bool]
) -> AsyncIterator[Event]:
    """Give what a watch tells: the present objects where no version is named, then the changes, with bookmarks in between."""
    resource = target.resource
    try:
        subscription = store.subscribe(resource.plural, namespace=target.namespace, since=since)
    except Gone as error:
        # A real server also says this inside the stream: the client lists again.
        yield "ERROR", error.status()
        return
    bookmark: Object = {"kind": resource.kind, "apiVersion": resource.api_version}
    try:
        if since is None:
            for obj in store.list(resource.plural, namespace=target.namespace):
                if selected(obj):
                    yield "ADDED", obj
        if options.initial_events and options.bookmarks:
            end = {"resourceVersion": str(store.version), "annotations": {"k8s.io/initial-events-end": "true"}}
            yield "BOOKMARK", {**bookmark, "metadata": end}
        async for change in _with_pauses(subscription):
            event = _selected_event(change, selected) if change else None
            if event:
                yield event
            elif change is None and options.bookmarks:
                yield "BOOKMARK", {**bookmark, "metadata": {"resourceVersion": str(store.version)}}
    except Gone as error:
        yield "ERROR", error.status()
    finally:
        subscription.close()


async def _with_pauses(subscription: Subscription) -> AsyncIterator[Change | None]:
    """Give the changes, and None whenever there was none for a minute."""
    while True:
        try:
            async with asyncio.timeout(_BOOKMARK_SECONDS):
                change = await anext(subscription)
        except TimeoutError:
            yield None
        else:
            yield change


def _selected_event(change: Change, selected: Callable[[Object], bool]) -> Event | None:
    """Tell a change as the watcher of a selection sees it: what begins to match is added, what no longer matches is deleted."""
    before = change.previous is not None and selected(change.previous)
    after = change.type != "DELETED" and selected(change.object)
    if before and after:
        return "MODIFIED", change.object
    if after:
        return "ADDED", change.object
    return ("DELETED", change.object) if before else None


def _selection(target: Target, options: ListOptions) -> Callable[[Object], bool]:
    try:
        labels, fields = parse_labels(options.labels), parse_fields(options.fields, target.resource.plural)
    except SelectorError as error:
        raise BadRequest(str(error)) from error
    return lambda obj: labels(obj) and fields(obj) and target.name in (None, obj["metadata"]["name"])


def _renderer(request: web.Request, target: Target, form: Representation) -> Callable[[Object], Any]:
    if form.kind == "Table":
        include = request.query.get("includeObject", "Metadata")
        return lambda obj: make_table(
            target.resource.plural,
            [obj],
            list_metadata={"resourceVersion": obj["metadata"]["resourceVersion"]},
            now=now(),
            version=form.version,
            include=include,
        )
    if form.kind:
        return lambda obj: metadata_only(obj, form.version)
    return lambda obj: to_served(target.resource, obj)
