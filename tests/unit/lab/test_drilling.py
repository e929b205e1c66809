from pathlib import Path

import pytest

from runbook_lab.drilling import PAIRS, drawn
from runbook_lab.faults import FAULTS, UnknownFaultError
from runbook_lib.playbooks import playbook

OUT = Path("outputs")


def named(drills):
    return [tuple((fault.name, fault.kind, fault.seed) for fault in drill.faults) for drill in drills]


def test_without_names_every_fault_is_drilled_in_every_kind():
    drills = drawn([], seed=3, repeat=1, outputs=OUT)
    assert {(fault.name, fault.kind) for drill in drills for fault in drill.faults} == {
        (name, kind) for name, fault in FAULTS.items() for kind in fault.kinds
    }


def test_repeated_drills_take_the_seeds_that_follow():
    assert named(drawn(["memory_leak"], seed=3, repeat=2, outputs=OUT)) == [
        (("memory_leak", None, 3),),
        (("memory_leak", None, 4),),
    ]


def test_a_drill_of_two_faults_draws_both_and_the_kind_goes_where_there_are_kinds():
    drills = drawn(["memory_leak", "memory_leak+bad_deployment"], seed=3, repeat=1, kind="code", outputs=OUT)
    assert named(drills) == [
        (("memory_leak", None, 3),),
        (("memory_leak", None, 3), ("bad_deployment", "code", 3)),
    ]


def test_a_kind_may_be_chosen_within_the_name():
    (drill,) = drawn(["bad_deployment:pool+crash_loop:command"], seed=3, repeat=1, outputs=OUT)
    assert named([drill]) == [(("bad_deployment", "pool", 3), ("crash_loop", "command", 3))]


@pytest.mark.parametrize("pair", PAIRS)
def test_each_pair_has_two_causes_that_one_runbook_knows(pair):
    (drill,) = drawn([pair], seed=3, repeat=1, outputs=OUT)
    known = {rule.name for rule in playbook(drill.runbook).causes}
    causes = {fault.cause for fault in drill.faults}
    assert len(causes) == 2
    assert causes <= known


def test_what_is_told_names_seed_and_intensity():
    (drill,) = drawn(["memory_leak"], seed=3, repeat=1, intensity=0.5, outputs=OUT)
    assert drill.told().endswith("[--seed 3 --intensity 0.5]")


@pytest.mark.parametrize(
    ("names", "kind"),
    [(["gremlins"], None), (["memory_leak+gremlins"], None), (["memory_leak"], "code"), (["bad_deployment:gremlins"], None)],
)
def test_what_there_is_not_is_refused(names, kind):
    with pytest.raises(UnknownFaultError):
        drawn(names, seed=1, repeat=1, kind=kind, outputs=OUT)
