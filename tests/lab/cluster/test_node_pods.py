import contextlib
import urllib.request

import pytest

from runbook_lab.cluster.metadata import is_true
from tests.lab.cluster.running import READY, container, pod, until

pytestmark = pytest.mark.lab


@pytest.fixture
def only(lab, namespace):
    """Give the one pod of the test's namespace as it is now."""
    return lambda: next(iter(lab.pods(namespace)), None)


def first(pod):
    return (pod or {}).get("status", {}).get("containerStatuses", [{}])[0]


def waiting_reason(pod):
    return first(pod).get("state", {}).get("waiting", {}).get("reason")


def tell(pod, path):
    """Ask for something that the server may not survive to answer."""
    with contextlib.suppress(OSError):
        get(pod, path)


def get(pod, path="/"):
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8080{path}", timeout=5) as answer:
        return answer.read().decode()


def ready(only):
    return lambda: (found := only()) and is_true(found, "Ready") and found


def test_a_pod_is_a_process_with_an_address_of_its_own(lab, namespace, only):
    lab.apply(pod("web", namespace, container(readinessProbe=READY)))
    found = until(ready(only))
    assert get(found) == "web 1"
    status = found["status"]
    assert (status["phase"], status["hostIP"], status["qosClass"]) == ("Running", lab.cluster.network.node_ip, "BestEffort")
    assert {entry["type"] for entry in status["conditions"] if entry["status"] == "True"} == {
        "PodScheduled",
        "PodReadyToStartContainers",
        "Initialized",
        "ContainersReady",
        "Ready",
    }
    assert (first(found)["ready"], first(found)["started"], first(found)["restartCount"]) == (True, True, 0)
    assert {"Scheduled", "Pulled", "Created", "Started"} <= lab.reasons(namespace)
    assert "serving" in lab.log(found)


def test_a_crashed_container_starts_again_and_keeps_its_last_words(lab, namespace, only):
    lab.apply(pod("web", namespace, container(readinessProbe=READY)))
    found = until(ready(only))
    tell(found, "/exit")
    until(lambda: first(only())["restartCount"] == 1)
    terminated = first(only())["lastState"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (3, "Error")
    assert "GET /exit" in lab.log(found, previous=True)
    assert "GET /exit" not in lab.log(found)


def test_a_container_that_cannot_stay_up_is_backed_off(lab, namespace, only):
    lab.apply(pod("crash", namespace, container("crash:1")))
    until(lambda: waiting_reason(only()) == "CrashLoopBackOff")
    found = until(lambda: first(only())["restartCount"] >= 2 and only())
    assert found["status"]["phase"] == "Running"
    assert first(found)["lastState"]["terminated"]["exitCode"] == 7
    assert lab.log(found, previous=True) == "cannot go on\n"
    assert "BackOff" in lab.reasons(namespace)


def test_repeated_events_are_one_event_that_counts(lab, namespace, only):
    lab.apply(pod("crash", namespace, container("crash:1")))
    until(lambda: first(only()).get("restartCount", 0) >= 2)
    events = [event for event in lab.store("list", "events", namespace=namespace) if event["reason"] == "Started"]
    assert len(events) == 1
    assert events[0]["count"] >= 3
    assert events[0]["involvedObject"]["fieldPath"] == "spec.containers{crash}"
    assert events[0]["source"] == {"component": "kubelet", "host": "lab-node"}


def test_a_container_above_its_memory_limit_is_killed(lab, namespace, only):
    limits = {"limits": {"memory": "100Mi"}}
    lab.apply(pod("web", namespace, container(readinessProbe=READY, resources=limits)))
    tell(until(ready(only)), "/leak")
    until(lambda: first(only())["restartCount"] == 1)
    terminated = first(only())["lastState"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (137, "OOMKilled")
    assert "OOMKilling" in lab.reasons("default", "Node")


def test_an_unknown_image_is_never_pulled(lab, namespace, only):
    lab.apply(pod("web", namespace, container("nowhere:9")))
    until(lambda: waiting_reason(only()) == "ErrImagePull")
    until(lambda: waiting_reason(only()) == "ImagePullBackOff")
    assert only()["status"]["phase"] == "Pending"
    assert {"Pulling", "Failed", "BackOff"} <= lab.reasons(namespace)


def test_a_container_waits_for_its_config_map(lab, namespace, only):
    lab.apply(pod("web", namespace, container(envFrom=[{"configMapRef": {"name": "web-config"}}])))
    found = until(lambda: waiting_reason(only()) == "CreateContainerConfigError" and only())
    assert first(found)["state"]["waiting"]["message"] == 'configmap "web-config" not found'
    metadata = {"name": "web-config", "namespace": namespace}
    lab.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"VERSION": "from the map"}})
    until(lambda: "running" in first(only())["state"])
    assert until(lambda: _answer(only())) == "web from the map"


def _answer(found):
    try:
        return get(found)
    except OSError:
        return None


def test_a_program_that_does_not_exist_is_a_start_error(lab, namespace, only):
    lab.apply(pod("web", namespace, container("missing-program:1"), restartPolicy="Never"))
    found = until(lambda: only() and only()["status"]["phase"] == "Failed" and only())
    terminated = first(found)["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (128, "StartError")
    assert '"no-such-program": executable file not found in $PATH' in terminated["message"]


def test_a_pod_that_may_end_succeeds(lab, namespace, only):
    lab.apply(pod("done", namespace, container("done:1"), restartPolicy="OnFailure"))
    found = until(lambda: only() and only()["status"]["phase"] == "Succeeded" and only())
    assert first(found)["state"]["terminated"]["reason"] == "Completed"
    assert lab.log(found) == "done\n"


def test_init_containers_run_to_their_end_before_the_others(lab, namespace, only):
    before = container("done:1", command=["sh", "-c", "sleep 0.3; echo prepared"])
    lab.apply(pod("web", namespace, container(), initContainers=[before]))
    until(lambda: "running" in first(only()).get("state", {}))
    [init] = only()["status"]["initContainerStatuses"]
    assert init["state"]["terminated"]["finishedAt"] <= first(only())["state"]["running"]["startedAt"]


def test_a_failed_liveness_probe_restarts_the_container(lab, namespace, only):
    alive = READY | {"failureThreshold": 2, "initialDelaySeconds": 1}
    lab.apply(pod("web", namespace, container(readinessProbe=READY, livenessProbe=alive), terminationGracePeriodSeconds=1))
    get(until(ready(only)), "/sicken")
    until(lambda: first(only())["restartCount"] == 1)
    events = lab.store("list", "events", namespace=namespace)
    messages = {event["message"] for event in events}
    assert "Container web failed liveness probe, will be restarted" in messages
    assert "Liveness probe failed: HTTP probe failed with statuscode: 503" in messages


def test_a_pod_that_is_not_ready_says_so_and_stays(lab, namespace, only):
    lab.apply(pod("web", namespace, container(readinessProbe=READY | {"failureThreshold": 1})))
    get(until(ready(only)), "/sicken")
    until(lambda: not is_true(only(), "Ready"))
    assert first(only())["restartCount"] == 0


def test_a_startup_probe_holds_the_others_back(lab, namespace, only):
    starting = {"exec": {"command": ["sh", "-c", "test -e started"]}, "periodSeconds": 1, "failureThreshold": 60}
    lab.apply(pod("web", namespace, container(startupProbe=starting)))
    found = until(lambda: "running" in first(only()).get("state", {}) and only())
    assert (first(found)["started"], first(found)["ready"]) == (False, False)
    process = lab.call(lab.cluster.kubelet.exec(namespace, "web", "web", ["touch", "started"]))
    lab.call(process.wait())
    assert first(until(ready(only)))["started"] is True


def test_a_stubborn_container_is_killed_when_its_grace_is_over(lab, namespace, only):
    stubborn = container(readinessProbe=READY, env=[{"name": "STUBBORN", "value": "1"}])
    lab.apply(pod("web", namespace, stubborn, terminationGracePeriodSeconds=1))
    found = until(ready(only))
    last_seen = lab.last_words("pods", namespace)
    lab.store("delete", "pods", "web", namespace=namespace)
    until(lambda: "asked to stop" in lab.log(found))
    assert until(lambda: only() is None)
    ended = first(last_seen.result(5))
    assert (ended["ready"], ended["state"]["terminated"]["exitCode"]) == (False, 137)
    assert "Killing" in lab.reasons(namespace)
    with pytest.raises(OSError):  # noqa: PT011 - refused, since nobody listens any more
        get(found)


def test_a_deleted_pod_takes_its_whole_family_with_it(lab, namespace, only):
    family = container("done:1", command=["sh", "-c", "sleep 300 & sleep 300"])
    lab.apply(pod("web", namespace, family, terminationGracePeriodSeconds=0))
    until(lambda: "running" in first(only()).get("state", {}))
    until(lambda: _processes(lab, namespace) == 3)
    lab.store("delete", "pods", "web", namespace=namespace, grace_seconds=0)
    until(lambda: not any(pod["metadata"]["namespace"] == namespace for pod in _workers(lab)))


def _workers(lab):
    return [worker.pod for worker in list(lab.cluster.kubelet._workers.values())]


def _processes(lab, namespace):
    found = [entry for entry in lab.cluster.kubelet.readings() if entry[0].pod["metadata"]["namespace"] == namespace]
    return found and found[0][2].sample.processes


def test_volumes_are_refused_rather_than_left_out(lab, namespace, only):
    lab.apply(pod("web", namespace, container(), volumes=[{"name": "data", "emptyDir": {}}]))
    until(lambda: "FailedMount" in lab.reasons(namespace))
    assert waiting_reason(only()) == "ContainerCreating"


def test_commands_run_with_the_containers_environment(lab, namespace, only):
    lab.apply(pod("web", namespace, container(env=[{"name": "GREETING", "value": "hello"}], readinessProbe=READY)))
    until(ready(only))

    async def run(*command, tty=False):
        child = await lab.cluster.kubelet.exec(namespace, "web", "web", command, stdin=False, tty=tty)
        out, err = [await child.outputs[name].read() if name in child.outputs else b"" for name in ("stdout", "stderr")]
        return await child.wait(), out, err

    assert lab.call(run("sh", "-c", "echo $GREETING $VERSION; echo oops >&2; exit 4")) == (4, b"hello 1\n", b"oops\n")
    code, out, _ = lab.call(run("sh", "-c", "test -t 1 && echo terminal", tty=True))
    assert (code, out) == (0, b"terminal\r\n")


def test_a_pre_stop_hook_runs_before_the_container_is_asked_to_stop(lab, namespace, only):
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hooked > hooked; sleep 0.3"]}}}
    lab.apply(pod("web", namespace, container(readinessProbe=READY, lifecycle=hook), terminationGracePeriodSeconds=5))
    found = until(ready(only))
    [directory] = lab.cluster.home.glob(f"cluster/pods/{namespace}_web_*")
    lab.store("delete", "pods", "web", namespace=namespace)
    until((directory / "hooked").exists)
    assert "asked to stop" not in lab.log(found)
    until(lambda: only() is None)


def test_a_failed_post_start_hook_ends_the_container(lab, namespace, only):
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo no luck; exit 1"]}}}
    lab.apply(pod("web", namespace, container(lifecycle=hook), terminationGracePeriodSeconds=1))
    until(lambda: "FailedPostStartHook" in lab.reasons(namespace))
    until(lambda: first(only())["restartCount"] >= 1)


def test_a_pod_that_makes_no_sense_does_not_stop_the_others(lab, namespace, only):
    nonsense = container(resources={"limits": {"memory": "plenty"}})
    lab.store("create", "pods", pod("nonsense", namespace, nonsense, nodeName="lab-node"), namespace=namespace)
    until(lambda: "FailedSync" in lab.reasons(namespace))
    lab.store("delete", "pods", "nonsense", namespace=namespace, grace_seconds=0)
    lab.apply(pod("web", namespace, container()))
    until(lambda: "running" in first(only()).get("state", {}))
