"""Memory leak: a leak is confirmed, by itself or as a release's doing; warm-up and load never are."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pytest

from runbook_lib.models.cause import Cause, Verdict
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import Window
from runbook_lib.testing import (
    PODS,
    FakeCluster,
    FakeLogs,
    FakeMetrics,
    Sick,
    ago,
    changed,
    curve,
    each_pod,
    examine,
    line,
    log_lines,
    pods,
    revisions,
    together,
)

ISSUE = "memory_leak"
NEW_PODS = ["shop-9c-1", "shop-9c-2", "shop-9c-3"]
MIB = 2**20
LIMIT = 256 * MIB


def minutes_since(start: datetime, at: datetime) -> float:
    return max(0.0, (at - start).total_seconds() / 60)


def used(mebibytes: Any) -> Frame:
    """Each pod's memory, from a function of the instant."""
    return together(*(curve(lambda at: mebibytes(at) * MIB, pod=pod) for pod in PODS))


def leak(*, begun: float = 50, per_minute: float = 3.5, start: float = 60) -> dict[str, Frame]:
    series = used(lambda at: start + per_minute * minutes_since(ago(begun), at))
    return {"memory_working_set": series, "memory_limit": each_pod(LIMIT)}


def sawtooth() -> dict[str, Frame]:
    series = used(lambda at: 60 + 12 * (minutes_since(ago(60), at) % 16))
    return {"memory_working_set": series, "memory_limit": each_pod(LIMIT)}


def killed_every_few_seconds() -> dict[str, Frame]:
    """Teeth of 20 s in the last minutes: too short for the steps of the whole window."""

    def mebibytes(at: datetime) -> float:
        return 60 + 9 * (60 * minutes_since(ago(3), at) % 20)

    before = [line(60 * MIB, window=Window(ago(60), ago(5)), pod=pod) for pod in PODS]
    times = [ago(3) + timedelta(seconds=second) for second in range(180)]
    teeth = [frame({"time": times, "pod": pod, "value": [mebibytes(at) * MIB for at in times]}) for pod in PODS]
    return {"memory_working_set": together(*before, *teeth), "memory_limit": each_pod(LIMIT)}


def warm_up(limit: float = LIMIT) -> dict[str, Frame]:
    series = used(lambda at: 60 + 100 * (1 - math.exp(-minutes_since(ago(55), at) / 15)))
    return {"memory_working_set": series, "memory_limit": each_pod(limit)}


def traffic(limit: float = LIMIT) -> dict[str, Frame]:
    def load(at: datetime) -> float:
        return 30 + 1.5 * minutes_since(ago(55), at)

    series = used(lambda at: 40 + load(at))
    return {"memory_working_set": series, "memory_limit": each_pod(limit), "request_rate": curve(load)}


def killed_while_they_start(*, seconds: float, load: float = 50.0) -> dict[str, Frame]:
    """Since six minutes ago no pod lives longer than so many seconds, and so long it takes until it has its share of the load."""
    limit = 64 * MIB
    times = [ago(6) + timedelta(seconds=second) for second in range(360)]
    lived = [second % seconds / seconds for second in range(360)]
    before = [line(60 * MIB, window=Window(ago(60), ago(6)), pod=pod) for pod in PODS]
    teeth = [frame({"time": times, "pod": pod, "value": [(24 + 40 * part) * MIB for part in lived]}) for pod in PODS]
    answered = frame({"time": times, "value": [load * part for part in lived]})
    requests = together(line(load, window=Window(ago(60), ago(6))), answered)
    return {"memory_working_set": together(*before, *teeth), "memory_limit": each_pod(limit), "request_rate": requests}


def killed(at: datetime) -> Frame:
    return pods(last_state=f"OOMKilled (exit 137) at {at:%H:%M}", last_terminated_at=at, restarts=3)


def released(*, at: datetime) -> FakeCluster:
    edit = ("containers.shop.image", "image", "shop:1.0", "shop:2.0")
    return FakeCluster(history=revisions((1, ago(7 * 24 * 60)), (2, at)), diffs={(1, 2): changed(edit)})


def roots(measured: dict[str, Frame], **sources: Any) -> list[str]:
    return examine(ISSUE, metrics=FakeMetrics(measured), **sources).roots


def test_a_leak_that_fills_the_pods_within_a_day_is_confirmed_before_anything_is_full() -> None:
    seen = examine(ISSUE, metrics=FakeMetrics(leak(per_minute=1.5)))
    assert seen.roots == ["memory_leak"]
    assert seen.symptom.value == pytest.approx((60 + 75) / 256, abs=0.01)
    assert "is full in about 1h 2" in seen.symptom.beyond
    assert seen.symptom.onset_at is not None
    assert abs(seen.symptom.onset_at - ago(50)) < timedelta(minutes=6)


def test_containers_that_are_killed_again_and_again_are_a_leak() -> None:
    seen = examine(ISSUE, metrics=FakeMetrics(sawtooth()), cluster=FakeCluster(pods=killed(ago(12))))
    assert seen.roots == ["memory_leak"]
    assert "3 containers were killed" in seen.symptom.beyond


def test_a_container_that_has_just_begun_anew_is_not_full_as_soon_as_the_one_before_was() -> None:
    teeth = used(lambda at: 60 + 12 * (minutes_since(ago(60), at) % 14.9))
    measured = FakeMetrics({"memory_working_set": teeth, "memory_limit": each_pod(LIMIT)})
    seen = examine(ISSUE, metrics=measured, cluster=FakeCluster(pods=killed(ago(1))))
    assert "is full in about 15m" in seen.findings["memory_trend"].summary


def test_a_leak_that_is_killed_within_seconds_is_seen_in_finer_steps() -> None:
    seen = examine(ISSUE, metrics=FakeMetrics(killed_every_few_seconds()), cluster=FakeCluster(pods=killed(ago(1))))
    assert seen.roots == ["memory_leak"]


def test_a_full_pod_offers_a_restart_first_and_a_higher_limit_then() -> None:
    cause = examine(ISSUE, metrics=FakeMetrics(leak(per_minute=3.5))).causes[0]
    assert (cause.name, cause.actions) == ("memory_leak", ("restart_pods", "delete_pods", "raise_memory_limit"))
    assert set(cause.pods) == set(PODS)


def one_leaks_beside(steady: float) -> Cause:
    """What ranks first where one pod leaks, and the others use so many bytes all the time."""
    measured = leak(per_minute=3.5)
    leaking, others = measured["memory_working_set"], [line(steady, pod=pod) for pod in PODS[1:]]
    measured["memory_working_set"] = together(Frame(leaking[leaking["pod"] == PODS[0]]), *others)
    return examine(ISSUE, metrics=FakeMetrics(measured)).causes[0]


def test_where_only_some_pods_leak_those_alone_are_to_go() -> None:
    cause = one_leaks_beside(60 * MIB)
    assert (cause.name, cause.pods) == ("memory_leak", (PODS[0],))
    assert cause.actions == ("delete_pods", "restart_pods", "raise_memory_limit")


def test_a_pod_that_does_not_leak_now_and_is_full_all_the_same_is_not_spared() -> None:
    cause = one_leaks_beside(0.93 * LIMIT)
    assert (cause.name, cause.actions[0]) == ("memory_leak", "restart_pods")


def test_a_leak_that_a_release_brought_is_the_release() -> None:
    seen = examine(ISSUE, metrics=FakeMetrics(leak()), cluster=released(at=ago(51)))
    assert seen.roots == ["bad_deployment"]
    assert seen.consequences == {"memory_leak": "bad_deployment"}
    assert seen.causes[0].actions == ("rollback_deployment",)


def test_a_release_long_before_the_leak_is_not_its_cause() -> None:
    assert roots(leak(begun=20, per_minute=8), cluster=released(at=ago(55))) == ["memory_leak"]


@pytest.mark.parametrize("measured", [warm_up(), traffic()], ids=["a warm-up", "traffic"])
def test_growth_that_is_none_of_a_leak_confirms_nothing(measured: dict[str, Frame]) -> None:
    seen = examine(ISSUE, metrics=FakeMetrics(measured))
    assert seen.roots == []
    assert seen.symptom.breached is False
    assert "No pod leaks" in seen.findings["memory_trend"].summary


def test_memory_that_stops_growing_as_allocations_fail_leaks() -> None:
    heap_full = FakeLogs(log_lines("POST /orders: MemoryError: cannot allocate 65536 bytes", since=ago(20)))
    seen = examine(ISSUE, metrics=FakeMetrics(warm_up(limit=180 * MIB)), logs=heap_full)
    assert seen.roots == ["memory_leak"]
    assert seen.verdicts["cache_growth"] is Verdict.RULED_OUT
    assert "as allocations fail" in " ".join(line.text for line in seen.cause("memory_leak").evidence)


@pytest.mark.parametrize(
    ("measured", "cause"), [(warm_up(limit=180 * MIB), "cache_growth"), (traffic(limit=165 * MIB), "load_growth")]
)
def test_where_memory_is_full_all_the_same_the_limit_is_too_low_for_it(measured: dict[str, Frame], cause: str) -> None:
    seen = examine(ISSUE, metrics=FakeMetrics(measured))
    assert seen.roots == [cause]
    assert seen.verdicts["memory_leak"] is Verdict.RULED_OUT
    assert seen.causes[0].actions == ("raise_memory_limit",)


@pytest.mark.parametrize("seconds", [240, 300, 360])
def test_load_that_only_comes_back_with_the_pods_has_not_grown(seconds: float) -> None:
    edit = ("containers.shop.resources.limits.memory", "resources", "256Mi", "64Mi")
    history, diffs = revisions((1, ago(7 * 24 * 60)), (2, ago(6.5))), {(1, 2): changed(edit)}
    cluster = FakeCluster(pods=killed(ago(0.2)), history=history, diffs=diffs)
    seen = examine(ISSUE, metrics=FakeMetrics(killed_while_they_start(seconds=seconds)), cluster=cluster)
    assert seen.roots == ["bad_deployment"]
    assert seen.verdicts["load_growth"] is Verdict.RULED_OUT


def killed_below_what_they_need(*, seconds: float, shape: Any) -> dict[str, Frame]:
    """Pods of a new revision, each of which is killed at 64 MiB after so many seconds; those before them needed 100 MiB."""
    times = [ago(5) + timedelta(seconds=second) for second in range(300)]
    lived = [shape(second % seconds / seconds) for second in range(300)]
    before = [line(100 * MIB, window=Window(ago(60), ago(5)), pod=pod) for pod in PODS]
    teeth = [frame({"time": times, "pod": pod, "value": [(24 + 40 * part) * MIB for part in lived]}) for pod in NEW_PODS]
    answered = frame({"time": times, "value": [50.0 * part for part in lived]})
    return {
        "memory_working_set": together(*before, *teeth),
        "memory_limit": each_pod(64 * MIB, pods=NEW_PODS),
        "request_rate": together(line(50.0, window=Window(ago(60), ago(5))), answered),
    }


@pytest.mark.parametrize("seconds", [15, 30, 60, 120, 300])
@pytest.mark.parametrize(
    "shape", [lambda part: part, lambda part: (1 - math.exp(-3 * part)) / (1 - math.exp(-3))], ids=["a line", "a start"]
)
def test_pods_that_a_lowered_limit_kills_as_they_start_neither_leak_nor_have_more_load(seconds: float, shape: Any) -> None:
    edit = ("containers.shop.resources.limits.memory", "resources", "256Mi", "64Mi")
    ended = pods(NEW_PODS, last_state="OOMKilled (exit 137)", last_terminated_at=ago(0.2), restarts=3)
    history, diffs = revisions((1, ago(7 * 24 * 60)), (2, ago(5.2))), {(1, 2): changed(edit)}
    measured = FakeMetrics(killed_below_what_they_need(seconds=seconds, shape=shape))
    seen = examine(ISSUE, metrics=measured, cluster=FakeCluster(pods=ended, history=history, diffs=diffs))
    assert seen.roots == ["bad_deployment"]
    assert seen.causes[0].actions == ("rollback_deployment",)


def test_a_healthy_service_confirms_nothing() -> None:
    seen = examine(ISSUE)
    assert seen.symptom.breached is False
    assert set(seen.verdicts.values()) == {Verdict.RULED_OUT}


def test_pods_that_are_gone_no_longer_count() -> None:
    gone = curve(lambda at: 60 * MIB + 5 * MIB * minutes_since(ago(60), at), pod="shop-old")
    measured = {
        "memory_working_set": together(Frame(gone[gone["time"] < ago(20)]), *(line(80 * MIB, pod=pod) for pod in PODS)),
        "memory_limit": each_pod(LIMIT),
    }
    assert examine(ISSUE, metrics=FakeMetrics(measured)).symptom.breached is False


def test_without_a_limit_growth_is_told_and_nothing_is_forecast() -> None:
    measured = {"memory_working_set": leak()["memory_working_set"], "memory_limit": Sick("invalid_answer", name="prometheus")}
    seen = examine(ISSUE, metrics=FakeMetrics(measured))
    assert seen.roots == []
    assert "grow steadily" in seen.findings["memory_trend"].summary


@pytest.mark.parametrize("name", ["metrics", "cluster", "logs"])
@pytest.mark.parametrize("sickness", ["timeout", "unreachable", "refused", "invalid_answer"])
def test_with_one_source_dead_nothing_wrong_is_confirmed(name: str, sickness: Any) -> None:
    sources = {"metrics": FakeMetrics(leak()), name: Sick(sickness, name=name)}
    seen = examine(ISSUE, **sources)
    assert set(seen.roots) <= {"memory_leak"}
    assert seen.verdicts["memory_leak"] is not Verdict.RULED_OUT


def test_the_version_that_leaks_is_told() -> None:
    old, new = PODS[0], PODS[1]
    growing = curve(lambda at: (60 + 2 * minutes_since(ago(50), at)) * MIB, pod=new)
    measured = {
        "memory_working_set": together(line(60 * MIB, pod=old), growing),
        "memory_limit": each_pod(LIMIT, pods=[old, new]),
    }
    running = together(pods([old], version="1.0"), pods([new], version="2.0"))
    seen = examine(ISSUE, metrics=FakeMetrics(measured), cluster=FakeCluster(pods=running))
    leaking = dict(seen.findings["memory_trend"].tables)["Leaks by version"]
    assert leaking.set_index("version")["leaking"].to_dict() == {"1.0": 0, "2.0": 1}
