"""Network policies as the API defines them: what is selected is closed but for what a rule allows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.analysis.network_policy import Access, Passage, Peer, Policy, Port, passage, removable

SHOP = Peer(name="shop", labels={"app": "shop"}, namespace="shop", address="10.0.0.1", ports={"http": 8080})
CLIENT = Peer(name="client", labels={"app": "gateway"}, namespace="shop", address="10.0.0.9")
STRANGER = Peer(name="stranger", labels={"app": "gateway"}, namespace="edge", address="10.9.0.1")
HTTP = Port(8080)
DENY = Policy("deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
GATEWAY = {"podSelector": {"matchLabels": {"app": "gateway"}}}


def allowing(name: str = "allow", **rule: Any) -> Policy:
    return Policy(name, {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]})


def reached(*policies: Policy, by: Peer | None = CLIENT, on: Port = HTTP) -> Access:
    return passage("ingress", policies, pod=SHOP, other=by, port=on).access


def test_without_a_policy_everything_passes():
    assert reached() is Access.ALLOWED


def test_a_policy_without_rules_lets_nobody_through():
    assert reached(DENY) is Access.DENIED
    assert reached(DENY, by=None) is Access.DENIED


def test_a_policy_for_other_pods_or_the_other_direction_changes_nothing():
    other = Policy("other", {"podSelector": {"matchLabels": {"app": "payments"}}, "policyTypes": ["Ingress"]})
    egress = Policy("egress", {"podSelector": {}, "policyTypes": ["Egress"]})
    assert reached(other, egress) is Access.ALLOWED
    assert passage("egress", [egress], pod=SHOP, other=CLIENT, port=Port(5432)).access is Access.DENIED


def test_an_empty_rule_lets_everybody_through():
    assert reached(DENY, allowing()) is Access.ALLOWED


def test_what_one_policy_allows_no_other_takes_away():
    assert reached(allowing(**{"from": [GATEWAY]}), DENY) is Access.ALLOWED


@pytest.mark.parametrize(
    ("peer", "by", "expected"),
    [
        (GATEWAY, CLIENT, Access.ALLOWED),
        (GATEWAY, STRANGER, Access.DENIED),
        ({"namespaceSelector": {}}, STRANGER, Access.ALLOWED),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}, **GATEWAY}, STRANGER, Access.ALLOWED),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}, **GATEWAY}, CLIENT, Access.DENIED),
        ({"namespaceSelector": {"matchLabels": {"team": "edge"}}}, STRANGER, Access.UNKNOWN),
        ({"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {"matchLabels": {"c": "d"}}}, SHOP, Access.DENIED),
        ({"ipBlock": {"cidr": "10.9.0.0/16"}}, STRANGER, Access.ALLOWED),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}}, STRANGER, Access.DENIED),
        ({"ipBlock": {"cidr": "fd00::/8"}}, STRANGER, Access.DENIED),
    ],
)  # fmt: skip
def test_a_rule_is_about_whom_it_names(peer: dict[str, Any], by: Peer, expected: Access):
    assert reached(allowing(**{"from": [peer]}), by=by) is expected


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": 8080}, Access.ALLOWED),
        ({"port": "http"}, Access.ALLOWED),
        ({"port": "metrics"}, Access.DENIED),
        ({"port": 8000, "endPort": 8100}, Access.ALLOWED),
        ({"port": 80}, Access.DENIED),
        ({"port": 8080, "protocol": "UDP"}, Access.DENIED),
        ({"protocol": "TCP"}, Access.ALLOWED),
    ],
)
def test_a_rule_is_about_the_ports_it_names(port: dict[str, Any], expected: Access):
    assert reached(allowing(ports=[port])) is expected


def test_nobody_in_particular_is_denied_only_where_nobody_is_let_through():
    assert reached(allowing(**{"from": [GATEWAY]}), by=None) is Access.UNKNOWN
    assert reached(allowing(**{"from": [GATEWAY]}, ports=[{"port": 9}]), by=None) is Access.DENIED
    assert reached(allowing(ports=[{"port": 8080}]), by=None) is Access.ALLOWED


def test_a_named_port_of_an_unknown_target_is_not_known():
    named = Policy("e", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "dns"}]}]})
    assert passage("egress", [named], pod=SHOP, other=None, port=Port(53)).access is Access.UNKNOWN


def denied(*policies: Policy) -> tuple[Passage, Policy | None]:
    found = passage("ingress", policies, pod=SHOP, other=CLIENT, port=HTTP)
    return found, removable(policies, found, pod=SHOP, other=CLIENT, port=HTTP)


def test_the_newest_policy_that_alone_closes_the_way_is_the_one_to_remove():
    assert denied(DENY)[1] is DENY
    old = Policy("old", DENY.spec, datetime(2026, 1, 1, tzinfo=UTC))
    found, one = denied(old, DENY)
    assert [policy.name for policy in found.policies] == ["old", "deny"]
    assert one is None, "with the other one left, nobody gets through"


SPECS = st.sampled_from([DENY, allowing(), allowing(**{"from": [GATEWAY]}), allowing(ports=[{"port": 9}])])


@given(st.lists(SPECS, max_size=4), SPECS)
def test_a_further_policy_of_selected_pods_never_closes_what_was_open(policies: list[Policy], more: Policy):
    if policies and reached(*policies) is Access.ALLOWED:
        assert reached(*policies, more) is Access.ALLOWED


@given(st.permutations([DENY, allowing(**{"from": [GATEWAY]}), allowing(ports=[{"port": 9}])]))
def test_the_order_of_policies_does_not_matter(policies: list[Policy]):
    assert reached(*policies) is Access.ALLOWED
