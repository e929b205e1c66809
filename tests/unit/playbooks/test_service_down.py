"""Service completely down: each outage's own cause is the only confirmed root, also without Prometheus."""

from __future__ import annotations

from datetime import timedelta
from itertools import cycle
from typing import Any

import pytest

from runbook_lib.models.cause import Verdict
from runbook_lib.models.frame import frame
from runbook_lib.testing import (
    HOUR,
    PODS,
    FakeCluster,
    FakeHttp,
    FakeLogs,
    FakeMetrics,
    Sick,
    Sickness,
    ago,
    config_edit,
    events,
    examine,
    line,
    log_lines,
    pods,
    policy,
    together,
)
from tests.unit.playbooks import outages
from tests.unit.playbooks.faults import LONG_AGO, POOL_TIMEOUT, rollout
from tests.unit.playbooks.outages import DOWN, ONSET, OUTAGES, UNAVAILABLE, sources

ISSUE = "service_down"
SICKNESSES: tuple[Sickness, ...] = ("timeout", "unreachable", "refused", "invalid_answer")
SOURCES = ("metrics", "cluster", "logs", "database", "cache", "http")
ONE_DEAD = [
    (fault, name, sickness) for (fault, name), sickness in zip([(f, s) for f in OUTAGES for s in SOURCES], cycle(SICKNESSES))
]


@pytest.mark.parametrize(("fault", "cause"), OUTAGES.values(), ids=OUTAGES)
def test_the_outage_is_the_only_confirmed_root_and_ranks_first(fault: Any, cause: str) -> None:
    seen = examine(ISSUE, **sources(fault()))
    assert seen.roots == [cause], [(one.name, one.verdict, one.why) for one in seen.causes]
    assert seen.causes[0].name == cause
    assert seen.causes[0].confidence > 0.7


def test_a_healthy_service_confirms_nothing() -> None:
    seen = examine(ISSUE)
    assert seen.symptom.breached is False
    assert set(seen.verdicts.values()) == {Verdict.RULED_OUT}


# --- consequences and remedies


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (outages.crashing_after_a_rollout, {"pods_crashed": "bad_deployment"}),
        (outages.missing_image, {"image_or_reference_missing": "bad_deployment"}),
        (outages.crashing_over_a_dropped_table, {"pods_crashed": "schema_mismatch"}),
        (outages.crashing_without_database, {"pods_crashed": "database_down"}),
    ],
)
def test_what_follows_from_the_cause_is_no_second_cause(fault: Any, expected: dict[str, str]) -> None:
    assert examine(ISSUE, **sources(fault())).consequences == expected


@pytest.mark.parametrize(
    ("fault", "actions"),
    [
        (outages.crashing_after_a_rollout, ("rollback_deployment",)),
        (outages.crashing_over_a_setting, ("restore_configuration",)),
        (outages.stopped_database, ("restart_database",)),
        (outages.wrong_selector, ("fix_service_selector",)),
        (outages.denied_clients, ("delete_network_policy",)),
        (outages.scaled_away, ("scale_deployment",)),
        (outages.crashing_by_itself, ()),
        (outages.hanging, ("restart_pods",)),
        (outages.ended_by_a_probe, ()),
    ],
)
def test_each_cause_offers_what_mends_it(fault: Any, actions: tuple[str, ...]) -> None:
    assert examine(ISSUE, **sources(fault())).causes[0].actions == actions


def test_the_setting_that_the_crash_names_is_told_with_its_old_and_new_value() -> None:
    cause = examine(ISSUE, **sources(outages.crashing_over_a_setting())).causes[0]
    assert cause.subject == "configmap/shop-config"
    assert "DATABASE_POOL_SIZE (5 → many)" in cause.why


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ("postgresql://db-old:5432/shop", "socket.gaierror: [Errno -2] Name or service not known: db-old"),
        (
            "postgresql://db:5433/shop",
            'OperationalError: connection to server at "10.0.0.9", port 5433 failed: Connection refused',
        ),
    ],
)
def test_an_address_that_was_changed_and_that_the_crash_names_is_the_setting(new: str, words: str) -> None:
    told = outages.crashing_by_itself() | {
        "logs": outages.crashed(words),
        "cluster": FakeCluster(
            pods=outages.crashing(), config=config_edit("DATABASE_URL", "postgresql://db:5432/shop", new, at=ONSET)
        ),
    }
    seen = examine(ISSUE, **sources(told))
    assert seen.roots == ["bad_deployment"]
    assert seen.causes[0].actions == ("restore_configuration",)
    assert seen.consequences == {"pods_crashed": "bad_deployment"}


def test_a_rollout_before_the_changed_setting_is_neither_the_cause_nor_taken_back() -> None:
    told = outages.crashing_over_a_setting()
    edit = ("containers.shop.resources.limits.memory", "resources", "64Mi", "128Mi")
    setting = config_edit("DATABASE_POOL_SIZE", "5", "many", at=ONSET)
    earlier = rollout(edit, at=ONSET - timedelta(minutes=9), pods=outages.crashing(), config=setting)
    cause = examine(ISSUE, **sources(told | {"cluster": earlier})).causes[0]
    assert (cause.name, cause.actions) == ("bad_deployment", ("restore_configuration",))
    assert cause.since == ONSET
    assert "many" in cause.why


def test_a_setting_of_a_config_map_of_another_name_is_the_rollouts_also_where_the_pods_crash_long_after_it() -> None:
    maps = {"shop-config-7h2k9": {"POOL": "5"}, "shop-config-m4f6t": {"POOL": "many"}}
    edit = ("containers[shop].envFrom", "env", *(f"configmap/{name}" for name in maps))
    told = outages.crashing_over_a_setting()
    told["cluster"] = rollout(edit, at=ONSET - timedelta(minutes=40), pods=outages.crashing(), config_maps=maps)
    seen = examine(ISSUE, **sources(told))
    assert seen.roots == ["bad_deployment"]
    assert seen.causes[0].actions == ("rollback_deployment",)
    assert seen.consequences == {"pods_crashed": "bad_deployment"}


def test_a_port_that_pods_never_declared_and_that_was_never_changed_is_no_cause() -> None:
    told = outages.wrong_port()
    ports = [{"name": "http", "port": 8080, "target_port": 9999, "protocol": "TCP"}]
    told["cluster"] = FakeCluster(services={"shop": {"ports": ports}})
    assert examine(ISSUE, **sources(told)).roots == []


def test_a_way_that_is_denied_on_both_sides_is_named_once() -> None:
    closed = policy("deny-all", at=ONSET - timedelta(seconds=5), types=["Ingress", "Egress"], podSelector={})
    everywhere = FakeCluster(policies=closed, others={"app=postgres": pods(["postgres-0"], labels={"app": "postgres"})})
    seen = examine(ISSUE, **sources(outages.denied_clients() | {"cluster": everywhere}))
    signal = seen.findings["network_policies"].signal("policy_denies_egress")
    assert signal is not None
    assert signal.text.count("shop → the database") == 1


def test_two_policies_that_both_close_the_way_offer_no_deletion_of_one() -> None:
    own = {"matchLabels": {"app": "shop"}}
    one, other = policy("deny", at=ONSET, podSelector=own), policy("deny-too", at=ONSET, podSelector=own)
    told = outages.denied_clients() | {"cluster": FakeCluster(policies=together(one, other))}
    cause = examine(ISSUE, **sources(told)).cause("network_partition")
    assert cause.verdict is Verdict.CONFIRMED
    assert cause.actions == ()


def test_two_outages_at_once_are_both_confirmed() -> None:
    both = outages.wrong_selector() | {"database": Sick("unreachable", name="postgres")}
    service = {"shop": {"selector": {"app": "shop", "tier": "web"}, "updated_at": ONSET}}
    no_endpoints = frame([], columns=["address", "port", "ready", "pod", "node"])
    no_endpoints.attrs["changed_at"] = ONSET
    down = {"app=postgres": pods(["postgres-0"], ready=False, state="running, not ready", ready_changed_at=ONSET)}
    both["cluster"] = FakeCluster(endpoints=no_endpoints, services=service, others=down)
    both["logs"] = FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET))
    assert set(examine(ISSUE, **sources(both)).roots) == {"network_partition", "database_down"}


def waiting_in_a_poolers_queue() -> outages.Told:
    """Requests fail since no connection is free; whoever goes through the same pooler waits, too."""
    return {
        "metrics": outages.every_request_fails(),
        "logs": FakeLogs(log_lines(POOL_TIMEOUT, since=ONSET)),
        "cluster": FakeCluster(others={"app=postgres": pods(["postgres-0"])}),
    }


@pytest.mark.parametrize(("sickness", "roots"), [("timeout", []), ("unreachable", ["database_down"])])
def test_a_full_pooler_is_no_database_that_is_down_and_one_that_hangs_is(sickness: Sickness, roots: list[str]) -> None:
    told = waiting_in_a_poolers_queue() | {"database": Sick(sickness, "no answer", name="postgres")}
    seen = examine(ISSUE, **sources(told))
    assert seen.roots == roots
    assert seen.verdicts["database_down"] is (Verdict.CONFIRMED if roots else Verdict.UNKNOWN)


@pytest.mark.parametrize("last_state", ["Completed (exit 0)", "Error (exit 137)"])
def test_whoever_ends_the_pods_is_told_with_what_to_do_about_its_probe(last_state: str) -> None:
    cause = examine(ISSUE, **sources(outages.ended_by_a_probe(last_state))).causes[0]
    assert "its liveness or startup probe fails" in cause.why
    assert "timeoutSeconds" in cause.by_hand
    assert "timeoutSeconds" not in examine(ISSUE, **sources(outages.crashing_by_itself())).causes[0].by_hand


def test_a_kill_dates_the_crash_although_the_cluster_does_not_warn_of_it() -> None:
    killed = events((ONSET, "Killing", "shop-1", "Container shop failed liveness probe, will be restarted")).assign(type="Normal")
    told = outages.crashing_by_itself() | {"cluster": FakeCluster(pods=outages.crashing(since=ago(1)), events=killed)}
    signal = examine(ISSUE, **sources(told)).findings["pod_states"].signal("pods_crashing")
    assert signal is not None
    assert signal.since == ONSET


def test_an_image_that_may_not_run_as_root_lacks_no_secret() -> None:
    message = 'container has runAsNonRoot and image will run as root (pod: "shop-1_shop(5f)", container: shop)'
    told = outages.registry_away() | {
        "cluster": FakeCluster(pods=outages.unready("waiting: CreateContainerConfigError", message))
    }
    seen = examine(ISSUE, **sources(told))
    assert seen.roots == ["pods_crashed"]
    assert "runAsNonRoot" in seen.causes[0].why


def test_pods_that_wait_in_a_queue_for_admission_do_not_lack_room() -> None:
    seen = examine(ISSUE, **sources(outages.no_admission()))
    assert seen.verdicts["out_of_resources"] is Verdict.RULED_OUT
    assert "a gate keeps it from being given a node" in seen.findings["pod_states"].summary


@pytest.mark.parametrize(
    ("field", "volume", "reason", "message", "consequence"),
    [
        ("secret.secretName", "shop-tls-v2", "FailedMount", 'secret "shop-tls-v2" not found', "image_or_reference_missing"),
        ("persistentVolumeClaim.claimName", "shop-data-v2", "FailedAttachVolume", "Multi-Attach error", "pods_not_set_up"),
    ],
)
def test_a_rollout_that_named_the_volume_is_the_cause(
    field: str, volume: str, reason: str, message: str, consequence: str
) -> None:
    told = outages.not_set_up(reason, message)
    mine = told["cluster"]
    edit = (f"volumes[data].{field}", "volume", "shop", volume)
    at = ONSET - timedelta(seconds=20)
    told["cluster"] = rollout(edit, at=at, pods=mine.pods(""), events=mine.events(window=HOUR))
    seen = examine(ISSUE, **sources(told))
    assert seen.roots == ["bad_deployment"]
    assert seen.causes[0].actions == ("rollback_deployment",)
    assert seen.consequences == {consequence: "bad_deployment"}


def test_a_volume_that_a_lost_node_holds_is_no_second_cause() -> None:
    lost, waiting = outages.lost_node(), outages.held_volume()
    new, said = waiting["cluster"].pods(""), waiting["cluster"].events(window=HOUR)
    told = lost | {
        "cluster": FakeCluster(
            pods=together(lost["cluster"].pods(""), new.assign(pod=new["pod"] + "-new")),
            events=together(lost["cluster"].events(window=HOUR), said.assign(name=said["name"] + "-new")),
            deployment={"conditions": [UNAVAILABLE]},
        )
    }
    seen = examine(ISSUE, **sources(told))
    assert seen.roots == ["out_of_resources"]
    assert seen.consequences == {"pods_not_set_up": "out_of_resources"}


@pytest.mark.parametrize("reason", ["FailedMount", "FailedCreatePodSandBox"])
def test_pods_that_have_been_starting_for_a_moment_are_no_cause(reason: str) -> None:
    seen = examine(ISSUE, **sources(outages.not_set_up(reason, "timed out waiting for the condition", since=ago(0.5))))
    assert seen.symptom.breached is True
    assert seen.roots == []


def test_a_load_balancer_is_given_the_time_to_look_at_new_pods() -> None:
    told = outages.unmet_gate()
    new = outages.unready("running, not ready: readiness gate", "not yet", since=ago(2))
    assert examine(ISSUE, **sources(told | {"cluster": FakeCluster(pods=new)})).roots == []


def test_where_events_are_not_read_nothing_is_known_of_what_only_they_tell() -> None:
    told = outages.held_volume()
    told["cluster"] = FakeCluster(pods=told["cluster"].pods(""), events=Sick("refused", "needs verb list on events"))
    seen = examine(ISSUE, **sources(told))
    assert seen.verdicts["pods_not_set_up"] is Verdict.UNKNOWN
    assert seen.verdicts["image_or_reference_missing"] is Verdict.UNKNOWN


# --- time


def test_a_policy_that_was_always_there_is_not_the_cause() -> None:
    old = policy("deny-all", at=LONG_AGO, podSelector={"matchLabels": {"app": "shop"}})
    told = outages.crashing_by_itself()
    told["cluster"] = FakeCluster(pods=outages.crashing(), policies=old)
    assert examine(ISSUE, **sources(told)).roots == ["pods_crashed"]


def test_a_rollout_long_before_the_crash_is_not_the_cause() -> None:
    edit = ("containers.shop.image", "image", "shop:1.0", "shop:2.0")
    told = outages.crashing_by_itself()
    told["cluster"] = rollout(edit, at=ONSET - timedelta(minutes=40), pods=outages.crashing())
    assert examine(ISSUE, **sources(told)).roots == ["pods_crashed"]


# --- what is not down


def test_a_rollout_that_does_not_start_while_the_old_pods_serve_is_not_an_outage() -> None:
    stuck = pods(["shop-4"], ready=False, state="waiting: ImagePullBackOff", ready_changed_at=ONSET, ip="10.0.0.4")
    seen = examine(ISSUE, cluster=FakeCluster(pods=together(pods(), stuck)))
    assert seen.symptom.breached is False
    assert seen.roots == []


NO_DEPLOYMENT: dict[str, Any] = {"absent": ["shop"]}
AT_ZERO: dict[str, Any] = {"deployment": {"replicas": 0, "ready": 0, "available": 0}}


@pytest.mark.parametrize(
    ("stands", "name", "told"),
    [
        (NO_DEPLOYMENT, "deployment_gone", "there is no deployment/shop, yet 3 pods are there, kept by replicaset/shop-7c9"),
        (AT_ZERO, "scaled_to_zero", "deployment/shop asks for none, yet 3 pods are there, kept by replicaset/shop-7c9"),
    ],
)
def test_a_deployment_that_another_controller_stands_in_for_is_not_the_cause(stands: Any, name: str, told: str) -> None:
    """As an Argo Rollout does, beside a deployment at 0 or without any."""
    cluster = FakeCluster(pods=outages.crashing().assign(owner="ReplicaSet/shop-7c9"), **stands)
    seen = examine(ISSUE, metrics=FakeMetrics(outages.no_pods_ready()), cluster=cluster, http=DOWN)
    assert seen.roots == ["pods_crashed"]
    signal = seen.findings["pod_states"].signal(name)
    assert signal is not None
    assert (signal.presence.value, signal.text) == ("absent", f"{told}: another controller keeps them")


@pytest.mark.parametrize(("stands", "name"), [(NO_DEPLOYMENT, "deployment_gone"), (AT_ZERO, "scaled_to_zero")])
def test_pods_that_go_that_nobody_keeps_or_that_a_job_made_stand_in_for_no_deployment(stands: Any, name: str) -> None:
    ending = pods(PODS[:1], ready=False, state="terminating", ready_changed_at=ONSET, owner="ReplicaSet/shop-7c9")
    lost = pods(PODS[1:2], ready=False, state="unknown: the node does not answer", owner="ReplicaSet/shop-7c9")
    alone = pods(["shop-debug"], owner="")
    job = pods(["shop-migrate"], owner="Job/shop-migrate")
    cluster = FakeCluster(pods=together(ending, lost, alone, job), **stands)
    signal = examine(ISSUE, cluster=cluster, http=DOWN).findings["pod_states"].signal(name)
    assert signal is not None
    assert signal.presence.value == "present"


@pytest.mark.parametrize(("stands", "name"), [(NO_DEPLOYMENT, "deployment_gone"), (AT_ZERO, "scaled_to_zero")])
def test_whether_another_controller_keeps_pods_that_nobody_may_see_is_not_known(stands: Any, name: str) -> None:
    unseen = FakeCluster(pods=Sick("refused", "needs verb list on pods", name="kubernetes"), **stands)
    signal = examine(ISSUE, cluster=unseen, http=DOWN).findings["pod_states"].signal(name)
    assert signal is not None
    assert signal.presence.value == "unknown"
    assert "whether another controller keeps the pods is not known" in signal.text


def test_requests_that_cease_at_night_are_not_an_outage() -> None:
    seen = examine(ISSUE, metrics=FakeMetrics(outages.no_requests()))
    assert seen.symptom.breached is False


def test_a_health_endpoint_that_is_out_of_our_reach_is_not_an_outage_while_requests_are_answered() -> None:
    assert examine(ISSUE, http=DOWN).symptom.breached is False


def test_some_failing_requests_belong_to_another_runbook() -> None:
    seen = examine(ISSUE, metrics=FakeMetrics({"error_ratio": line(0.0, 0.3, at=ONSET)}))
    assert seen.symptom.breached is False
    assert seen.symptom.value == pytest.approx(0.3)


def test_an_outage_that_is_over_is_seen_in_a_past_window_only() -> None:
    told = {"error_ratio": line(0.0, 0.98, at=ago(40), until=ago(20))}
    assert examine(ISSUE, metrics=FakeMetrics(told)).symptom.breached is False
    past = examine(ISSUE, metrics=FakeMetrics(told), live=False).symptom
    assert past.breached is True
    assert past.onset_at is not None
    assert abs(past.onset_at - ago(40)) <= timedelta(seconds=30)


# --- sick sources


@pytest.mark.parametrize(("fault", "dead", "sickness"), ONE_DEAD)
def test_with_one_source_dead_nothing_wrong_is_confirmed_and_the_cause_is_not_ruled_out(
    fault: str, dead: str, sickness: Sickness
) -> None:
    outage, cause = OUTAGES[fault]
    whole = examine(ISSUE, **sources(outage()))
    seen = examine(ISSUE, **(sources(outage()) | {dead: Sick(sickness, name=dead)}))
    assert set(seen.roots) <= {cause, *whole.consequences}
    assert seen.verdicts[cause] is not Verdict.RULED_OUT


@pytest.mark.parametrize(
    "fault",
    [
        "pods that crash since a rollout",
        "pods that crash by themselves",
        "an image that a rollout named wrongly",
        "a config map that was deleted",
        "no room on any node",
        "a selector that fits no pod",
    ],
)
def test_without_prometheus_the_cluster_alone_shows_the_outage_its_onset_and_its_cause(fault: str) -> None:
    outage, cause = OUTAGES[fault]
    seen = examine(ISSUE, **(sources(outage()) | {"metrics": Sick("unreachable", name="prometheus")}))
    assert seen.symptom.breached is True
    assert seen.symptom.onset_at == ONSET
    assert seen.roots == [cause], [(one.name, one.verdict, one.why) for one in seen.causes]


def test_without_prometheus_the_deployment_says_when_it_fell_below_what_it_needs() -> None:
    flapping = outages.crashing(since=ago(1))
    cluster = FakeCluster(pods=flapping, deployment={"conditions": [UNAVAILABLE]})
    seen = examine(ISSUE, metrics=Sick("timeout", name="prometheus"), cluster=cluster)
    assert seen.symptom.onset_at == ONSET


def test_without_prometheus_and_the_cluster_nothing_is_known() -> None:
    dead = {"metrics": Sick("timeout", name="prometheus"), "cluster": Sick("unreachable", name="kubernetes")}
    for http in (DOWN, FakeHttp()):
        seen = examine(ISSUE, **dead, http=http)
        assert seen.symptom.breached is None
        assert seen.roots == []


def test_with_every_source_dead_all_is_unknown() -> None:
    seen = examine(ISSUE, **{name: Sick("unreachable", name=name) for name in SOURCES})
    assert set(seen.verdicts.values()) == {Verdict.UNKNOWN}


def test_a_reader_who_may_not_see_secrets_is_told_so_and_rules_nothing_in() -> None:
    seen = examine(ISSUE, cluster=FakeCluster(secrets={"shop-db": Sick("refused", "needs verb get on secrets")}))
    finding = seen.findings["references"]
    assert finding.signal("reference_missing").presence.value == "unknown"  # type: ignore[union-attr]
    assert "needs verb get on secrets" in finding.notes[0]
    assert seen.verdicts["image_or_reference_missing"] is Verdict.RULED_OUT
