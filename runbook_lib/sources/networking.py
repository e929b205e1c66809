"""Endpoints of a service, and network policies in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from runbook_lib.models.network_policy import policy_types
from runbook_lib.models.selectors import selector_text, selects
from runbook_lib.sources.managed_fields import last_write
from runbook_lib.sources.tables import instant

__all__ = [
    "ENDPOINT_COLUMNS",
    "POLICY_COLUMNS",
    "endpoint_rows",
    "legacy_endpoint_rows",
    "policy_rows",
    "service_facts",
    "slices_changed_at",
]

ENDPOINT_COLUMNS = {"address": "text", "port": "any", "ready": "flag", "pod": "text", "node": "text"}
POLICY_COLUMNS = {"policy": "text", "types": "text", "ingress": "text", "egress": "text", "spec": "any", "updated_at": "time"}

Object = Mapping[str, Any]


def endpoint_rows(slices: Iterable[Object]) -> list[tuple[Any, ...]]:
    """Rows of ENDPOINT_COLUMNS from EndpointSlices. While slices are rewritten an endpoint may stand in two; it is told once."""
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for one in slices:
        ports = [port.get("port") for port in one.get("ports") or ()] or [None]
        for endpoint in one.get("endpoints") or ():
            # the API: a missing condition `ready` means that it is
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            for address in endpoint.get("addresses") or ():
                for port in ports:
                    rows[address, port] = (address, port, ready, _pod(endpoint), endpoint.get("nodeName") or "")
    return sorted(rows.values(), key=lambda row: (row[0], row[1] or 0))


def slices_changed_at(slices: Iterable[Object]) -> datetime | None:
    """When addresses last came, went, or changed their readiness; None when nobody recorded it."""
    writes = [last_write(one["metadata"], "f:endpoints") for one in slices if one.get("metadata")]
    return max((write.at for write in writes if write is not None), default=None)


def legacy_endpoint_rows(endpoints: Object) -> list[tuple[Any, ...]]:
    """The same rows from an Endpoints object, for identities that may not read EndpointSlices."""
    rows: list[tuple[Any, ...]] = []
    for subset in endpoints.get("subsets") or ():
        ports = [port.get("port") for port in subset.get("ports") or ()] or [None]
        for ready, key in ((True, "addresses"), (False, "notReadyAddresses")):
            for address in subset.get(key) or ():
                rows.extend((address["ip"], port, ready, _pod(address), address.get("nodeName") or "") for port in ports)
    return sorted(rows, key=lambda row: (row[0], row[1] or 0))


def _pod(endpoint: Object) -> str:
    target = endpoint.get("targetRef") or {}
    return str(target.get("name") or "") if target.get("kind") == "Pod" else ""


def service_facts(service: Object) -> dict[str, Any]:
    """What an engineer asks of a Service; the keys are those of `Cluster.service`."""
    metadata, spec = service["metadata"], service.get("spec") or {}
    written = last_write(metadata, "f:spec", "f:selector") or last_write(metadata, "f:spec")
    ports_written = last_write(metadata, "f:spec", "f:ports")
    return {
        "name": metadata["name"],
        "type": spec.get("type") or "ClusterIP",
        "selector": dict(spec.get("selector") or {}),
        "ports": [
            {
                "name": port.get("name") or "",
                "port": port["port"],
                "target_port": port.get("targetPort", port["port"]),
                "protocol": port.get("protocol") or "TCP",
            }
            for port in spec.get("ports") or ()
        ],
        "cluster_ip": spec.get("clusterIP") or "",
        "resource_version": str(metadata.get("resourceVersion") or ""),
        "updated_at": written.at if written else None,
        "updated_by": written.manager if written else "",
        "ports_updated_at": ports_written.at if ports_written else None,
    }


def policy_rows(policies: Iterable[Object], labels: Mapping[str, str]) -> list[tuple[Any, ...]]:
    """Rows of POLICY_COLUMNS for the policies that select pods with these labels."""
    rows: list[tuple[Any, ...]] = []
    for policy in policies:
        spec = policy.get("spec") or {}
        if not selects(spec.get("podSelector") or {}, labels):
            continue
        types = policy_types(spec)
        ingress = _rules(spec.get("ingress"), "from") if "Ingress" in types else "not restricted"
        egress = _rules(spec.get("egress"), "to") if "Egress" in types else "not restricted"
        written = last_write(policy["metadata"], "f:spec")
        at = written.at if written else instant(policy["metadata"].get("creationTimestamp"))
        rows.append((policy["metadata"]["name"], ", ".join(types), ingress, egress, {**spec, "policyTypes": types}, at))
    return sorted(rows, key=lambda row: str(row[0]))


def _rules(rules: Sequence[Object] | None, direction: str) -> str:
    if not rules:
        return "nothing is allowed"
    return "; or ".join(_rule(rule, direction) for rule in rules)


def _rule(rule: Object, direction: str) -> str:
    peers = " or ".join(_peer(peer) for peer in rule.get(direction) or ()) or "anywhere"
    ports = ", ".join(_port(port) for port in rule.get("ports") or ())
    return f"{direction} {peers} on {ports or 'any port'}"


def _peer(peer: Object) -> str:
    if block := peer.get("ipBlock"):
        excluded = f" except {', '.join(block['except'])}" if block.get("except") else ""
        return f"{block['cidr']}{excluded}"
    pods, namespaces = peer.get("podSelector"), peer.get("namespaceSelector")
    words = f"pods {selector_text(pods)}" if selector_text(pods) else "all pods"
    if namespaces is None:
        return words
    where = selector_text(namespaces)
    return f"{words} in namespaces {where}" if where else f"{words} in all namespaces"


def _port(port: Object) -> str:
    number, last = port.get("port"), port.get("endPort")
    text = "any" if number is None else f"{number}-{last}" if last else str(number)
    return f"{text}/{port.get('protocol') or 'TCP'}"
