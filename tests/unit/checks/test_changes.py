"""What was changed shortly before the symptom, and which of it could explain what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runbook_lib.checks.changes import recent_changes
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.testing import FakeCluster, Sick, ago, changed, config_edit, context, error_symptom, fake_sources, revisions

ONSET = ago(10)
LONG_AGO = ago(60 * 24 * 7)


def changes(cluster: Any, *, onset: Any = ONSET) -> Finding:
    return recent_changes(context(sources=fake_sources(cluster=cluster), symptom=error_symptom(onset)))


def rolled_out(*edits: tuple[str, str, str, str], at: Any = ONSET - timedelta(seconds=30), **told: Any) -> FakeCluster:
    return FakeCluster(history=revisions((1, LONG_AGO), (2, at)), diffs={(1, 2): changed(*edits)}, **told)


def told(finding: Finding, name: str) -> Signal:
    signal = finding.signal(name)
    assert signal is not None
    return signal


def test_a_rollout_before_the_onset_is_told_with_what_it_changed_and_how_long_before() -> None:
    finding = changes(rolled_out(("containers[shop].image", "image", "shop:1.0", "shop:2.0")))
    assert finding.status is FindingStatus.WARNING
    assert finding.summary == (
        "Revision 2 of shop was rolled out at 2026-03-01T03:49:30Z, 30s before the onset; "
        "it changed containers[shop].image: shop:1.0 → shop:2.0."
    )
    assert told(finding, "rollout_before_onset").subject == "deployment/shop revision 2"
    assert told(finding, "diff_changes_code").presence is Presence.PRESENT
    assert "rollout history deployment/shop --revision=2" in finding.command


def test_a_rollout_whose_predecessor_is_not_kept_is_one_all_the_same() -> None:
    finding = changes(FakeCluster(history=revisions((57, ONSET - timedelta(seconds=30)))))
    assert finding.summary.endswith("30s before the onset; what it changed is not kept (revisionHistoryLimit).")
    rollout, code = told(finding, "rollout_before_onset"), told(finding, "diff_changes_code")
    assert (rollout.presence, rollout.subject) == (Presence.PRESENT, "deployment/shop revision 57")
    assert (code.presence, told(finding, "configuration_changed").presence) == (Presence.UNKNOWN, Presence.ABSENT)


def test_a_rollout_after_the_onset_did_not_cause_it() -> None:
    finding = changes(rolled_out(("image", "image", "1", "2"), at=ONSET + timedelta(minutes=5)))
    assert told(finding, "rollout_before_onset").presence is Presence.ABSENT


def test_the_last_of_several_rollouts_before_the_onset_counts() -> None:
    cluster = FakeCluster(
        history=revisions((1, LONG_AGO), (2, ago(50)), (3, ago(11)), (4, ago(2))),
        diffs={(2, 3): changed(("env.A", "env", "1", "2")), (3, 4): changed(("env.B", "env", "1", "2"))},
    )
    assert "env.A" in told(changes(cluster), "rollout_before_onset").text


def test_a_restart_is_no_change() -> None:
    restart = ("annotations.kubectl.kubernetes.io/restartedAt", "annotation", "", "2026-03-01T03:49:30Z")
    finding = changes(rolled_out(restart))
    assert "it was only a restart" in finding.summary
    assert told(finding, "rollout_before_onset").presence is Presence.ABSENT


@pytest.mark.parametrize(
    ("edit", "signal"),
    [
        (("env[DATABASE_POOL_SIZE]", "env", "5", "1"), "diff_shrinks_pool"),
        (("env[DATABASE_POOL_SIZE]", "env", "", "1"), "diff_shrinks_pool"),
        (("env[HIKARI_MAXIMUM_POOL_SIZE]", "env", "20", "2"), "diff_shrinks_pool"),
        (("env[PAYMENTS_URL]", "env", "http://payments:8080", "http://x"), "diff_touches_downstream"),
        (("env[INVENTORY_TIMEOUT]", "env", "2", "0.01"), "diff_touches_downstream"),
        (("resources.limits.memory", "resources", "256Mi", "64Mi"), "diff_shrinks_memory"),
        (("resources.limits.memory", "resources", "1Gi", "1000Mi"), "diff_shrinks_memory"),
        (("resources.limits.cpu", "resources", "1", "200m"), "diff_cuts_cpu"),
        (("resources.requests.cpu", "resources", "1", "64"), "diff_asks_for_more"),
        (("nodeSelector.disk", "other", "", "ssd"), "diff_asks_for_more"),
        (("volumes[tls].secret.secretName", "volume", "shop-tls", "shop-tls-v2"), "diff_changes_volumes"),
        (("resources.limits.cpu", "resources", "", "200m"), "diff_cuts_cpu"),
        (("resources.requests.cpu", "resources", "500m", ""), "diff_cuts_cpu"),
    ],
)
def test_what_a_change_concerns_is_read_from_its_key_and_values(edit: tuple[str, str, str, str], signal: str) -> None:
    assert told(changes(rolled_out(edit)), signal).presence is Presence.PRESENT


@pytest.mark.parametrize(
    ("edit", "signal"),
    [
        (("env[DATABASE_POOL_SIZE]", "env", "5", "10"), "diff_shrinks_pool"),
        (("env[DATABASE_POOL_SIZE]", "env", "5", ""), "diff_shrinks_pool"),
        (("env[WORKERS]", "env", "5", "1"), "diff_shrinks_pool"),
        (("env[LOG_LEVEL]", "env", "INFO", "DEBUG"), "diff_touches_downstream"),
        (("resources.limits.memory", "resources", "64Mi", "1Gi"), "diff_shrinks_memory"),
        (("resources.requests.memory", "resources", "256Mi", "64Mi"), "diff_shrinks_memory"),
        (("resources.limits.cpu", "resources", "28m", "200m"), "diff_cuts_cpu"),
        (("resources.requests.cpu", "resources", "64", "1"), "diff_asks_for_more"),
        (("resources.limits.cpu", "resources", "200m", ""), "diff_cuts_cpu"),
        (("resources.limits.memory", "resources", "256Mi", "64Mi"), "diff_cuts_cpu"),
        (("image", "image", "1", "2"), "diff_changes_volumes"),
    ],
)
def test_what_it_does_not_concern_is_not_held_against_it(edit: tuple[str, str, str, str], signal: str) -> None:
    assert told(changes(rolled_out(edit)), signal).presence is Presence.ABSENT


def test_a_config_map_takes_effect_with_the_restart_that_follows_it() -> None:
    restart = ("annotations.kubectl.kubernetes.io/restartedAt", "annotation", "", "x")
    finding = changes(rolled_out(restart, config=config_edit("DATABASE_POOL_SIZE", "5", "1", at=ago(20))))
    assert told(finding, "configuration_changed").since == ONSET - timedelta(seconds=30)
    assert told(finding, "diff_shrinks_pool").subject == "configmap/shop-config"
    assert "DATABASE_POOL_SIZE: 5 → 1" in finding.summary


def test_what_a_config_map_held_before_is_not_guessed() -> None:
    cluster = FakeCluster(config=config_edit("DATABASE_POOL_SIZE", "", "5", at=ago(11)))
    finding = changes(cluster)
    assert told(finding, "configuration_changed").presence is Presence.PRESENT
    assert told(finding, "diff_shrinks_pool").presence is Presence.ABSENT


def test_a_config_map_that_is_again_as_it_was_applied_is_no_change() -> None:
    class Restored(FakeCluster):
        def config_map(self, name: str) -> dict[str, Any]:
            return {**super().config_map(name), "data": {"A": "5"}, "last_applied": {"A": "5"}}

    finding = changes(Restored(config=config_edit("A", "", "5", at=ago(11))))
    assert told(finding, "configuration_changed").presence is Presence.ABSENT


def test_what_was_applied_anew_is_a_change_although_it_is_as_it_was_applied() -> None:
    class Applied(FakeCluster):
        def config_map(self, name: str) -> dict[str, Any]:
            known = {"data": {"A": "5"}, "last_applied": {"A": "5"}, "applied_keys": frozenset({"A"})}
            return {**super().config_map(name), **known}

    finding = changes(Applied(config=config_edit("A", "", "5", at=ago(11))))
    assert told(finding, "configuration_changed").presence is Presence.PRESENT


@pytest.mark.parametrize(
    ("edited", "rolled", "last", "other"),
    [
        (1, 9, "configuration_changed", "rollout_before_onset"),
        (9, 1, "rollout_before_onset", None),
        (1, 2, "configuration_changed", None),
    ],
)
def test_only_the_last_change_before_the_symptom_is_suspected(edited: int, rolled: int, last: str, other: str | None) -> None:
    image = ("containers.shop.image", "image", "1", "2")
    edit = config_edit("LOG_LEVEL", "info", "debug", at=ONSET - timedelta(minutes=edited))
    finding = changes(rolled_out(image, at=ONSET - timedelta(minutes=rolled), config=edit))
    assert told(finding, last).presence is Presence.PRESENT
    if other is not None:
        assert told(finding, other).presence is Presence.ABSENT
        assert "not the last change" in told(finding, other).text
    assert told(finding, "diff_changes_code").since == ONSET - timedelta(minutes=min(edited, rolled))


def test_a_rollback_while_the_symptom_is_there_does_not_hide_the_rollout_before_it() -> None:
    bad, image = ONSET - timedelta(seconds=20), ("containers.shop.image", "image", "1", "2")
    cluster = FakeCluster(
        history=revisions((2, bad), (3, LONG_AGO, ONSET + timedelta(seconds=50))), diffs={(3, 2): changed(image)}
    )
    signal = told(changes(cluster), "rollout_before_onset")
    assert signal.presence is Presence.PRESENT
    assert signal.subject == "deployment/shop revision 2"


def test_an_edit_before_the_window_is_history() -> None:
    finding = changes(FakeCluster(config=config_edit("DATABASE_POOL_SIZE", "5", "1", at=LONG_AGO)))
    assert told(finding, "configuration_changed").presence is Presence.ABSENT


def test_the_first_revision_of_all_changed_nothing() -> None:
    assert told(changes(FakeCluster(history=revisions((1, ago(11))))), "rollout_before_onset").presence is Presence.ABSENT


def test_a_rollback_is_dated_by_its_first_ready_pod_since_its_replica_set_is_old() -> None:
    cluster = FakeCluster(
        history=revisions((2, ago(50)), (3, LONG_AGO, ago(11))), diffs={(2, 3): changed(("image", "image", "2", "1"))}
    )
    assert told(changes(cluster), "rollout_before_onset").since == ago(11)


def test_without_the_difference_the_rollout_is_unknown_and_not_harmless() -> None:
    cluster = FakeCluster(history=revisions((1, LONG_AGO), (2, ago(11))), diffs=Sick("refused", "forbidden"))
    finding = changes(cluster)
    assert {signal.presence for signal in finding.signals} == {Presence.UNKNOWN}
    assert "forbidden" in finding.signals[0].text


def test_a_deployment_that_another_tool_manages_is_to_be_reverted_there() -> None:
    history = revisions((1, LONG_AGO), (2, ago(11)))
    history.attrs["managed_by"] = "Argo CD"
    assert "Argo CD" in changes(FakeCluster(history=history)).notes[0]
