import io

import pytest
from rich.console import Console

from runbook_lab.faults import draw
from runbook_lab.scoreboard import misses, show
from runbook_lab.scoring import Score, cures, is_fixed, is_found, roots

POOL, DOWNSTREAM, HEALTHY = (draw(name, seed=1) for name in ("db_pool_exhausted", "downstream_timeout", "healthy"))
CONFIG_MAP = draw("bad_deployment", seed=1, kind="config_map")


def cause(name, verdict="confirmed", because_of=None):
    return {"name": name, "verdict": verdict, "because_of": because_of}


def record(*causes, executed=()):
    return {"causes": list(causes), "actions": [{"name": name, "status": "executed"} for name in executed]}


def score(**changes):
    values = {
        "faults": (POOL,),
        "found": True,
        "fixed": True,
        "recovered": True,
        "alert_seconds": 20.0,
        "run_seconds": 40.0,
        "seconds": 62.0,
        "confirmed": ("db_pool_exhausted",),
        "archive": "outputs/orders/1",
    }
    return Score(**(values | changes))


def test_the_only_confirmed_root_that_leads_is_found():
    assert is_found(record(cause("db_pool_exhausted"), cause("memory_leak", "ruled_out")), [POOL])


def test_a_consequence_of_the_fault_may_be_confirmed_beside_it():
    consequence = cause("db_pool_exhausted", because_of="downstream_timeout")
    assert is_found(record(cause("downstream_timeout"), consequence), [DOWNSTREAM])
    assert roots(record(consequence)) == []


@pytest.mark.parametrize(
    "causes",
    [
        (),
        (cause("db_pool_exhausted", "suspected"),),
        (cause("memory_leak"),),
        (cause("db_pool_exhausted"), cause("memory_leak")),
        (cause("db_pool_exhausted", because_of="bad_deployment"),),
        (cause("memory_leak", "suspected"), cause("db_pool_exhausted")),
    ],
)
def test_anything_else_is_not_found(causes):
    assert not is_found(record(*causes), [POOL])


def test_of_two_faults_both_have_to_be_found():
    both = [POOL, DOWNSTREAM]
    assert is_found(record(cause("downstream_timeout"), cause("db_pool_exhausted")), both)
    assert not is_found(record(cause("downstream_timeout")), both)


def test_in_a_healthy_shop_nothing_may_be_confirmed_and_nothing_done():
    assert is_found(record(cause("memory_leak", "suspected")), [HEALTHY])
    assert not is_found(record(cause("memory_leak")), [HEALTHY])
    assert is_fixed(record(), [HEALTHY])
    assert not is_fixed(record(executed=["restart_pods"]), [HEALTHY])


def test_fixed_means_the_right_action_was_executed_and_no_other():
    assert is_fixed(record(executed=["restart_pods"]), [POOL])
    assert not is_fixed(record(executed=["restart_pods", "rollback_deployment"]), [POOL])
    proposed = {"causes": [], "actions": [{"name": "restart_pods", "status": "proposed"}]}
    assert not is_fixed(proposed, [POOL])


def test_each_action_is_approved_once_and_an_edited_config_map_is_not_rolled_back():
    assert cures([POOL, draw("memory_leak", seed=1), DOWNSTREAM]) == ("restart_pods", "open_circuit_breaker")
    assert cures([CONFIG_MAP]) == ("restore_configuration",)


def test_any_miss_fails_a_drill():
    assert score().passed
    misses_of_one = ({"found": False}, {"fixed": False}, {"recovered": False}, {"error": "no alert"})
    assert not any(score(**miss).passed for miss in misses_of_one)


def test_the_board_has_a_line_for_each_drill_and_counts_those_that_passed():
    file = io.StringIO()
    show([score(), score(found=False, alert_seconds=None)], Console(file=file))
    lines = file.getvalue().splitlines()
    assert [word for word in lines[1].split() if word in ("yes", "NO")] == ["yes", "yes", "yes"]
    assert [word for word in lines[2].split() if word in ("yes", "NO")] == ["NO", "yes", "yes"]
    assert lines[-1] == "1 of 2 drills passed"


def test_a_miss_says_what_was_there_instead():
    said = list(misses(score(found=False, recovered=False, confirmed=("memory_leak",))))
    assert said[0] == "db_pool_exhausted: confirmed as roots: memory_leak"
    assert said[1] == "db_pool_exhausted: what the alert measures was not below its threshold in time"
    assert list(misses(score(error="waited 90 s in vain for the alert"))) == [
        "db_pool_exhausted: waited 90 s in vain for the alert"
    ]


def test_json_has_what_is_needed_to_do_the_drill_again():
    told = score().as_json()
    assert told["faults"] == [{"name": "db_pool_exhausted", "kind": None, "seed": 1, "intensity": POOL.intensity}]
    assert (told["name"], told["passed"]) == ("db_pool_exhausted", True)
