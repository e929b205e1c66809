"""What the state of a pod means is told apart by the cluster's own words."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from runbook_lib.analysis.pod_troubles import Trouble, troubles
from runbook_lib.testing import ago, pods

RECENTLY = ago(15)


def trouble(state: str, message: str = "", *, since: datetime = RECENTLY, **values: Any) -> Trouble:
    those = pods(["shop-1"], ready=False, state=state, message=message, ready_changed_at=since, started_at=since, **values)
    return troubles(those, recently=RECENTLY)[0]


@pytest.mark.parametrize(
    "reason",
    ["Terminated", "NodeShutdown", "Shutdown", "Preempting", "NodeAffinity", "NodeLost", "OutOfmemory", "DeletionByPodGC"],
)
def test_a_pod_whose_node_went_away_has_not_crashed(reason: str) -> None:
    found = trouble(f"failed: {reason}", "Pod was terminated in response to imminent node shutdown.", phase="Failed")
    assert found.kind == "evicted"
    assert found.text == ("shop-1: its node put it out, or went away (Pod was terminated in response to imminent node shutdown.)")


def test_a_pod_that_failed_for_a_reason_of_its_own_has_ended() -> None:
    assert trouble("failed: DeadlineExceeded", phase="Failed").kind == "ended"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('secret "shop-db" not found', "reference"),
        ('configmap "shop-config" not found', "reference"),
        ("couldn't find key DSN in Secret shop/shop-db", "reference"),
        ('container has runAsNonRoot and image will run as root (pod: "shop-1_shop(5f)", container: shop)', "command"),
        ('failed to prepare subPath for volumeMount "data" of container "shop"', "command"),
    ],
)
def test_a_container_whose_configuration_is_wrong_lacks_something_only_when_the_message_says_so(message: str, kind: str) -> None:
    found = trouble("waiting: CreateContainerConfigError", message, phase="Pending")
    assert found.kind == kind
    assert message in found.text


def test_a_pod_that_a_gate_holds_back_does_not_lack_room() -> None:
    found = trouble("pending: SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates", phase="Pending")
    assert found.text == (
        "shop-1: a gate keeps it from being given a node (Scheduling is blocked due to non-empty scheduling gates)"
    )
