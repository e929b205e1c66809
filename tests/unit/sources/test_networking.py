from datetime import UTC, datetime

from runbook_lib.sources.networking import endpoint_rows, legacy_endpoint_rows, policy_rows, service_facts, slices_changed_at

POD = {"targetRef": {"kind": "Pod", "name": "orders-1"}, "nodeName": "node-1"}


def test_an_endpoint_without_a_ready_condition_is_ready():
    ports = [{"port": 8080}]
    endpoints = [
        {"addresses": ["10.0.0.1"], **POD},
        {"addresses": ["10.0.0.2"], "conditions": {"ready": False}},
        {"addresses": ["10.0.0.3"], "conditions": {"ready": True}},
    ]
    found = endpoint_rows([{"ports": ports, "endpoints": endpoints}, {"ports": ports, "endpoints": endpoints[:1]}])
    assert found[0] == ("10.0.0.1", 8080, True, "orders-1", "node-1")
    assert [row[2] for row in found] == [True, False, True]


def test_the_older_endpoints_give_the_same_rows():
    subsets = [{"ports": [{"port": 8080}], "addresses": [{"ip": "10.0.0.1", **POD}], "notReadyAddresses": [{"ip": "10.0.0.2"}]}]
    assert legacy_endpoint_rows({"subsets": subsets}) == [
        ("10.0.0.1", 8080, True, "orders-1", "node-1"),
        ("10.0.0.2", 8080, False, "", ""),
    ]
    assert legacy_endpoint_rows({}) == []


def policy(name, **spec):
    return {"metadata": {"name": name}, "spec": {"podSelector": {}, **spec}}


def test_a_policy_is_read_out_in_sentences():
    gateway = {"podSelector": {"matchLabels": {"app": "gateway"}}, "namespaceSelector": {"matchLabels": {"team": "edge"}}}
    rules = [{"from": [gateway, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}}], "ports": [{"port": 8080}]}]
    ((_, types, ingress, egress, *_),) = policy_rows([policy("edge", ingress=rules)], {"app": "orders"})
    assert types == "Ingress"
    assert ingress == "from pods app=gateway in namespaces team=edge or 10.0.0.0/8 except 10.9.0.0/16 on 8080/TCP"
    assert egress == "not restricted"


def test_a_policy_without_rules_allows_nothing_and_one_with_an_empty_rule_everything():
    denies = policy("deny", policyTypes=["Ingress", "Egress"])
    allows = policy(
        "open", ingress=[{}], egress=[{"to": [{"podSelector": {}}], "ports": [{"port": 1, "endPort": 9, "protocol": "UDP"}]}]
    )
    first, second = policy_rows([denies, allows], {"app": "orders"})
    assert first[:4] == ("deny", "Ingress, Egress", "nothing is allowed", "nothing is allowed")
    assert second[:4] == ("open", "Ingress, Egress", "from anywhere on any port", "to all pods on 1-9/UDP")


def test_a_policy_for_other_pods_is_left_out():
    assert policy_rows([policy("other", podSelector={"matchLabels": {"app": "payments"}})], {"app": "orders"}) == []


def test_a_policy_says_which_directions_it_is_about_and_when_it_was_written():
    written = policy("egress", egress=[]) | {"metadata": {"name": "egress", "creationTimestamp": "2026-05-04T03:00:00Z"}}
    (row,) = policy_rows([written], {"app": "orders"})
    assert row[4]["policyTypes"] == ["Ingress"]
    assert row[5] == datetime(2026, 5, 4, 3, 0, tzinfo=UTC)


def wrote(manager, at, fields):
    return {"manager": manager, "time": at, "fieldsV1": fields}


def service(**spec):
    writes = [
        wrote("apply", "2026-05-01T00:00:00Z", {"f:spec": {"f:ports": {}, "f:selector": {"f:app": {}}}}),
        wrote("kubectl-patch", "2026-05-04T03:12:00Z", {"f:spec": {"f:selector": {"f:tier": {}}}}),
        wrote("address", "2026-05-04T09:00:00Z", {"f:spec": {"f:clusterIP": {}}}),
    ]
    return {"metadata": {"name": "orders", "managedFields": writes}, "spec": spec}


def test_a_service_tells_whom_it_selects_and_who_wrote_that_last():
    facts = service_facts(service(selector={"app": "orders", "tier": "web"}, ports=[{"port": 80, "targetPort": "http"}]))
    assert facts["selector"] == {"app": "orders", "tier": "web"}
    assert facts["ports"] == [{"name": "", "port": 80, "target_port": "http", "protocol": "TCP"}]
    assert (facts["updated_by"], facts["updated_at"]) == ("kubectl-patch", datetime(2026, 5, 4, 3, 12, tzinfo=UTC))
    assert facts["ports_updated_at"] == datetime(2026, 5, 1, tzinfo=UTC)


def test_a_service_without_a_selector_or_records_is_told_all_the_same():
    facts = service_facts({"metadata": {"name": "external"}, "spec": {"type": "ExternalName"}})
    assert (facts["selector"], facts["ports"], facts["updated_at"]) == ({}, [], None)


def test_when_endpoints_changed_last_is_read_from_who_wrote_them():
    writes = [wrote("controller", "2026-05-04T03:12:00Z", {"f:endpoints": {}}), wrote("other", "2026-05-04T09:00:00Z", {})]
    assert slices_changed_at([{"metadata": {"managedFields": writes}}]) == datetime(2026, 5, 4, 3, 12, tzinfo=UTC)
    assert slices_changed_at([{}]) is None
