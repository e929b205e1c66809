from datetime import UTC, datetime, timedelta

import pytest

from runbook_lab.cluster.node.backoff import Backoff, Timing
from runbook_lab.cluster.node.status import ContainerState, phase, pod_status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BEFORE = {"terminated": {"exitCode": 1}}


def state(**fields):
    made = ContainerState("web", "web:1")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


RUNNING = {"running": {"startedAt": "2026-01-02T03:04:05Z"}}
WAITING = {"waiting": {"reason": "CrashLoopBackOff"}}


@pytest.mark.parametrize(
    ("states", "policy", "expected"),
    [
        ([state(state=WAITING)], "Always", "Pending"),
        ([state(state=RUNNING)], "Always", "Running"),
        ([state(state=WAITING, last_state=BEFORE)], "Always", "Running"),
        ([state(state=RUNNING), state(state=WAITING)], "Always", "Pending"),
        ([state(state={"terminated": {"exitCode": 0}})], "OnFailure", "Succeeded"),
        ([state(state={"terminated": {"exitCode": 1}})], "Never", "Failed"),
        ([state(state={"terminated": {"exitCode": 1}})], "OnFailure", "Running"),
    ],
)
def test_the_phase_follows_the_kubelets_rules(states, policy, expected):
    assert phase(states, initialized=True, restart_policy=policy) == expected


def status_of(pod, container, now):
    addresses = {"pod": "127.1.1.1", "host": "127.1.1.254"}
    return pod_status(pod, [container], init_states=[], addresses=addresses, started=NOW, failed=False, now=now)


def condition(status, kind):
    return next(entry for entry in status["conditions"] if entry["type"] == kind)


def test_a_condition_moves_its_transition_time_with_its_status_only():
    pod = {"spec": {}, "status": {}}
    container = state(state=RUNNING)
    pod["status"] = status_of(pod, container, NOW)
    pod["status"] = status_of(pod, container, NOW + timedelta(seconds=5))
    ready = condition(pod["status"], "Ready")
    assert (ready["status"], ready["lastTransitionTime"]) == ("False", "2026-01-02T03:04:05Z")
    assert ready["message"] == "containers with unready status: [web]"
    container.ready = True
    ready = condition(status_of(pod, container, NOW + timedelta(seconds=9)), "Ready")
    assert (ready["status"], ready["lastTransitionTime"]) == ("True", "2026-01-02T03:04:14Z")
    assert "message" not in ready


def test_a_restart_keeps_how_the_last_instance_ended():
    container = state()
    container.run("a", NOW)
    container.end({"exitCode": 137, "reason": "OOMKilled"})
    assert (container.restart_count, container.last_state) == (0, {})
    container.wait("CrashLoopBackOff")
    container.run("b", NOW)
    assert container.restart_count == 1
    assert container.last_state == {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}


def test_the_first_restart_is_immediate_and_the_others_wait_longer_and_longer():
    backoff = Backoff(Timing(backoff_first=1, backoff_longest=5), clock=lambda: 0.0)
    assert [backoff.next() for _ in range(6)] == [0, 1, 2, 4, 5, 5]


def test_a_long_good_run_makes_a_container_new_again():
    now = [0.0]
    backoff = Backoff(Timing(backoff_first=1, backoff_longest=5), clock=lambda: now[0])
    assert [backoff.next() for _ in range(3)] == [0, 1, 2]
    now[0] = 100.0
    assert backoff.next() == 0
