from datetime import UTC, datetime

import pytest

from runbook_lib.sources.rollout import HISTORY_COLUMNS, RolloutFacts, history_rows, owned_by
from tests.unit.sources.objects import deployment, pod, replica_set


def at(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def history(replica_sets, **facts):
    revision = facts.pop("revision", 3)
    rows = history_rows(RolloutFacts(deployment=deployment(revision=revision), replica_sets=replica_sets, **facts))
    return {row[0]: dict(zip(HISTORY_COLUMNS, row, strict=True)) for row in rows}


OLD = replica_set(1, revision=1, created="2026-04-01T10:00:00Z")
MIDDLE = replica_set(2, revision=2, created="2026-04-20T10:00:00Z")
NEW = replica_set(3, revision=3, created="2026-05-04T03:11:00Z", replicas=3, image="shop/orders:1.5.0")


def scaled(message, last, first=None):
    return {"reason": "ScalingReplicaSet", "message": message, "firstTimestamp": first or last, "lastTimestamp": last}


def test_revisions_are_told_newest_last_with_their_images_and_causes():
    found = history([NEW, OLD, MIDDLE])
    assert list(found) == [1, 2, 3]
    assert found[3]["images"] == "shop/orders:1.5.0"
    assert found[3]["change_cause"] == "release 3"
    assert [row["current"] for row in found.values()] == [False, False, True]
    assert found[3]["created_at"] == at("2026-05-04T03:11:00Z")


def test_first_ready_is_the_earliest_ready_condition_of_the_pods_that_are_left():
    pods = [
        pod(ready_at="2026-05-04T03:11:40Z"),
        pod(ready_at="2026-05-04T03:11:20Z"),
        pod(of=2, ready_at="2026-04-20T10:00:10Z"),
    ]
    found = history([OLD, MIDDLE, NEW], pods=pods)
    assert found[3]["first_ready_at"] == at("2026-05-04T03:11:20Z")
    assert "Ready condition" in found[3]["first_ready_from"]


def test_a_revision_of_which_no_pod_became_ready_has_no_such_time():
    found = history([MIDDLE, NEW], pods=[pod(ready=False, ready_at="2026-05-04T03:11:00Z")])
    assert found[3]["first_ready_at"] is None
    assert found[3]["first_ready_from"] == "no pod of it has become ready"


def test_a_revision_whose_pods_became_unready_later_was_ready_before():
    found = history([NEW], pods=[pod(ready=False, ready_at="2026-05-04T03:40:00Z")])
    assert found[3]["first_ready_at"] == at("2026-05-04T03:11:00Z")
    assert "was ready" in found[3]["first_ready_from"]


def test_of_a_revision_whose_pods_are_gone_the_rollout_stands_for_first_ready_and_says_so():
    found = history([OLD, NEW])
    assert found[1]["first_ready_at"] == found[1]["created_at"]
    assert "gone" in found[1]["first_ready_from"]


def test_a_rollback_is_dated_by_its_scaling_event_and_not_by_the_old_replica_set():
    back = replica_set(1, revision=4, created="2026-04-01T10:00:00Z", replicas=3, reused="1")
    events = [
        scaled("Scaled up replica set orders-1 to 1 from 0", "2026-05-04T03:30:00Z", first="2026-04-01T10:00:00Z"),
        scaled("Scaled up replica set orders-1 to 2 from 1", "2026-05-04T03:31:00Z"),
        scaled("Scaled down replica set orders-1 to 0 from 1", "2026-05-04T03:45:00Z"),
        scaled("Scaled up replica set orders-11 to 1 from 0", "2026-05-04T03:50:00Z"),
    ]
    found = history([NEW, back], revision=4, events=events)
    assert found[4]["created_at"] == at("2026-05-04T03:30:00Z")
    assert "scaling event" in found[4]["created_from"]


@pytest.mark.parametrize("words", ["to 1", "to 1 from 0", "from 0 to 1"])
def test_the_scaling_event_is_understood_in_the_words_of_every_version(words):
    back = replica_set(1, revision=4, created="2026-04-01T10:00:00Z", replicas=3, reused="1")
    events = [
        scaled(f"Scaled up replica set orders-1 {words}", "2026-05-04T03:30:00Z", first="2026-04-01T10:00:00Z"),
        scaled("Scaled up replica set orders-1 to 3", "2026-05-04T03:32:00Z"),
    ]
    assert history([NEW, back], revision=4, events=events)[4]["created_at"] == at("2026-05-04T03:30:00Z")


def test_a_rollback_of_a_stuck_rollout_is_not_dated_by_the_pods_that_never_went_away():
    back = replica_set(1, revision=4, created="2026-04-01T10:00:00Z", replicas=3, reused="1")
    old = pod(of=1, created="2026-04-01T10:00:01Z", ready_at="2026-04-01T10:00:10Z")
    stuck = deployment(revision=4)
    stuck["status"]["conditions"][0]["lastUpdateTime"] = "2026-05-04T03:40:00Z"
    facts = RolloutFacts(deployment=stuck, replica_sets=[NEW, back], pods=[old])
    found = dict(zip(HISTORY_COLUMNS, history_rows(facts)[-1], strict=True))
    assert found["created_at"] == at("2026-05-04T03:40:00Z")
    assert found["first_ready_at"] == at("2026-05-04T03:40:00Z")
    assert "progress" in found["created_from"]


def test_without_events_a_rollback_is_dated_by_its_oldest_pod_then_by_the_deployments_progress():
    back = replica_set(1, revision=4, created="2026-04-01T10:00:00Z", replicas=3, reused="1")
    found = history([back], revision=4, pods=[pod(of=1, created="2026-05-04T03:30:05Z")])
    assert found[4]["created_at"] == at("2026-05-04T03:30:05Z")
    found = history([back], revision=4)
    assert found[4]["created_at"] == at("2026-05-04T03:11:00Z")
    assert "progress" in found[4]["created_from"]
    found = history([back, replica_set(5, revision=5, created="2026-05-04T04:00:00Z")], revision=5)
    assert found[4]["created_at"] is None


def test_a_replica_set_of_an_earlier_deployment_of_the_same_name_is_not_ours():
    stranger = replica_set(9, revision=9, created="2026-01-01T00:00:00Z")
    stranger["metadata"]["ownerReferences"][0]["uid"] = "another"
    assert owned_by(deployment(), [NEW, stranger]) == [NEW]
