"""What the state of a pod means is told apart by the cluster's own words."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from runbook_lib.analysis.pod_troubles import Trouble, troubles
from runbook_lib.models.frame import Frame
from runbook_lib.testing import ago, events, pods

RECENTLY = ago(15)


def trouble(state: str, message: str = "", *, since: datetime = RECENTLY, told: Frame | None = None, **values: Any) -> Trouble:
    row = {"ready_changed_at": since, "started_at": since} | values
    those = pods(["shop-1"], ready=False, state=state, message=message, **row)
    return troubles(those, recently=RECENTLY, events=told)[0]


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


# --- who restarts a container

SLOW = "Liveness probe failed: Get http://10.0.0.1:8080/health: context deadline exceeded"
KILLED = "Container shop failed liveness probe, will be restarted"


def restarted(last_state: str, *told: tuple[datetime, str, str], state: str = "running, not ready") -> Trouble:
    """A pod that was restarted nine times, the last time a minute ago."""
    said = events(*((at, reason, "shop-1", message) for at, reason, message in told))
    return trouble(state, last_state=last_state, last_terminated_at=ago(1), restarts=9, told=said)


@pytest.mark.parametrize("state", ["running, not ready", "waiting: CrashLoopBackOff", "terminated: Completed (exit 0)"])
@pytest.mark.parametrize("last_state", ["Completed (exit 0) at 03:59", "Error (exit 137)", "Error (exit 143, signal 15)", ""])
def test_a_container_that_its_liveness_probe_ends_does_not_end_by_itself(state: str, last_state: str) -> None:
    found = restarted(last_state, (ago(2), "Unhealthy", SLOW), state=state)
    assert found.kind == "liveness"
    assert found.text == f"shop-1: the kubelet restarts it: its liveness or startup probe fails ({SLOW})"


def test_the_kubelets_own_word_counts_however_the_container_ends() -> None:
    assert restarted("Error (exit 2)", (ago(1.5), "Killing", KILLED)).kind == "liveness"
    startup = "Container shop failed startup probe, will be restarted"
    assert restarted("Error (exit 2)", (ago(1.5), "Killing", startup)).message == startup


def test_a_container_that_fails_by_itself_crashes_although_its_probe_fails_meanwhile() -> None:
    assert restarted("Error (exit 1)", (ago(2), "Unhealthy", SLOW)).kind == "crash"


def test_a_kill_of_earlier_does_not_explain_a_crash_of_now() -> None:
    assert restarted("Error (exit 1)", (ago(9), "Killing", KILLED)).kind == "crash"
    assert restarted("Error (exit 1)", (ago(1.5), "Killing", "Stopping container shop")).kind == "crash"


def test_a_kill_for_memory_stays_one_and_a_readiness_probe_ends_nothing() -> None:
    assert restarted("OOMKilled (exit 137)", (ago(2), "Unhealthy", SLOW)).kind == "oom"
    assert restarted("Error (exit 137)", (ago(2), "Unhealthy", "Readiness probe failed: 503")).kind == "crash"


def test_a_pod_that_was_never_restarted_fails_its_readiness_probe() -> None:
    told = events((ago(2), "Unhealthy", "shop-1", SLOW))
    assert trouble("running, not ready", told=told).kind == "probe"


def test_a_pod_that_a_probe_restarts_is_in_trouble_since_the_first_failure_that_was_told() -> None:
    told = events((ago(2), "Unhealthy", "shop-1", SLOW)).assign(first_seen=ago(10))
    between = {"ready_changed_at": ago(1), "last_state": "Completed (exit 0)", "last_terminated_at": ago(1), "restarts": 9}
    assert trouble("running, not ready", told=told, **between).since == ago(10)


# --- what keeps a pod from being set up

NO_SECRET = 'MountVolume.SetUp failed for volume "tls" : secret "shop-tls" not found'
NO_KEY = 'MountVolume.SetUp failed for volume "config" : references non-existent config key: shop.yaml'
WAITS = "Unable to attach or mount volumes: unmounted volumes=[tls]: timed out waiting for the condition"
NO_ADDRESS = "Failed to create pod sandbox: failed to assign an IP address to container"


def creating(*told: tuple[datetime, str, str], state: str = "waiting: ContainerCreating") -> Trouble:
    return trouble(state, since=ago(10), told=events(*((at, reason, "shop-1", message) for at, reason, message in told)))


@pytest.mark.parametrize("state", ["waiting: ContainerCreating", "initializing: migrate (1 of 1)", "pending"])
@pytest.mark.parametrize(
    ("reason", "message", "kind"),
    [
        ("FailedMount", NO_SECRET, "reference"),
        ("FailedMount", NO_KEY, "reference"),
        ("FailedMount", 'MountVolume.MountDevice failed for volume "pvc-5f" : rpc error', "volume"),
        ("FailedMount", WAITS, "volume"),
        ("FailedAttachVolume", 'Multi-Attach error for volume "pvc-5f"', "volume"),
        ("FailedCreatePodSandBox", NO_ADDRESS, "sandbox"),
        ("NetworkNotReady", "network is not ready: cni plugin not initialized", "sandbox"),
    ],
)
def test_of_a_pod_that_does_not_come_up_its_events_tell_why(state: str, reason: str, message: str, kind: str) -> None:
    found = creating((ago(9), reason, message), state=state)
    assert (found.kind, found.message) == (kind, message)
    assert message in found.text


def test_the_newest_warning_decides() -> None:
    assert creating((ago(9), "FailedMount", NO_SECRET), (ago(1), "FailedCreatePodSandBox", NO_ADDRESS)).kind == "sandbox"


def test_which_volumes_are_awaited_does_not_hide_why() -> None:
    assert creating((ago(2), "FailedMount", NO_SECRET), (ago(1), "FailedMount", WAITS)).kind == "reference"
    assert creating((ago(9), "FailedMount", NO_SECRET), (ago(1), "FailedMount", WAITS)).kind == "volume"


def test_a_pod_that_went_on_is_still_starting() -> None:
    assert creating((ago(9), "FailedMount", NO_SECRET), (ago(8), "Pulling", "Pulling image")).kind == "starting"


def test_what_was_said_of_an_earlier_pod_of_that_name_is_not_of_this_one() -> None:
    assert creating((ago(12), "FailedMount", NO_SECRET)).kind == "starting"


def test_without_events_a_pod_is_still_starting() -> None:
    assert creating().kind == "starting"
    assert trouble("waiting: ContainerCreating").kind == "starting"
