import pytest

from runbook_lib.sources.pods import POD_COLUMNS, metric_rows, pod_row, pod_state
from tests.unit.sources.objects import UID, pod, terminated, waiting


def row(one, **settings):
    return dict(
        zip(
            POD_COLUMNS,
            pod_row(one, settings.get("revisions", {}), settings.get("label"), settings.get("container")),
            strict=True,
        )
    )


def unscheduled():
    message = "0/5 nodes are available: 5 Insufficient memory."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(phase="Pending", containers=[], conditions=[condition])


def deleted():
    one = pod()
    one["metadata"]["deletionTimestamp"] = "2026-05-04T03:20:00Z"
    return one


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (pod(), "running"),
        (pod(ready=False), "running, not ready"),
        (pod(ready=False, containers=[waiting("CrashLoopBackOff", last=terminated(1, "Error"))]), "waiting: CrashLoopBackOff"),
        (pod(ready=False, phase="Pending", containers=[waiting("ImagePullBackOff")]), "waiting: ImagePullBackOff"),
        (pod(phase="Pending", containers=[waiting("CreateContainerConfigError")]), "waiting: CreateContainerConfigError"),
        (pod(phase="Pending", containers=[waiting("ContainerCreating")]), "waiting: ContainerCreating"),
        (
            pod(containers=[{"name": "orders", "state": {"terminated": terminated(137, "OOMKilled")}}]),
            "terminated: OOMKilled (exit 137)",
        ),
        (unscheduled(), "pending: Unschedulable"),
        (deleted(), "terminating"),
        (pod(phase="Failed", reason="Evicted", containers=[]), "evicted"),
        (pod(phase="Failed", reason="NodeAffinity", containers=[]), "failed: NodeAffinity"),
        (pod(phase="Succeeded"), "succeeded"),
        (pod(phase="Pending", containers=[]), "pending"),
    ],
)
def test_a_pods_state_is_told_as_kubectl_tells_it(one, state):
    assert pod_state(one)[0] == state


def test_a_pod_that_was_taken_from_its_node_says_so_by_its_condition_alone():
    message = "PodGC: node no longer exists"
    taken = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": message}
    ended = [{"name": "orders", "state": {"terminated": terminated(137, "Error")}}]
    assert pod_state(pod(phase="Failed", containers=ended, conditions=[taken])) == ("failed: DeletionByPodGC", message)
    assert pod_state(pod(phase="Failed", containers=ended))[0] == "terminated: Error (exit 137)"


def test_the_clusters_own_words_explain_the_state():
    message = 'configmap "orders-config" not found'
    assert row(pod(containers=[waiting("CreateContainerConfigError", message)]))["message"] == message
    assert "Insufficient memory" in row(unscheduled())["message"]


def test_of_several_containers_the_one_that_suffers_is_named():
    healthy = {"name": "proxy", "state": {"running": {}}}
    creating = waiting("ContainerCreating", name="slow")
    assert pod_state(pod(containers=[healthy, creating, waiting("CrashLoopBackOff")]))[0] == "waiting: CrashLoopBackOff (orders)"


def test_init_containers_come_before_the_containers():
    done = {"name": "certificates", "state": {"terminated": terminated(0, "Completed")}}
    busy = {"name": "migrate", "state": {"running": {}}}
    starting = [waiting("PodInitializing")]
    assert pod_state(pod(initContainerStatuses=[done, busy], containers=starting))[0] == "initializing: migrate (2 of 2)"
    failing = waiting("CrashLoopBackOff", name="migrate")
    state = pod_state(pod(initContainerStatuses=[done, failing], containers=starting))[0]
    assert state == "waiting: init container migrate: CrashLoopBackOff"


def test_a_sidecar_that_runs_does_not_count_as_initializing():
    one = pod(initContainerStatuses=[{"name": "proxy", "started": True, "state": {"running": {}}}])
    one["spec"]["initContainers"] = [{"name": "proxy", "restartPolicy": "Always"}]
    assert pod_state(one)[0] == "running"


def test_how_a_container_ended_last_is_told_with_exit_code_and_time():
    found = row(pod(containers=[waiting("CrashLoopBackOff", restarts=4, last=terminated(137, "OOMKilled"))]))
    assert found["last_state"] == "OOMKilled (exit 137) at 2026-05-04T03:15:00Z"
    assert found["last_terminated_at"].isoformat() == "2026-05-04T03:15:00+00:00"
    assert found["restarts"] == 4


def test_a_container_that_is_meant_to_run_on_has_ended_also_with_exit_code_0():
    done = terminated(0, "Completed")
    again = {"name": "orders", "restartCount": 8, "state": {"running": {}}, "lastState": {"terminated": done}}
    assert row(pod(ready=False, containers=[again]))["last_state"] == "Completed (exit 0) at 2026-05-04T03:15:00Z"
    between = pod(ready=False, containers=[{**again, "state": {"terminated": done}}])
    assert pod_state(between)[0] == "terminated: Completed (exit 0)"


def test_a_container_that_is_meant_to_end_has_done_its_work_with_exit_code_0():
    done = {"name": "orders", "restartCount": 0, "state": {"terminated": terminated(0, "Completed")}}
    job = pod(ready=False, containers=[done, {"name": "proxy", "state": {"running": {}}}])
    job["spec"]["restartPolicy"] = "OnFailure"
    assert pod_state(job)[0] == "running, not ready"
    assert row(job)["last_state"] == ""


def test_of_the_init_containers_only_a_sidecar_is_meant_to_run_on():
    done = terminated(0, "Completed")
    migrate = {"name": "migrate", "restartCount": 0, "state": {"terminated": done}}
    proxy = {"name": "proxy", "restartCount": 3, "started": True, "state": {"running": {}}, "lastState": {"terminated": done}}
    one = pod(initContainerStatuses=[migrate])
    assert row(one)["last_state"] == ""
    one = pod(initContainerStatuses=[migrate, proxy])
    one["spec"]["initContainers"] = [{"name": "migrate"}, {"name": "proxy", "restartPolicy": "Always"}]
    assert row(one)["last_state"] == "Completed (exit 0) in proxy at 2026-05-04T03:15:00Z"


def test_requests_add_up_and_a_limit_needs_every_container_to_have_one():
    one = pod()
    assert row(one)["cpu_request_cores"] == 0.25
    assert row(one)["memory_limit_bytes"] == 256 * 2**20
    assert row(one)["cpu_limit_cores"] is None
    one["spec"]["containers"].append({"name": "proxy", "image": "proxy"})
    assert row(one)["memory_limit_bytes"] is None


def test_the_revision_is_that_of_the_replica_set_that_owns_the_pod():
    assert row(pod(of=3), revisions={f"{UID}3": 14})["revision"] == 14
    assert row(pod(of=3))["revision"] is None


def test_the_version_is_a_label_or_the_images_tag():
    one = pod()
    assert row(one)["version"] == "1.4.2"
    one["metadata"]["labels"] |= {"app.kubernetes.io/version": "1.4.3", "release": "blue"}
    assert row(one)["version"] == "1.4.3"
    assert row(one, label="release")["version"] == "blue"
    one = pod()
    one["spec"]["containers"][0]["image"] = "registry:5000/orders@sha256:abc"
    assert row(one)["version"] == ""


def test_metrics_are_in_cores_and_bytes():
    item = {
        "metadata": {"name": "orders-1"},
        "timestamp": "2026-05-04T03:12:00Z",
        "containers": [{"name": "orders", "usage": {"cpu": "123456789n", "memory": "204800Ki"}}],
    }
    assert metric_rows([item])[0][:4] == ("orders-1", "orders", pytest.approx(0.123456789), 204800 * 1024)


def test_a_port_is_told_with_its_container():
    one = pod()
    one["spec"]["containers"] = [{"name": "proxy", "ports": [{"containerPort": 15090}]}, {"name": "orders"}]
    assert row(one)["ports"] == [{"containerPort": 15090, "container": "proxy"}]


def test_the_ports_of_a_sidecar_are_the_pods_and_those_of_what_only_prepares_it_are_not():
    one = pod()
    https = {"name": "https", "containerPort": 8443}
    one["spec"]["initContainers"] = [
        {"name": "proxy", "restartPolicy": "Always", "ports": [https]},
        {"name": "migrate", "ports": [{"containerPort": 9999}]},
    ]
    assert row(one)["ports"] == [{**https, "container": "proxy"}]
    assert row(one)["containers"] == ["orders"]


def test_of_several_containers_the_applications_end_is_told_and_that_of_another_one_names_it():
    ended = terminated(137, "OOMKilled")
    vector = {"name": "vector", "restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": ended}}
    orders = {"name": "orders", "restartCount": 0, "state": {"running": {}}}
    one = pod(containers=[orders, vector])
    assert row(one)["last_state"] == "OOMKilled (exit 137) in vector at 2026-05-04T03:15:00Z"
    earlier = {**terminated(1, "Error"), "finishedAt": "2026-05-04T03:01:00Z"}
    one = pod(containers=[{**orders, "lastState": {"terminated": earlier}}, vector])
    assert "in vector" in row(one)["last_state"]
    assert row(one, container="orders")["last_state"] == "Error (exit 1) at 2026-05-04T03:01:00Z"
