"""How many pods a rollout takes down, and when it is through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.actions.rollout_status import settling_of
from runbook_lib.actions.workload import Workload


def a_deployment(replicas: int = 3, strategy: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "orders",
            "uid": "d",
            "generation": 2,
            "annotations": {"deployment.kubernetes.io/revision": "2"},
        },
        "spec": {
            "replicas": replicas,
            "strategy": strategy or {},
            "template": {},
            "selector": {"matchLabels": {"app": "orders"}},
        },
        "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3} | status,
    }


def rolling(unavailable: Any, surge: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}}


@pytest.mark.parametrize(
    ("replicas", "strategy", "down"),
    [
        (3, None, 0),  # a quarter of three, rounded down; one more pod is started instead
        (10, None, 2),
        (3, rolling("50%", 0), 1),
        (3, rolling(2, 1), 2),
        (1, rolling(0, 0), 1),
        (4, {"type": "Recreate"}, 4),
    ],
)
def test_pods_down_together_are_counted_as_the_controller_counts(replicas: int, strategy: Any, down: int) -> None:
    assert Workload(a_deployment(replicas, strategy)).pods_at_once == down


@given(replicas=st.integers(0, 500), unavailable=st.integers(0, 100), surge=st.integers(0, 100))
def test_a_rollout_never_takes_down_more_pods_than_there_are(replicas: int, unavailable: int, surge: int) -> None:
    workload = Workload(a_deployment(replicas, rolling(f"{unavailable}%", f"{surge}%")))
    assert 0 <= workload.pods_at_once <= replicas
    assert workload.pods_at_once or workload.surge or not replicas


def replica_set(name: str, revision: int) -> dict[str, Any]:
    owner = {"kind": "Deployment", "uid": "d", "controller": True}
    annotations = {"deployment.kubernetes.io/revision": str(revision)}
    return {"metadata": {"name": name, "annotations": annotations, "ownerReferences": [owner]}}


def a_pod(name: str, owner: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "ownerReferences": [{"name": owner, "controller": True}]}, "status": status}


SETS = [replica_set("old", 1), replica_set("new", 2)]


def test_a_rollout_is_through_when_all_pods_are_new_and_available() -> None:
    assert settling_of(a_deployment(), SETS, [a_pod("a", "new")]).done


@pytest.mark.parametrize(
    "status",
    [{"observedGeneration": 1}, {"updatedReplicas": 2}, {"availableReplicas": 2}, {"replicas": 4}],
)
def test_a_rollout_under_way_is_not_through(status: dict[str, int]) -> None:
    assert not settling_of(a_deployment(**status), SETS, []).done


def test_old_pods_that_still_end_their_requests_are_waited_for() -> None:
    settling = settling_of(a_deployment(), SETS, [a_pod("a", "new"), a_pod("b", "old")])
    assert not settling.done
    assert "1 old ones left" in settling.text


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_old_pods_that_have_ended_and_are_still_listed_are_not_waited_for(phase: str) -> None:
    assert settling_of(a_deployment(), SETS, [a_pod("a", "new"), a_pod("b", "old", phase=phase, reason="Evicted")]).done


def test_the_time_that_old_pods_have_to_end_is_told_once_only_they_are_left() -> None:
    ending = a_pod("b", "old")
    ending["metadata"]["deletionTimestamp"] = "2026-03-01T04:00:00Z"
    ending["spec"] = {"terminationGracePeriodSeconds": 120}
    assert settling_of(a_deployment(), SETS, [a_pod("a", "new"), ending]).grace_seconds == 120.0
    assert settling_of(a_deployment(availableReplicas=2), SETS, [a_pod("a", "new"), ending]).grace_seconds == 0.0
    assert settling_of(a_deployment(), SETS, [a_pod("b", "old"), ending]).grace_seconds == 0.0


def test_pods_of_somebody_else_with_the_same_label_are_not_waited_for() -> None:
    assert settling_of(a_deployment(), SETS, [a_pod("debug", "another")]).done


def test_the_new_pods_own_trouble_says_why_it_is_stuck() -> None:
    waiting = [{"name": "orders", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    pods = [a_pod("a", "new", containerStatuses=waiting), a_pod("b", "old", containerStatuses=waiting)]
    assert settling_of(a_deployment(updatedReplicas=1), SETS, pods).stuck == "pod a: ImagePullBackOff"
    condition = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "it has timed out progressing"}
    assert settling_of(a_deployment(updatedReplicas=1, conditions=[condition]), SETS, []).stuck == "it has timed out progressing"


@pytest.mark.parametrize(
    ("unavailable", "told"),
    [(0, "each only once a new one is ready"), (1, "at most 1 down at a time"), ("50%", "at most 1 down")],
)
def test_how_a_rollout_takes_pods_down_is_said_as_a_person_would(unavailable: int | str, told: str) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": unavailable}}
    found = {"metadata": {"name": "orders"}, "spec": {"replicas": 3, "strategy": strategy, "template": {}}, "status": {}}
    assert Workload(found).pace.startswith(told)
