"""Last words of crashed containers that name what a rollout changed in a config map of another name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runbook_lib.checks.crash_logs import crash_logs
from runbook_lib.models.finding import Presence, Signal
from runbook_lib.testing import FakeCluster, Sick, ago, changed, context, error_symptom, fake_sources, revisions
from tests.unit.playbooks import outages

ONSET = outages.ONSET
AT = ONSET - timedelta(minutes=25)
OLD, NEW = "shop-config-7h2k9", "shop-config-m4f6t"
ENV_FROM = ("containers[shop].envFrom", "env", f"configmap/{OLD}, secret/shop-db", f"configmap/{NEW}, secret/shop-db")
ONE = (
    "containers[shop].env[POOL]",
    "env",
    f"(from config map {OLD}, key POOL)",
    f"(from config map {NEW}, key POOL)",
)
VOLUME = ("volumes[settings].configMap.name", "volume", OLD, NEW)
INVALID = "ValueError: invalid literal for int() with base 10: 'many'"
NO_HOST = "socket.gaierror: [Errno -2] Name or service not known: db-old"
REFUSED = 'OperationalError: connection to server at "10.0.0.9", port 5433 failed: Connection refused'


def look(*edits: tuple[str, str, str, str], old: Any, new: Any, words: str = INVALID, **told: Any) -> dict[str, Signal]:
    cluster = {"history": revisions((1, ago(60 * 24 * 7)), (2, AT)), "diffs": {(1, 2): changed(*edits)}, **told}
    known = FakeCluster(pods=outages.crashing(), config_maps={OLD: old, NEW: new}, **cluster)
    sources = fake_sources(cluster=known, logs=outages.crashed(words))
    return {signal.name: signal for signal in crash_logs(context(sources=sources, symptom=error_symptom(ONSET))).signals}


@pytest.mark.parametrize("edit", [ENV_FROM, ONE, VOLUME], ids=["environment", "one setting", "volume"])
def test_a_setting_of_a_map_of_another_name_came_with_the_revision(edit: tuple[str, str, str, str]) -> None:
    named = look(edit, old={"POOL": "5"}, new={"POOL": "many"})["crash_names_changed_setting"]
    assert (named.presence, named.subject, named.since) == (Presence.PRESENT, "deployment/shop revision 2", AT)
    assert "POOL" in named.text


def test_an_address_of_a_map_of_another_name_is_named_too() -> None:
    old, new = {"DB": "postgresql://db:5432/shop"}, {"DB": "postgresql://db:5433/shop"}
    assert look(ENV_FROM, old=old, new=new, words=REFUSED)["crash_names_changed_address"].presence is Presence.PRESENT


@pytest.mark.parametrize("words", [INVALID, NO_HOST])
def test_what_is_the_same_in_both_maps_was_not_changed(words: str) -> None:
    data = {"POOL": "many", "DB": "postgresql://db-old:5432/shop"}
    seen = look(ENV_FROM, old=data | {"LEVEL": "1"}, new=data | {"LEVEL": "2"}, words=words)
    assert seen["crash_names_changed_setting"].presence is Presence.ABSENT


@pytest.mark.parametrize(
    "cluster",
    [
        {"absent": [OLD]},
        {"old": Sick("refused", "configmaps are forbidden")},
        {"history": Sick("refused", "replicasets are forbidden")},
        {"history": revisions((2, AT))},
        {"diffs": Sick("timeout", "no answer")},
    ],
    ids=["pruned", "unreadable", "no history", "not kept", "no difference"],
)
def test_whether_a_map_that_nobody_can_read_held_the_setting_is_not_known(cluster: dict[str, Any]) -> None:
    told = {"old": {"POOL": "5"}, "new": {"POOL": "many"}} | cluster
    named = look(ENV_FROM, **told)["crash_names_changed_setting"]
    assert named.presence is Presence.UNKNOWN
    assert "is not known: " in named.text
    assert not named.text.endswith(": ")


def test_where_nothing_crashed_nothing_is_asked_of_what_was_rolled_out() -> None:
    sources = fake_sources(cluster=FakeCluster(diffs=Sick("timeout", "no answer")))
    assert crash_logs(context(sources=sources)).signal("crash_names_changed_setting").presence is Presence.ABSENT  # type: ignore[union-attr]
