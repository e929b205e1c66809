import pytest

from runbook_lab.cluster.controllers.revisions import HISTORY, REVISION
from runbook_lab.cluster.metadata import condition, is_terminating
from tests.lab.cluster.running import READY, container, deployment, pod, until

pytestmark = pytest.mark.lab

WEB = container(readinessProbe=READY)


@pytest.fixture
def web(lab, namespace):
    """Give the deployment `web` as it is now."""
    return lambda: lab.store("get", "deployments", "web", namespace=namespace)


def rolled_out(deployment):
    progressing = condition(deployment, "Progressing")
    observed = deployment.get("status", {}).get("observedGeneration") == deployment["metadata"]["generation"]
    done = progressing is not None and progressing["reason"] == "NewReplicaSetAvailable"
    same = deployment.get("status", {}).get("replicas", 0) == deployment["spec"]["replicas"]
    return observed and done and same and deployment["status"].get("updatedReplicas", 0) == deployment["spec"]["replicas"]


def given_up(deployment):
    """Give the deployment back once its present rollout is said to be late: one look, for the next may tell of another state."""
    observed = deployment["status"].get("observedGeneration") == deployment["metadata"]["generation"]
    late = condition(deployment, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    return deployment if observed and late else None


def replica_sets(lab, namespace):
    sets = lab.store("list", "replicasets", namespace=namespace)
    return sorted(sets, key=lambda entry: int(entry["metadata"]["annotations"][REVISION]))


def set_image(lab, namespace, image, cause=None):
    def edit(obj):
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = image
        if cause:
            obj["metadata"].setdefault("annotations", {})["kubernetes.io/change-cause"] = cause

    lab.change("deployments", "web", namespace, edit)


def available(deployment):
    return deployment.get("status", {}).get("availableReplicas", 0)


def test_a_rollout_is_gradual_and_never_leaves_its_bounds(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB))
    until(lambda: rolled_out(web()))
    set_image(lab, namespace, "web:2", "new version")
    seen = set()

    def step():
        pods = [pod for pod in lab.pods(namespace) if not is_terminating(pod)]
        images = [pod["spec"]["containers"][0]["image"] for pod in pods]
        seen.add((images.count("web:1"), images.count("web:2")))
        assert len(pods) <= 4
        assert available(web()) >= 3
        return rolled_out(web())

    until(step)
    assert {(3, 0), (3, 1)} & seen
    assert any(old and new > 1 for old, new in seen)
    old, new = replica_sets(lab, namespace)
    assert (old["spec"]["replicas"], new["spec"]["replicas"]) == (0, 3)
    assert new["metadata"]["annotations"]["kubernetes.io/change-cause"] == "new version"
    assert web()["metadata"]["annotations"][REVISION] == "2"
    assert "ScalingReplicaSet" in lab.reasons(namespace, "Deployment")


def test_a_rollback_makes_the_old_replica_set_the_newest_revision(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB, replicas=1))
    until(lambda: rolled_out(web()))
    set_image(lab, namespace, "web:2")
    until(lambda: rolled_out(web()) and len(replica_sets(lab, namespace)) == 2)
    set_image(lab, namespace, "web:1")
    until(lambda: rolled_out(web()) and web()["metadata"]["annotations"][REVISION] == "3")
    second, first = replica_sets(lab, namespace)
    assert (first["metadata"]["annotations"][REVISION], first["metadata"]["annotations"][HISTORY]) == ("3", "1")
    assert second["metadata"]["annotations"][REVISION] == "2"


def test_a_rollout_that_gets_nowhere_keeps_the_old_pods_and_says_so(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB, progressDeadlineSeconds=1))
    # On a slow machine the first rollout, too, may be late for a time: only a finished one has no word of it left.
    until(lambda: rolled_out(web()))
    set_image(lab, namespace, "nowhere:9")
    stuck = until(lambda: given_up(web()))
    assert condition(stuck, "Progressing")["status"] == "False"
    assert condition(stuck, "Available")["status"] == "True"
    assert (available(stuck), stuck["status"]["unavailableReplicas"]) == (3, 1)
    set_image(lab, namespace, "web:1")
    until(lambda: rolled_out(web()))


def test_a_paused_deployment_rolls_nothing_out_until_it_is_resumed(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB, replicas=1))
    until(lambda: rolled_out(web()))
    lab.change("deployments", "web", namespace, lambda obj: obj["spec"].update(paused=True))
    set_image(lab, namespace, "web:2")
    until(lambda: web()["status"]["observedGeneration"] == web()["metadata"]["generation"])
    assert condition(web(), "Progressing")["reason"] == "DeploymentPaused"
    assert len(replica_sets(lab, namespace)) == 1
    lab.change("deployments", "web", namespace, lambda obj: obj["spec"].update(paused=False))
    until(lambda: rolled_out(web()) and len(replica_sets(lab, namespace)) == 2)


def test_scaling_changes_pods_but_no_revision(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB, replicas=1))
    until(lambda: rolled_out(web()))
    lab.change("deployments", "web", namespace, lambda obj: obj["spec"].update(replicas=3))
    until(lambda: rolled_out(web()) and available(web()) == 3)
    lab.change("deployments", "web", namespace, lambda obj: obj["spec"].update(replicas=0))
    until(lambda: rolled_out(web()) and not lab.pods(namespace))
    assert [entry["metadata"]["annotations"][REVISION] for entry in replica_sets(lab, namespace)] == ["1"]


def test_recreate_lets_every_old_pod_end_first(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB, replicas=2, strategy={"type": "Recreate"}))
    until(lambda: rolled_out(web()))
    set_image(lab, namespace, "web:2")

    def step():
        images = {pod["spec"]["containers"][0]["image"] for pod in lab.pods(namespace)}
        assert len(images) <= 1
        return images == {"web:2"} and rolled_out(web())

    until(step)


def test_old_replica_sets_beyond_the_history_limit_are_deleted(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB, replicas=0, revisionHistoryLimit=1))
    for number, image in enumerate(("web:2", "done:1", "crash:1"), start=2):
        until(lambda: rolled_out(web()))
        set_image(lab, namespace, image)
        until(lambda wanted=str(number): web()["metadata"]["annotations"].get(REVISION) == wanted)
    until(lambda: [entry["metadata"]["annotations"][REVISION] for entry in replica_sets(lab, namespace)] == ["3", "4"])


def test_a_deleted_pod_is_replaced(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB, replicas=1))
    until(lambda: rolled_out(web()))
    [old] = lab.pods(namespace)
    lab.store("delete", "pods", old["metadata"]["name"], namespace=namespace)
    until(lambda: [pod["metadata"]["uid"] for pod in lab.pods(namespace)] not in ([], [old["metadata"]["uid"]]))
    until(lambda: len(lab.pods(namespace)) == 1 and available(web()) == 1)


def test_a_pod_whose_label_is_taken_off_is_let_go_and_replaced(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB, replicas=1))
    until(lambda: rolled_out(web()))
    [suspect] = lab.pods(namespace)
    lab.change("pods", suspect["metadata"]["name"], namespace, lambda obj: obj["metadata"]["labels"].update(app="quarantine"))
    until(lambda: len(lab.pods(namespace)) == 2)
    left = lab.store("get", "pods", suspect["metadata"]["name"], namespace=namespace)
    assert not left["metadata"]["ownerReferences"]


def test_a_deleted_deployment_takes_its_replica_sets_and_pods_along(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB, replicas=2))
    until(lambda: rolled_out(web()))
    lab.store("delete", "deployments", "web", namespace=namespace)
    until(lambda: not lab.store("list", "replicasets", namespace=namespace) and not lab.pods(namespace))


def test_deletion_in_the_foreground_waits_for_the_dependents(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB, replicas=1))
    until(lambda: rolled_out(web()))
    lab.store("delete", "deployments", "web", namespace=namespace, propagation="Foreground")
    assert is_terminating(web())
    until(lambda: not lab.store("list", "deployments", namespace=namespace))
    assert not lab.pods(namespace)


def test_orphans_are_adopted_by_a_deployment_that_selects_them(lab, namespace, web):
    lab.apply(deployment("web", namespace, WEB, replicas=1))
    until(lambda: rolled_out(web()))
    [before] = lab.pods(namespace)
    lab.store("delete", "deployments", "web", namespace=namespace, propagation="Orphan")
    lab.apply(deployment("web", namespace, WEB, replicas=1))
    until(lambda: rolled_out(web()))
    assert [pod["metadata"]["uid"] for pod in lab.pods(namespace)] == [before["metadata"]["uid"]]


def test_a_stateful_set_keeps_names_and_starts_one_pod_after_the_other(lab, namespace):
    manifest = deployment("db", namespace, WEB, replicas=2) | {"kind": "StatefulSet"}
    manifest["spec"]["serviceName"] = "db"
    lab.apply(manifest)
    until(lambda: lab.store("get", "statefulsets", "db", namespace=namespace).get("status", {}).get("readyReplicas") == 2)
    first, second = lab.pods(namespace)
    assert (first["metadata"]["name"], second["metadata"]["name"]) == ("db-0", "db-1")
    assert condition(first, "Ready")["lastTransitionTime"] <= second["metadata"]["creationTimestamp"]
    uids = {pod["metadata"]["uid"] for pod in (first, second)}
    lab.change(
        "statefulsets", "db", namespace, lambda obj: obj["spec"]["template"]["spec"]["containers"][0].update(image="web:2")
    )

    def replaced():
        status = lab.store("get", "statefulsets", "db", namespace=namespace)["status"]
        fresh = {pod["metadata"]["uid"] for pod in lab.pods(namespace)}
        return status["currentRevision"] == status["updateRevision"] and status.get("readyReplicas") == 2 and not fresh & uids

    until(replaced)


def test_a_pod_that_asks_for_more_than_the_node_has_waits_with_the_reason(lab, namespace):
    greedy = container(resources={"requests": {"cpu": "10k"}})
    lab.apply(pod("web", namespace, greedy))
    until(lambda: "FailedScheduling" in lab.reasons(namespace))
    [waiting] = lab.pods(namespace)
    assert condition(waiting, "PodScheduled")["message"] == "0/1 nodes are available: 1 Insufficient cpu."
