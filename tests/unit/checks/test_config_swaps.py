"""What differs in content where a rollout reads another config map, named by its hash, than the revision before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runbook_lib.checks.changes import recent_changes
from runbook_lib.models.finding import Finding, Presence
from runbook_lib.testing import FakeCluster, Sick, ago, changed, context, error_symptom, fake_sources, revisions

ONSET = ago(10)
AT = ONSET - timedelta(seconds=30)
OLD, NEW = "shop-config-7h2k9", "shop-config-m4f6t"
ENV_FROM = ("containers[shop].envFrom", "env", f"configmap/{OLD}, secret/shop-db", f"configmap/{NEW}, secret/shop-db")
VOLUME = ("volumes[settings].configMap.name", "volume", OLD, NEW)
BEFORE = {"PAYMENTS_URL": "http://payments:8080", "LOG_LEVEL": "info"}
AFTER = {"PAYMENTS_URL": "http://payments:9999", "LOG_LEVEL": "info"}
OF_SETTINGS = ("diff_shrinks_pool", "diff_touches_downstream", "diff_touches_cache", "diff_shortens_cache")


def look(*edits: tuple[str, str, str, str], old: Any = BEFORE, new: Any = AFTER, **cluster: Any) -> Finding:
    told = {"history": revisions((1, ago(60 * 24 * 7)), (2, AT)), "diffs": {(1, 2): changed(*edits)}, **cluster}
    maps = {OLD: old, NEW: new}
    sources = fake_sources(cluster=FakeCluster(config_maps=maps, **told))
    return recent_changes(context(sources=sources, symptom=error_symptom(ONSET)))


def what(finding: Finding) -> dict[str, tuple[str, str]]:
    found = dict(finding.tables)["What changed"]
    return {row["what"]: (row["before"], row["after"]) for row in found.to_dict("records")}


def presence(finding: Finding, name: str) -> Presence:
    signal = finding.signal(name)
    assert signal is not None
    return signal.presence


@pytest.mark.parametrize("edit", [ENV_FROM, VOLUME], ids=["environment", "volume"])
def test_the_settings_that_differ_came_with_the_revision(edit: tuple[str, str, str, str]) -> None:
    seen = look(edit)
    assert what(seen) == {
        edit[0]: (edit[2], edit[3]),
        "PAYMENTS_URL": ("http://payments:8080", "http://payments:9999"),
    }
    touched = seen.signal("diff_touches_downstream")
    assert touched is not None
    assert (touched.presence, touched.subject, touched.since) == (Presence.PRESENT, "deployment/shop revision 2", AT)
    assert presence(seen, "configuration_changed") is Presence.ABSENT
    assert "PAYMENTS_URL: http://payments:8080 → http://payments:9999" in seen.summary


def test_a_map_that_is_read_twice_is_told_once() -> None:
    assert len(dict(look(ENV_FROM, VOLUME).tables)["What changed"]) == 3


def test_settings_that_are_the_same_are_no_evidence() -> None:
    seen = look(ENV_FROM, new={**BEFORE, "LOG_LEVEL": "debug"})
    assert presence(seen, "diff_touches_downstream") is Presence.ABSENT
    assert presence(seen, "diff_changes_code") is Presence.PRESENT


def test_a_smaller_pool_is_read_from_both_maps() -> None:
    seen = look(ENV_FROM, old={"DATABASE_POOL_SIZE": "10"}, new={"DATABASE_POOL_SIZE": "2"})
    assert presence(seen, "diff_shrinks_pool") is Presence.PRESENT


def test_a_single_setting_from_another_map_is_one_only_where_its_value_differs() -> None:
    def of(name: str, key: str) -> tuple[str, str, str, str]:
        return (
            f"containers[shop].env[{name}]",
            "env",
            f"(from config map {OLD}, key {key})",
            f"(from config map {NEW}, key {key})",
        )

    seen = look(of("PAYMENTS_URL", "PAYMENTS_URL"), of("VERBOSITY", "LOG_LEVEL"))
    assert what(seen) == {"containers[shop].env[PAYMENTS_URL]": ("http://payments:8080", "http://payments:9999")}


def test_of_a_file_the_lines_that_differ_are_told_without_secrets() -> None:
    old = {"shop.yaml": "payments:\n  url: http://payments\n  password: hunter2\nlog: info\n"}
    new = {"shop.yaml": "payments:\n  url: http://gone\n  password: hunter3\nlog: info\n"}
    seen = look(VOLUME, old=old, new=new)
    assert what(seen)["shop.yaml: url"] == ("http://payments", "http://gone")
    assert what(seen)["shop.yaml: password"] == ("(hidden)", "(hidden) (changed)")
    assert "hunter" not in str(seen.signals) + seen.summary


def test_values_that_are_secret_by_name_are_hidden() -> None:
    seen = look(ENV_FROM, old={"SMTP_PASSWORD": "hunter2"}, new={"SMTP_PASSWORD": "hunter3"})
    assert what(seen)["SMTP_PASSWORD"] == ("(hidden)", "(hidden) (changed)")


def test_maps_of_a_projected_volume_are_compared_too() -> None:
    old, new = (f'[{{"configMap": {{"name": "{name}"}}}}]' for name in (OLD, NEW))
    seen = look(("volumes[all].projected.sources", "volume", old, new))
    assert presence(seen, "diff_touches_downstream") is Presence.PRESENT


def test_a_prefix_is_part_of_what_the_pods_read() -> None:
    seen = look(("containers[shop].envFrom", "env", f"configmap/{OLD}", f"configmap/{NEW} with prefix SHOP_"))
    assert what(seen)["SHOP_PAYMENTS_URL"] == ("", "http://payments:9999")


@pytest.mark.parametrize(
    "cluster", [{"absent": [OLD]}, {"old": Sick("refused", "configmaps are forbidden")}], ids=["pruned", "unreadable"]
)
def test_without_the_content_no_setting_is_known_to_be_as_it_was(cluster: dict[str, Any]) -> None:
    seen = look(ENV_FROM, **cluster)
    assert {presence(seen, name) for name in OF_SETTINGS} == {Presence.UNKNOWN}
    assert presence(seen, "rollout_before_onset") is Presence.PRESENT
    assert presence(seen, "diff_shrinks_memory") is Presence.ABSENT
    assert any(OLD in note for note in seen.notes)
