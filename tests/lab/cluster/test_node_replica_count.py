from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from runbook_lab.cluster.controllers.replica_count import Change, Load, demand, limit_down, limit_up

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def wanted(*loads, target=0.5):
    return demand(loads, current=len(loads), target=target, of_requests=True).replicas


def test_use_above_the_target_asks_for_as_many_more():
    assert wanted(Load(0.1, 0.1), Load(0.1, 0.1)) == 4
    assert demand([Load(0.1, 0.1)] * 2, current=2, target=0.05, of_requests=False).replicas == 4


def test_use_near_the_target_changes_nothing():
    assert wanted(Load(0.054, 0.1), Load(0.054, 0.1)) == 2
    assert wanted(Load(0.046, 0.1), Load(0.046, 0.1)) == 2


def test_pods_that_start_hold_a_scaling_back_and_cause_none():
    busy, starting, unmeasured = Load(0.1, 0.1), Load(1.0, 0.1, ready=False), Load(None, 0.1)
    assert wanted(busy, starting) == 2, "twice the target, if the new one were idle, is the target"
    assert wanted(Load(0.01, 0.1), unmeasured) == 2, "a pod that nobody measured may be busy"
    assert demand([starting, unmeasured], current=2, target=0.5, of_requests=True) is None


@given(
    loads=st.lists(st.builds(Load, st.floats(0, 4), st.floats(0.05, 2), st.booleans()), min_size=1, max_size=8),
    target=st.floats(0.1, 2),
)
def test_the_direction_is_that_of_the_measured_use(loads, target):
    found = demand(loads, current=len(loads), target=target, of_requests=True)
    if found is not None:
        measured = [load for load in loads if load.ready]
        share = sum(load.used for load in measured) / sum(load.requested for load in measured)
        assert found.replicas <= len(loads) or share > target
        assert found.replicas >= len(loads) or share < target


def test_scaling_is_limited_to_a_rate():
    assert (limit_up(1, None, [], NOW), limit_up(10, None, [], NOW), limit_down(10, None, [], NOW)) == (4, 20, 0)
    rules = {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}
    just_now = [Change(NOW - timedelta(seconds=30), 2), Change(NOW - timedelta(seconds=90), 5)]
    assert (limit_up(4, rules, [], NOW), limit_up(4, rules, just_now, NOW)) == (6, 4)
    assert limit_down(4, {"selectPolicy": "Disabled"}, [], NOW) == 4
    assert limit_down(10, {"policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]}, [], NOW) == 9
