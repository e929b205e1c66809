"""The ends of the connections that a service needs: the pods there, their port, and the policies that select them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from runbook_lib.analysis.addresses import Address, address_of_cache, address_of_database, address_of_downstream
from runbook_lib.analysis.network_policy import Peer, Policy, Port
from runbook_lib.analysis.pod_troubles import serving
from runbook_lib.checks.connecting import settings
from runbook_lib.checks.context import CheckContext
from runbook_lib.errors import ConfigurationError, SourceMissingObject
from runbook_lib.models.frame import Frame
from runbook_lib.models.selectors import selector_text
from runbook_lib.service.models import Downstream, Upstream
from runbook_lib.sources.interface import Cluster

__all__ = ["CACHE", "DATABASE", "End", "cache_end", "called_end", "calling_end", "database_end", "own_end"]

DATABASE, CACHE = "components.database.address", "components.cache.address"
"""What the service file says of the ports of the database and of the cache."""

_Pod = Mapping[Any, Any]
_Service = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """One end of a connection: one of its pods (None: it is elsewhere), the policies that select it, and its port.

    port: that of the pod, as policies judge it, and not that of a Service in front of it; None: nobody says. mend: what to add to
    the service file, so that it is known.
    """

    peer: Peer | None = None
    policies: tuple[Policy, ...] = ()
    port: Port | None = None
    mend: str = ""


def own_end(context: CheckContext) -> End | None:
    """The service's own pods; None when there are none. Raises SourceError."""
    cluster, application = context.sources.cluster, context.service.components.application
    pod = _pod(cluster, context.selector)
    if pod is None:
        return None
    found = _service(cluster, application.kubernetes_service) if application.kubernetes_service else None
    asked, declared = _port_of_url(context), _declared(pod, application.container)
    port = _behind(found, pod, asked) if found else None
    if port is None and len(declared) == 1:
        (port,) = declared
    if port is None and asked is not None and (not declared or Port(asked) in declared):
        port = Port(asked)
    mend = "components.application (kubernetes_service, container, and the port in url)"
    return _end(cluster, context.service.name, pod, port, mend)


def database_end(context: CheckContext) -> End:
    """The database's pods, or where it is instead, as a pod of the service connects to it. Raises SourceError."""
    cluster, database, name = context.sources.cluster, context.service.components.database, "the database"
    known = settings(context) if database is not None and database.address is None else {}
    address = address_of_database(context.service, known)
    if address is not None and (found := _at(cluster, name, address, DATABASE)) is not None:
        return found
    port = Port(address.port) if address is not None else None
    pod = _pod(cluster, database.selector) if database is not None and database.selector else None
    return _end(cluster, name, pod, port, DATABASE) if pod is not None else End(port=port, mend=DATABASE)


def cache_end(context: CheckContext) -> End:
    """The cache's pods where a Service of the namespace leads to them, or where it is instead. Raises SourceError."""
    cluster, cache = context.sources.cluster, context.service.components.cache
    address = address_of_cache(context.service, settings(context) if cache is not None and cache.address is None else {})
    if address is not None and (found := _at(cluster, "the cache", address, CACHE)) is not None:
        return found
    return End(port=Port(address.port) if address is not None else None, mend=CACHE)


def called_end(context: CheckContext, called: Downstream) -> End | None:
    """The pods of a service that this one calls; None when it is elsewhere. Raises SourceError."""
    known = settings(context) if called.address is None and called.setting_keys else {}
    cluster, address = context.sources.cluster, address_of_downstream(called, known)
    mend = f"the address of {called.name} in dependencies.downstream"
    if address is not None:
        return _at(cluster, called.name, address, mend)
    return _of_service(cluster, called.name, called.name, None, mend)


def calling_end(cluster: Cluster, caller: Upstream) -> End | None:
    """The pods of a service that calls this one, whose port does not matter; None when it is elsewhere. Raises SourceError."""
    if caller.selector is None:
        return _of_service(cluster, caller.name, caller.name, None, "")
    pod = _pod(cluster, caller.selector) or _any_pod(cluster, caller.selector)
    return _end(cluster, caller.name, pod, None, "") if pod is not None else None


def _at(cluster: Cluster, name: str, address: Address, mend: str) -> End | None:
    """The pods behind an address that is a Service of the namespace; None when it is none."""
    host, *rest = address.host.split(".")
    if rest and (rest[0] != cluster.namespace or rest[1:2] not in ([], ["svc"])):
        return None
    return _of_service(cluster, name, host, address.port, mend)


def _of_service(cluster: Cluster, name: str, service: str, asked: int | None, mend: str) -> End | None:
    """The pods behind a Service of this name in the namespace; None when there is none, or nobody behind it."""
    found = _service(cluster, service)
    selector = found["selector"] if found else {}
    pod = _pod(cluster, selector_text({"matchLabels": selector})) if selector else None
    return _end(cluster, name, pod, _behind(found, pod, asked), mend) if found and pod is not None else None


def _service(cluster: Cluster, name: str) -> _Service | None:
    try:
        return cluster.service(name)
    except SourceMissingObject:
        return None


def _pod(cluster: Cluster, selector: str) -> _Pod | None:
    """A pod of a selector that serves, a ready one if there is one; None when there are none whose labels could be judged.

    The pods of a job bear the selector's labels, too, and some of their own, by which policies may tell them from the others.
    """
    pods = serving(cluster.pods(selector))
    return None if pods.empty else dict(pods.sort_values("ready", ascending=False, kind="stable").iloc[0])


def _any_pod(cluster: Cluster, selector: str) -> _Pod | None:
    """Whoever calls may be a job, of which there is perhaps none but a finished pod just now."""
    pods = cluster.pods(selector)
    return None if pods.empty else dict(pods.iloc[0])


def _end(cluster: Cluster, name: str, pod: _Pod, port: Port | None, mend: str) -> End:
    peer = Peer(name=name, labels=pod["labels"], namespace=cluster.namespace, address=str(pod["ip"]), ports=_names(pod))
    return End(peer=peer, policies=_policies(cluster.network_policies(pod["labels"])), port=port, mend=mend)


def _policies(found: Frame) -> tuple[Policy, ...]:
    return tuple(
        Policy(str(name), spec, None if pd.isna(at) else pd.Timestamp(at).to_pydatetime())
        for name, spec, at in zip(found["policy"], found["spec"], found["updated_at"], strict=True)
    )


def _names(pod: _Pod) -> dict[str, int]:
    """The numbers of the named ports; of two containers with the same name, that of the first."""
    return {port["name"]: int(port["containerPort"]) for port in reversed(pod["ports"]) if port.get("name")}


def _behind(service: _Service, pod: _Pod, asked: int | None) -> Port | None:
    """The pod's port behind that of a Service which is `asked` for; unasked, its only one, else the one for HTTP."""
    ports = service["ports"]
    chosen = [one for one in ports if one["port"] == asked] or (
        ports if len(ports) == 1 else [one for one in ports if one["name"] == "http"]
    )
    if not chosen:
        return None
    protocol, target = chosen[0]["protocol"], chosen[0]["target_port"]
    if service["cluster_ip"] == "None" and asked is not None:  # a headless Service leads to the pods as they are
        return Port(asked, protocol)
    number = _names(pod).get(target) if isinstance(target, str) else int(target)
    return Port(number, protocol) if number is not None else None


def _declared(pod: _Pod, container: str | None) -> set[Port]:
    """The ports of the application's container: nothing when it is one of several and the service file does not say which."""
    own = pod["containers"][0] if len(pod["containers"]) == 1 else container
    ports = [port for port in pod["ports"] if own and port.get("container", own) == own]
    return {Port(int(port["containerPort"]), port.get("protocol") or "TCP") for port in ports}


def _port_of_url(context: CheckContext) -> int | None:
    """The port that the service's url names."""
    url = context.service.components.application.url
    try:
        return urlsplit(url.resolve()).port if url is not None else None
    except (ConfigurationError, ValueError):  # the check that asks this address says what is wrong with it
        return None
