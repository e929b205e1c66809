"""What NetworkPolicies let through, as a network plugin evaluates them.

runbook_lib evaluates policies too, to explain an outage. These lines are written apart from those: what a runbook says of one
is tried against what the policy does here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from runbook_lab.cluster.controllers.endpoints import target_port
from runbook_lab.cluster.metadata import Object
from runbook_lab.cluster.selectors import parse_label_selector

Direction = Literal["ingress", "egress"]


@dataclass(frozen=True)
class End:
    """One end of a connection: its address, and its pod with the labels of the pod's namespace; None for what is no pod."""

    ip: str
    pod: Object | None = None
    namespace_labels: Mapping[str, str] | None = None


def lets_through(policies: Sequence[Object], source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Tell whether a connection passes the egress of its source and the ingress of its target.

    What is no pod has no policies of its own. The node and what runs beside the cluster reach every pod, as a kubelet must.
    """
    if source.pod is None:
        return True
    place = _Place(target, port, protocol)
    leaves = _allowed("egress", policies, of=source, other=target, place=place)
    return leaves and _allowed("ingress", policies, of=target, other=source, place=place)


@dataclass(frozen=True)
class _Place:
    """Where a connection goes."""

    end: End
    port: int
    protocol: str


def _allowed(direction: Direction, policies: Iterable[Object], *, of: End, other: End, place: _Place) -> bool:
    selecting = [policy for policy in policies if of.pod is not None and _selects(policy, direction, of.pod)]
    rules = [(policy, rule) for policy in selecting for rule in policy["spec"].get(direction) or ()]
    side = "from" if direction == "ingress" else "to"
    return not selecting or any(
        _names_peer(rule.get(side) or (), other, policy["metadata"]["namespace"]) and _names_port(rule.get("ports") or (), place)
        for policy, rule in rules
    )


def _selects(policy: Object, direction: Direction, pod: Object) -> bool:
    spec = policy["spec"]
    # Without policyTypes a policy is about ingress, and about egress where it has such rules.
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    at_home = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return direction.capitalize() in types and at_home and parse_label_selector(spec.get("podSelector"))(pod)


def _names_peer(peers: Iterable[Object], other: End, namespace: str) -> bool:
    """Without peers a rule is about everybody."""
    peers = list(peers)
    return not peers or any(_is_peer(peer, other, namespace) for peer in peers)


def _is_peer(peer: Object, other: End, namespace: str) -> bool:
    if block := peer.get("ipBlock"):
        address = ipaddress.ip_address(other.ip)
        excepted = any(address in ipaddress.ip_network(part) for part in block.get("except") or ())
        return address in ipaddress.ip_network(block["cidr"]) and not excepted
    if other.pod is None:
        return False
    if (namespaces := peer.get("namespaceSelector")) is None:
        is_near = other.pod["metadata"]["namespace"] == namespace
    else:
        is_near = parse_label_selector(namespaces)({"metadata": {"labels": other.namespace_labels or {}}})
    return is_near and parse_label_selector(peer.get("podSelector"))(other.pod)


def _names_port(ports: Iterable[Object], place: _Place) -> bool:
    """Without ports a rule is about all of them. A port by name is that of the target's containers."""
    ports = list(ports)
    return not ports or any(_is_port(entry, place) for entry in ports)


def _is_port(entry: Object, place: _Place) -> bool:
    if entry.get("protocol", "TCP") != place.protocol:
        return False
    first = entry.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        return place.end.pod is not None and target_port(first, place.end.pod) == place.port
    return int(first) <= place.port <= int(entry.get("endPort") or first)
