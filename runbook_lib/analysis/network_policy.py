"""Whether network policies let a connection pass: the rules of the Kubernetes API, evaluated.

A pod that no policy selects for a direction accepts everything in it; one that is selected accepts what any rule of any of
these policies allows. Policies only ever add up. A connection must pass both the egress of its source and the ingress of its
target (https://kubernetes.io/docs/concepts/services-networking/network-policies/).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from runbook_lib.models.selectors import selects

__all__ = ["Access", "Passage", "Peer", "Policy", "Port", "passage", "removable"]

Rule = Mapping[str, Any]
Direction = Literal["ingress", "egress"]

_NAME_OF_NAMESPACE = "kubernetes.io/metadata.name"  # the label that every namespace has since Kubernetes 1.22


class Access(StrEnum):
    """Whether a connection passes. `unknown`: it depends on labels or addresses that are not known."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """One end of a connection: a pod's labels, its namespace and address, and the numbers of its named ports."""

    name: str
    labels: Mapping[str, str]
    namespace: str
    address: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Port:
    """Where a connection goes."""

    number: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Policy:
    """A NetworkPolicy: its spec as the API has it, with `policyTypes`, and when that was last written (UTC, None: not known)."""

    name: str
    spec: Mapping[str, Any]
    updated_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """The verdict on one direction. `policies` select the pod in this direction: together they deny what none of them allows."""

    direction: Direction
    access: Access
    policies: tuple[Policy, ...]


def passage(direction: Direction, policies: Iterable[Policy], *, pod: Peer, other: Peer | None, port: Port | None) -> Passage:
    """Whether `pod` may be reached by `other` on `port` (ingress), or may reach it (egress).

    other None: anybody. It is then denied only where nobody at all is let through, and unknown where only some are.
    port None: it is not known. A rule that names ports then leaves open whether it is about this connection.
    """
    selecting = tuple(one for one in policies if _concerns(one, direction, pod))
    if not selecting:
        return Passage(direction=direction, access=Access.ALLOWED, policies=())
    target = pod if direction == "ingress" else other
    rules = [rule for one in selecting for rule in one.spec.get(direction) or ()]
    verdicts = [_all((_peers(rule, direction, pod, other), _ports(rule, port, target))) for rule in rules]
    return Passage(direction=direction, access=_any(verdicts), policies=selecting)


def removable(policies: Sequence[Policy], denied: Passage, *, pod: Peer, other: Peer | None, port: Port | None) -> Policy | None:
    """The policy whose removal alone would let a denied connection pass; of several the newest. None when none would."""

    def age(one: Policy) -> float:
        return one.updated_at.timestamp() if one.updated_at else 0.0

    for candidate in sorted(denied.policies, key=age, reverse=True):
        rest = [one for one in policies if one.name != candidate.name]
        if passage(denied.direction, rest, pod=pod, other=other, port=port).access is Access.ALLOWED:
            return candidate
    return None


def _concerns(policy: Policy, direction: Direction, pod: Peer) -> bool:
    types = [str(kind).lower() for kind in policy.spec.get("policyTypes") or ()]
    return direction in types and selects(policy.spec.get("podSelector") or {}, pod.labels)


def _peers(rule: Rule, direction: Direction, pod: Peer, other: Peer | None) -> Access:
    """Whether the rule is about the other end. A rule that names nobody is about everybody."""
    named = rule.get("from" if direction == "ingress" else "to") or ()
    if not named:
        return Access.ALLOWED
    if other is None:
        return Access.UNKNOWN
    return _any(_peer(one, pod, other) for one in named)


def _peer(named: Rule, pod: Peer, other: Peer) -> Access:
    if block := named.get("ipBlock"):
        return _inside(block, other.address)
    pods, namespaces = named.get("podSelector"), named.get("namespaceSelector")
    if namespaces is None:
        where = Access.ALLOWED if other.namespace == pod.namespace else Access.DENIED
    else:
        where = _namespace(namespaces, other.namespace)
    return _all((where, _yes(pods is None or selects(pods, other.labels))))


def _namespace(selector: Rule, namespace: str) -> Access:
    """Of a namespace only its name is known: what a selector asks of other labels is not."""
    asked = {*(selector.get("matchLabels") or {}), *(one["key"] for one in selector.get("matchExpressions") or ())}
    if asked - {_NAME_OF_NAMESPACE}:
        return Access.UNKNOWN
    return _yes(selects(selector, {_NAME_OF_NAMESPACE: namespace}))


def _inside(block: Rule, address: str) -> Access:
    """Whether an address lies in a block. Whether a pod's own address is seen there depends on the network plugin."""
    if not address:
        return Access.UNKNOWN
    found = ipaddress.ip_address(address)

    def within(cidr: str) -> bool:
        network = ipaddress.ip_network(cidr, strict=False)
        return found.version == network.version and found in network

    return _yes(within(block["cidr"]) and not any(within(one) for one in block.get("except") or ()))


def _ports(rule: Rule, port: Port | None, target: Peer | None) -> Access:
    named = rule.get("ports") or ()
    if not named:
        return Access.ALLOWED
    return Access.UNKNOWN if port is None else _any(_port(one, port, target) for one in named)


def _port(named: Rule, port: Port, target: Peer | None) -> Access:
    if (named.get("protocol") or "TCP") != port.protocol:
        return Access.DENIED
    number = named.get("port")
    if number is None:
        return Access.ALLOWED
    if isinstance(number, str):
        known = target.ports.get(number) if target is not None else None
        return Access.UNKNOWN if target is None else _yes(known == port.number)
    return _yes(number <= port.number <= int(named.get("endPort") or number))


def _yes(holds: bool) -> Access:
    return Access.ALLOWED if holds else Access.DENIED


def _any(parts: Iterable[Access]) -> Access:
    found = set(parts)
    if Access.ALLOWED in found:
        return Access.ALLOWED
    return Access.UNKNOWN if Access.UNKNOWN in found else Access.DENIED


def _all(parts: Iterable[Access]) -> Access:
    found = set(parts)
    if Access.DENIED in found:
        return Access.DENIED
    return Access.UNKNOWN if Access.UNKNOWN in found else Access.ALLOWED
