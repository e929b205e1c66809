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
