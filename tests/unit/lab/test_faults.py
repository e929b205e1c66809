import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lab.faults import FAULTS, UnknownFaultError, draw, draw_together
from runbook_lab.faults.declaration import Patch, PodConditions, RestartRollout
from runbook_lib.playbooks import playbook as find_playbook

NAMES = st.sampled_from(sorted(FAULTS))
SEEDS = st.integers(min_value=0, max_value=10_000)
INTENSITIES = st.floats(min_value=0.01, max_value=1)


@given(name=NAMES, seed=SEEDS)
def test_the_same_seed_gives_the_same_fault(name, seed):
    assert draw(name, seed=seed) == draw(name, seed=seed)


def test_a_seed_means_the_same_in_every_process():
    code = "from runbook_lab.faults import draw; print(draw('db_pool_exhausted', seed=7).told())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == draw("db_pool_exhausted", seed=7).told()


@given(name=NAMES, seed=SEEDS)
def test_what_is_told_gives_the_fault_again(name, seed):
    fault = draw(name, seed=seed)
    assert draw(name, seed=fault.seed, intensity=fault.intensity, kind=fault.kind) == fault


@given(seed=SEEDS, intensity=INTENSITIES)
def test_giving_the_intensity_leaves_the_kind_as_the_seed_has_it(seed, intensity):
    assert draw("bad_deployment", seed=seed, intensity=intensity).kind == draw("bad_deployment", seed=seed).kind


def test_the_seeds_reach_every_kind_of_bad_deployment():
    assert {draw("bad_deployment", seed=seed).kind for seed in range(40)} == set(FAULTS["bad_deployment"].kinds)


@given(seed=SEEDS, intensity=INTENSITIES)
def test_payments_is_always_slower_than_orders_waits(seed, intensity):
    (step,) = draw("downstream_timeout", seed=seed, intensity=intensity).steps
    assert isinstance(step, PodConditions)
    assert all(values["answer_seconds"] > 2.0 and 0 < values["slow_ratio"] <= 1 for values in step.values)


@given(seed=SEEDS, weak=st.floats(min_value=0.01, max_value=0.4))
def test_a_higher_intensity_loses_connections_faster(seed, weak):
    def fastest(intensity):
        (step,) = draw("db_pool_exhausted", seed=seed, intensity=intensity).steps
        return max(values["lost_connection_ratio"] for values in step.values)

    assert fastest(weak) < fastest(1.0)


@given(seed=SEEDS)
def test_every_bad_deployment_is_a_rollout_or_ends_in_one(seed):
    *_, last = draw("bad_deployment", seed=seed).steps
    assert isinstance(last, RestartRollout) or (isinstance(last, Patch) and "template" in last.patch["spec"])


@given(seed=SEEDS)
def test_an_index_is_dropped_by_what_a_migration_would_say(seed):
    (step,) = draw("slow_query", seed=seed).steps
    assert step.statements[-1] == "DROP INDEX CONCURRENTLY order_archive_customer"
    assert "slow" not in " ".join(step.statements)


def test_every_fault_has_its_cause_and_cure_in_its_runbook():
    for kind in (kind for fault in FAULTS.values() for kind in fault.kinds.values()):
        playbook = find_playbook(kind.runbook)
        assert {kind.cause} <= {None, *(cause.name for cause in playbook.causes)}
        assert {kind.cure} <= {None, *playbook.actions}
        assert kind.cause or not kind.cure


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "gremlins"}, "there is no fault 'gremlins'; there are db_pool_exhausted"),
        ({"name": "bad_deployment", "kind": "typo"}, "its kinds: code, pool, address, config_map"),
        ({"name": "memory_leak", "intensity": 1.5}, "an intensity is above 0 and at most 1; found 1.5"),
        ({"name": "memory_leak", "intensity": 0.0}, "an intensity is above 0 and at most 1; found 0"),
    ],
)
def test_a_refused_fault_says_what_there_is(arguments, message):
    with pytest.raises(UnknownFaultError, match=message):
        draw(**{"seed": 1, **arguments})


def test_together_the_kind_goes_to_the_fault_that_has_kinds():
    pool, rollout = draw_together(["db_pool_exhausted", "bad_deployment"], seed=1, kind="address")
    assert (pool.kind, rollout.kind) == (None, "address")
    with pytest.raises(UnknownFaultError, match="comes in kinds"):
        draw_together(["db_pool_exhausted"], seed=1, kind="address")
