"""Where a Service leads to: a port that pods do not declare is suspected only where something else speaks against it."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.checks.endpoints import endpoints
from runbook_lib.models.finding import Finding, FindingStatus, Presence
from runbook_lib.models.frame import Frame, frame
from runbook_lib.testing import FakeCluster, ago, context, error_symptom, fake_sources, pods

METRICS = pods(ports=({"name": "metrics", "containerPort": 9090},))


def look(*, onset: Any = None, **cluster: Any) -> Finding:
    symptom = {"symptom": error_symptom(onset)} if onset is not None else {}
    return endpoints(context(sources=fake_sources(cluster=FakeCluster(**cluster)), **symptom))


def leads_to(*targets: int | str, **more: Any) -> dict[str, Any]:
    ports = [{"name": f"p{number}", "port": 80 + number, "target_port": one} for number, one in enumerate(targets)]
    return {"shop": {"ports": [{**port, "protocol": "TCP"} for port in ports], **more}}


def ready_on(*ports: int | None) -> Frame:
    rows = [("10.0.0.1", port, True, "shop-1", "node-1") for port in ports]
    return frame(rows, columns=["address", "port", "ready", "pod", "node"])


def port(finding: Finding) -> Presence:
    signal = finding.signal("service_port_unknown")
    assert signal is not None
    return signal.presence


def test_pods_may_listen_on_a_port_that_they_do_not_declare() -> None:
    seen = look(pods=METRICS)
    assert (seen.status, port(seen)) == (FindingStatus.NORMAL, Presence.ABSENT)


def test_a_number_that_the_service_was_given_lately_is_suspected_and_nothing_worse_while_the_service_is_well() -> None:
    lately = leads_to(8080, ports_updated_at=ago(10))
    seen = look(pods=METRICS, services=lately)
    assert (seen.status, port(seen)) == (FindingStatus.WARNING, Presence.PRESENT)
    assert look(pods=METRICS, services=lately, onset=ago(10)).status is FindingStatus.CRITICAL
    assert look(pods=METRICS, services=lately, endpoints=ready_on()).status is FindingStatus.CRITICAL


def test_a_number_of_which_nobody_noted_since_when_it_is_there_is_not_ruled_out() -> None:
    assert port(look(pods=METRICS, services=leads_to(8080, ports_updated_at=None))) is Presence.UNKNOWN


@pytest.mark.parametrize(
    ("targets", "behind", "presence"),
    [
        (("https",), (8443,), Presence.ABSENT),
        (("https",), (None,), Presence.PRESENT),
        (("https",), (), Presence.PRESENT),
        (("https", "metrics"), (9090,), Presence.PRESENT),
        (("https", "metrics"), (9090, 8443), Presence.ABSENT),
    ],
    ids=["endpoints have it", "endpoints without a port", "no endpoints", "only those of another port", "those of both"],
)
def test_a_name_leads_nowhere_unless_endpoints_show_where(
    targets: tuple[str, ...], behind: tuple[int | None, ...], presence: Presence
) -> None:
    seen = look(pods=METRICS, services=leads_to(*targets), endpoints=ready_on(*behind))
    assert port(seen) is presence
    assert (seen.status is FindingStatus.CRITICAL) is (presence is Presence.PRESENT)
