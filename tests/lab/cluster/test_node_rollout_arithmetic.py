from hypothesis import given
from hypothesis import strategies as st

from runbook_lab.cluster.controllers import revisions
from runbook_lab.cluster.controllers.rollout import Bounds, Pods, bounds, grow_new, shrink_old, spread


def rolling(**limits):
    return {"type": "RollingUpdate", "rollingUpdate": limits}


def test_a_percentage_of_surge_is_rounded_up_and_of_unavailable_down():
    assert bounds(rolling(maxSurge="25%", maxUnavailable="25%"), 3) == Bounds(surge=1, unavailable=0)
    assert bounds(rolling(maxSurge="50%", maxUnavailable="50%"), 5) == Bounds(surge=3, unavailable=2)


def test_bounds_that_would_let_nothing_move_let_one_pod_be_missing():
    assert bounds(rolling(maxSurge=0, maxUnavailable=0), 3) == Bounds(surge=0, unavailable=1)
    assert bounds(rolling(maxSurge=0, maxUnavailable="10%"), 3) == Bounds(surge=0, unavailable=1)


limits = st.builds(Bounds, surge=st.integers(0, 4), unavailable=st.integers(0, 4)).filter(lambda b: b.surge or b.unavailable)


@given(desired=st.integers(1, 10), limits=limits, old_sizes=st.lists(st.integers(1, 8), min_size=1, max_size=3), data=st.data())
def test_a_rollout_never_leaves_its_bounds_and_ends_with_only_new_pods(desired, limits, old_sizes, data):
    old = [Pods(size, size) for size in old_sizes]
    new = Pods(0, 0)
    for _ in range(200):
        before = sum(p.available for p in old) + new.available
        size = grow_new(new, total_asked=sum(p.asked for p in old) + new.asked, desired=desired, limits=limits)
        if size != new.asked:
            new = Pods(size, min(new.available, size))
        else:
            sizes = shrink_old(old, new, desired=desired, limits=limits)
            old = [Pods(left, min(p.available, left)) for p, left in zip(old, sizes, strict=True)]
        total, available = sum(p.asked for p in old) + new.asked, sum(p.available for p in old) + new.available
        # What was already beyond a bound when the rollout began may stay there, but never gets worse.
        assert total <= max(desired + limits.surge, sum(old_sizes))
        assert available >= min(desired - limits.unavailable, before)
        new = Pods(new.asked, data.draw(st.integers(new.available, new.asked)) if _ < 150 else new.asked)
        if new == Pods(desired, desired) and not any(p.asked for p in old):
            return
    raise AssertionError(f"not finished: new {new}, old {old}")


def test_pods_that_never_became_available_are_the_first_to_go():
    sizes = shrink_old([Pods(3, 0), Pods(3, 3)], Pods(1, 1), desired=4, limits=Bounds(surge=1, unavailable=0))
    assert sizes == [0, 3]


@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4), allowed=st.integers(0, 60))
def test_a_change_of_size_is_shared_out_exactly(sizes, allowed):
    result = spread(sizes, allowed=allowed, last_maximum=sum(sizes))
    assert sum(result) == allowed
    assert all(size >= 0 for size in result)


def test_the_same_template_has_the_same_hash_and_another_has_another():
    one = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"image": "a"}]}}
    other = {**one, "spec": {"containers": [{"image": "b"}]}}
    assert revisions.template_hash(one) == revisions.template_hash(dict(reversed(one.items())))
    assert revisions.template_hash(one) != revisions.template_hash(other)
    assert set(revisions.template_hash(one)) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_a_rolled_back_revision_keeps_its_earlier_numbers_in_its_history():
    replica_set = {"metadata": {"annotations": {revisions.REVISION: "1"}}}
    deployment = {"metadata": {"annotations": {"kubernetes.io/change-cause": "back", "note": "kept", revisions.REVISION: "3"}}}
    revisions.annotate(replica_set, deployment, 4)
    revisions.annotate(replica_set, deployment, 6)
    assert replica_set["metadata"]["annotations"] == {
        revisions.REVISION: "6",
        revisions.HISTORY: "1,4",
        "kubernetes.io/change-cause": "back",
        "note": "kept",
    }
