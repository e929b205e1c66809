"""Policies are judged on the ports that the pods are reached on; where nobody says which, nothing is claimed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from runbook_lib.checks.network_policies import network_policies
from runbook_lib.models.finding import Finding, FindingStatus, Presence
from runbook_lib.models.frame import Frame
from runbook_lib.service import Service
from runbook_lib.testing import FakeCluster, Sick, context, fake_sources, pods, policy, service

APPLICATION = {"deployment": "shop", "selector": "app=shop"}
PROXY = {"name": "http-envoy-prom", "containerPort": 15090, "container": "istio-proxy"}


def look(known: Service | None = None, **cluster: Any) -> Finding:
    return network_policies(context(known, fake_sources(cluster=FakeCluster(**cluster))))


def presence(finding: Finding, name: str) -> Presence:
    signal = finding.signal(name)
    assert signal is not None
    return signal.presence


def shop(database: dict[str, Any] | None = None, **application: Any) -> Service:
    """The shop without a config map, and nothing known of its Service but what is given."""
    components: dict[str, Any] = {"application": {**APPLICATION, **application}}
    return service(components=components | ({"database": {"name": "shop", **database}} if database else {}), dependencies={})


def to_port(number: int | str, **more: Any) -> dict[str, Any]:
    return {"ports": [{"port": number, "protocol": "TCP"}], **more}


def leads_to(*targets: int | str, **more: Any) -> dict[str, Any]:
    """A Service with a port for each target."""
    ports = [{"name": f"p{number}", "port": 80 + number, "target_port": one} for number, one in enumerate(targets)]
    return {"ports": [{**port, "protocol": "TCP"} for port in ports], **more}


OWN = {"matchLabels": {"app": "shop"}}
WEB = policy("allow-web", podSelector=OWN, ingress=[to_port(3000)])
OUT = [{"ports": [{"port": 53, "protocol": "UDP"}]}]


@pytest.mark.parametrize("target", [3000, "http"])
def test_the_way_in_is_judged_on_the_port_that_the_service_leads_to(target: int | str) -> None:
    known = shop(kubernetes_service="shop")
    ports = (PROXY, {"name": "http", "containerPort": 3000, "container": "shop"})
    seen = look(
        known, pods=pods(ports=ports, containers=("istio-proxy", "shop")), services={"shop": leads_to(target)}, policies=WEB
    )
    assert seen.status is FindingStatus.NORMAL
    assert presence(seen, "policy_denies_clients") is Presence.ABSENT
    closed = look(
        pods=pods(ports=ports),
        services={"shop": leads_to(target)},
        policies=policy("other", podSelector=OWN, ingress=[to_port(8080)]),
    )
    assert "denies clients → shop (3000/TCP)" in closed.summary


def test_of_a_service_with_several_ports_it_is_that_of_the_url() -> None:
    known = shop(kubernetes_service="shop", url="http://shop:81")
    seen = look(known, services={"shop": leads_to(9090, 3000)}, policies=WEB)
    assert seen.status is FindingStatus.NORMAL
    unsaid = look(shop(kubernetes_service="shop"), services={"shop": leads_to(9090, 3000)}, policies=WEB, pods=pods(ports=()))
    assert unsaid.status is FindingStatus.UNKNOWN


@pytest.mark.parametrize(
    ("application", "values"),
    [
        ({}, {"ports": ({"containerPort": 3000},)}),
        (
            {"container": "shop"},
            {"ports": (PROXY, {"containerPort": 3000, "container": "shop"}), "containers": ("istio-proxy", "shop")},
        ),
        ({"url": "http://shop.example.com:3000"}, {"ports": ()}),
    ],
    ids=["the only port", "that of the container", "that of the url"],
)
def test_without_a_service_the_container_or_the_url_says_the_port(application: dict[str, Any], values: dict[str, Any]) -> None:
    seen = look(shop(**application), pods=pods(**values), policies=WEB)
    assert seen.status is FindingStatus.NORMAL
    table = dict(seen.tables)["Ways that the service needs"]
    assert table["way"][0] == "clients → shop (3000/TCP)"


def test_a_port_that_nobody_says_is_not_guessed_and_the_service_file_can_say_it() -> None:
    ports = (PROXY, {"containerPort": 3000, "container": "shop"})
    seen = look(shop(), pods=pods(ports=ports, containers=("istio-proxy", "shop")), policies=WEB)
    assert seen.status is FindingStatus.UNKNOWN
    assert "components.application (kubernetes_service" in seen.summary
    assert presence(seen, "policy_denies_clients") is Presence.UNKNOWN
    assert presence(seen, "policy_removable") is Presence.ABSENT


def test_a_policy_that_lets_nobody_in_denies_whatever_the_port_is() -> None:
    seen = look(shop(), pods=pods(ports=()), policies=policy("deny-all"))
    assert "Network policy deny-all" in seen.summary
    assert presence(seen, "policy_removable") is Presence.PRESENT


def test_the_database_is_judged_on_the_port_of_its_address() -> None:
    out = policy("out", types=["Egress"], egress=[*OUT, to_port(6432)])
    assert look(shop({"address": "db.example.com:6432"}), policies=out).status is FindingStatus.NORMAL
    closed = look(shop({"address": "db.example.com:5432"}), policies=out)
    assert "denies shop → the database (5432/TCP)" in closed.summary
    unsaid = look(shop({"selector": "app=postgres"}), policies=out)
    assert (unsaid.status, presence(unsaid, "policy_denies_egress")) == (FindingStatus.UNKNOWN, Presence.UNKNOWN)
    assert "set components.database.address" in unsaid.summary


@pytest.mark.parametrize("host", ["pgbouncer", "pgbouncer.shop", "pgbouncer.shop.svc.cluster.local"])
def test_behind_a_service_of_the_namespace_it_is_the_pods_port(host: str) -> None:
    out = policy("out", types=["Egress"], podSelector=OWN, egress=[*OUT, to_port(6432)])
    ports = [{"name": "", "port": 5432, "target_port": 6432, "protocol": "TCP"}]
    pooled = pods(["pgbouncer-1"], labels={"app": "pgbouncer"})
    known = shop({"address": f"{host}:5432", "selector": "app=postgres"})
    told = {"others": {"app=pgbouncer": pooled}, "policies": out}
    assert look(known, services={"pgbouncer": {"ports": ports}}, **told).status is FindingStatus.NORMAL
    headless = look(known, services={"pgbouncer": {"ports": ports, "cluster_ip": "None"}}, **told)
    assert "denies shop → the database (5432/TCP)" in headless.summary


def test_a_called_service_is_judged_on_the_port_behind_its_own_service() -> None:
    called = {"downstream": [{"name": "payments", "address": "payments:81"}]}
    known = service(components={"application": APPLICATION}, dependencies=called)
    out = policy("out", types=["Egress"], podSelector=OWN, egress=[*OUT, to_port(9000)])
    told = {"others": {"app=payments": pods(["payments-1"], labels={"app": "payments"})}, "policies": out}
    assert look(known, services={"payments": leads_to(8000, 9000)}, **told).status is FindingStatus.NORMAL
    closed = look(known, services={"payments": leads_to(8000, 7000)}, **told)
    assert "denies shop → payments (7000/TCP)" in closed.summary


def test_the_cache_is_judged_on_the_port_of_its_address_and_has_a_signal_of_its_own() -> None:
    cached = {"application": APPLICATION, "cache": {"usage": "products", "address": "redis.example.com:6379"}}
    known = service(components=cached, dependencies={})
    out = policy("out", types=["Egress"], egress=[*OUT, to_port(5432)])
    closed = look(known, policies=out)
    assert "denies shop → the cache (6379/TCP)" in closed.summary
    sides = ("policy_denies_cache", "policy_denies_egress", "policy_denies_database", "policy_denies_calls")
    assert [presence(closed, name) for name in sides] == [Presence.PRESENT, Presence.PRESENT, Presence.ABSENT, Presence.ABSENT]
    silent = policy("silent", types=["Egress"], egress=[to_port(6379)])
    told = [presence(look(known, policies=silent), name) for name in sides]
    assert told == [Presence.PRESENT] * 4  # whoever cannot ask for a name reaches nothing


def test_a_called_service_that_could_not_be_looked_at_is_none_whose_way_is_open() -> None:
    called = {"downstream": [{"name": "payments", "address": "payments:81"}]}
    known = service(components={"application": APPLICATION}, dependencies=called)
    seen = look(known, services={"payments": Sick("refused", "forbidden", name="kubernetes")}, policies=WEB)
    assert presence(seen, "policy_denies_calls") is Presence.UNKNOWN
    assert presence(seen, "policy_denies_database") is Presence.ABSENT


def test_without_a_policy_it_says_of_which_policies_it_speaks() -> None:
    seen = look(shop(), pods=pods(ports=()))
    assert seen.summary == "No NetworkPolicy (networking.k8s.io) concerns shop."
    assert any("Cilium" in note for note in seen.notes)


def test_a_sidecar_has_named_ports_and_is_not_what_makes_the_applications_port_unclear() -> None:
    sidecar = {"name": "https", "containerPort": 8443, "container": "proxy"}
    both = pods(ports=({"containerPort": 3000, "container": "shop"}, sidecar))
    assert look(shop(), pods=both, policies=WEB).status is FindingStatus.NORMAL
    way_in = policy("allow-https", podSelector=OWN, ingress=[to_port("https")])
    known = shop(kubernetes_service="shop")
    assert look(known, pods=both, services={"shop": leads_to("https")}, policies=way_in).status is FindingStatus.NORMAL


JOBS = [{"key": "job-name", "operator": "Exists"}]
NO_JOBS = [{"key": "job-name", "operator": "DoesNotExist"}]


def after_a_job(*others: Frame) -> Frame:
    """Pods behind that of a CronJob which has finished, and bears the labels of the service, too."""
    labels = {"app": "shop", "job-name": "backup-29012345"}
    values = {"owner": "Job/backup-29012345", "phase": "Succeeded", "state": "succeeded", "ready": False, "labels": labels}
    return Frame(pd.concat([pods(["backup-29012345-x7k2p"], ports=(), **values), *others], ignore_index=True))


def test_a_policy_for_the_pods_of_jobs_is_not_held_against_the_service() -> None:
    told = {"policies": policy("deny-into-jobs", podSelector={"matchExpressions": JOBS})}
    assert look(pods=after_a_job(pods()), **told).status is FindingStatus.NORMAL
    assert look(pods=after_a_job(), **told).status is FindingStatus.INFO


def test_a_policy_that_spares_the_pods_of_jobs_still_closes_the_way_in() -> None:
    seen = look(pods=after_a_job(pods()), policies=policy("lock", podSelector={"matchExpressions": NO_JOBS}))
    assert "Network policy lock" in seen.summary


def test_a_pod_that_is_ready_is_judged_before_one_that_is_not() -> None:
    unready = pods(["shop-0"], ready=False, labels={"app": "shop", "track": "canary"})
    both = Frame(pd.concat([unready, pods()], ignore_index=True))
    closed = policy("lock", podSelector={"matchLabels": {"track": "canary"}})
    assert look(pods=both, policies=closed).status is FindingStatus.NORMAL
    assert look(pods=unready, policies=closed).status is FindingStatus.CRITICAL


def test_a_caller_may_be_a_job_that_has_finished() -> None:
    called_by = {"upstream": [{"name": "backup", "selector": "app=backup"}]}
    known = service(components={"application": APPLICATION}, dependencies=called_by)
    out = policy("lock", types=["Egress"], podSelector={"matchExpressions": JOBS})
    seen = look(known, others={"app=backup": after_a_job()}, policies=out)
    assert "denies backup → shop" in seen.summary
