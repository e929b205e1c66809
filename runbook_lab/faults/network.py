"""network_partition: what is well on both sides of a way that is closed. network_delay: the way is open, and long.

A way is closed or it is not: the intensity changes nothing about a partition.
"""

from __future__ import annotations

import random
from typing import Any

from runbook_lab.cluster.node.traffic import Link
from runbook_lab.faults.declaration import Create, Patch, SlowLinks, Step

_NAME = "orders"
_MORE_LABELS = ({"tier": "web"}, {"track": "stable"}, {"app.kubernetes.io/part-of": "checkout"})
INGRESS_POLICY, EGRESS_POLICY = "orders-ingress", "orders-egress"
DATABASE_POLICY, PAYMENTS_POLICY = "postgres-ingress", "payments-ingress"
# Those whom the author of the policy had in mind: the gateway that is to come, a namespace for monitoring, nobody yet.
_ADMITTED: tuple[list[dict[str, Any]], ...] = (
    [{"from": [{"podSelector": {"matchLabels": {"app": "gateway"}}}]}],
    [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]}],
    [],
)
_DNS: dict[str, Any] = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
_LEAST_SECONDS, _MORE_SECONDS = 0.24, 0.05
_JITTER = 0.15  # of the delay


def draw_selector(chance: random.Random, _: float) -> tuple[str, tuple[Step, ...]]:
    """One label more than the pods have."""
    more = chance.choice(_MORE_LABELS)
    label = ", ".join(f"{key}={value}" for key, value in more.items())
    return f"the service orders asks its pods for the label {label}, which they do not have", (
        Patch("Service", _NAME, {"spec": {"selector": more}}),
    )


def draw_ingress_policy(chance: random.Random, _: float) -> tuple[str, tuple[Step, ...]]:
    """A policy that has everybody in mind but those who call."""
    spec = {"policyTypes": ["Ingress"], "ingress": chance.choice(_ADMITTED)}
    return f"network policy {INGRESS_POLICY} lets none of its customers reach orders", (_policy(INGRESS_POLICY, spec),)


def draw_egress_policy(chance: random.Random, _: float) -> tuple[str, tuple[Step, ...]]:
    """A policy that names what orders calls, but for its database."""
    named = ["payments", "inventory", "redis"]
    chance.shuffle(named)
    called = {"to": [{"podSelector": {"matchLabels": {"app": name}}} for name in named]}
    spec = {"policyTypes": ["Egress"], "egress": [_DNS, called]}
    return f"network policy {EGRESS_POLICY} lets orders reach all that it needs but its database", (_policy(EGRESS_POLICY, spec),)


def draw_database_policy(chance: random.Random, _: float) -> tuple[str, tuple[Step, ...]]:
    """A policy of the database's owners that has all in mind but orders."""
    return _of_the_called("postgres", DATABASE_POLICY, ("backup", "reporting"), chance)


def draw_payments_policy(chance: random.Random, _: float) -> tuple[str, tuple[Step, ...]]:
    """A policy of the owners of payments that has all in mind but orders."""
    return _of_the_called("payments", PAYMENTS_POLICY, ("checkout", "backoffice"), chance)


def _of_the_called(app: str, policy: str, admitted: tuple[str, str], chance: random.Random) -> tuple[str, tuple[Step, ...]]:
    callers = [{"podSelector": {"matchLabels": {"app": name}}} for name in chance.sample(admitted, chance.choice((1, 2)))]
    spec = {"policyTypes": ["Ingress"], "ingress": [{"from": callers}]}
    return f"network policy {policy} keeps orders out of {app}", (_policy(policy, spec, app),)


def draw_delay(chance: random.Random, intensity: float) -> tuple[str, tuple[Step, ...]]:
    """Slow interfaces of two pods of orders, or of all."""
    seconds = round(_LEAST_SECONDS + _MORE_SECONDS * intensity, 3)
    pods = chance.choice((2, 3))
    text = f"what leaves {pods} pods of orders is {seconds * 1000:.0f} ms late, {_JITTER:.0%} more or less"
    return text, (SlowLinks(_NAME, pods, Link(delay_seconds=seconds, jitter_seconds=round(seconds * _JITTER, 3))),)


def _policy(name: str, spec: dict[str, Any], app: str = _NAME) -> Create:
    selector = {"podSelector": {"matchLabels": {"app": app}}}
    metadata = {"name": name, "labels": {"app": app}}
    return Create({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": selector | spec})
