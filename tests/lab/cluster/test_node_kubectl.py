"""The whole cluster, worked on with the kubectl that a person has."""

import json

import pytest

from tests.lab.cluster.running import READY, container, deployment, pod, until

pytestmark = pytest.mark.lab

WEB = container(readinessProbe=READY, env=[{"name": "GREETING", "value": "hello"}])


@pytest.fixture
def web(lab, namespace, kubectl):
    """A deployment of one web server that has rolled out."""
    lab.apply(deployment("web", namespace, WEB, replicas=1))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")


def test_history_undo_and_restart_go_through_the_revisions(web, kubectl):
    kubectl("set", "env", "deployment/web", "GREETING=goodbye")
    kubectl("annotate", "deployment/web", "kubernetes.io/change-cause=say goodbye")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert "2         say goodbye" in kubectl("rollout", "history", "deployment/web")
    assert "goodbye" in kubectl("rollout", "history", "deployment/web", "--revision=2")
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert kubectl("exec", "deployment/web", "--", "sh", "-c", "echo $GREETING") == "hello\n"
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("rollout", "undo", "deployment/web", "--to-revision=2")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert kubectl("exec", "deployment/web", "--", "sh", "-c", "echo $GREETING") == "goodbye\n"
    lines = kubectl("rollout", "history", "deployment/web").split("\n")
    assert [line.split()[0] for line in lines[2:] if line] == ["3", "4", "5"]


def test_scale_adds_and_takes_pods(web, kubectl):
    kubectl("scale", "deployment/web", "--replicas=3")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert len(kubectl("get", "pods", "-o", "name").split()) == 3
    kubectl("scale", "deployment/web", "--replicas=1")
    until(lambda: len(kubectl("get", "pods", "-o", "name").split()) == 1)


def test_a_limit_can_be_changed_below_the_old_one(lab, namespace, kubectl):
    limited = {**WEB, "resources": {"limits": {"memory": "200Mi"}}}
    lab.apply(deployment("web", namespace, limited, replicas=1))
    kubectl("set", "resources", "deployment/web", "--limits=memory=150Mi")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    [found] = [pod for pod in lab.pods(namespace) if "deletionTimestamp" not in pod["metadata"]]
    assert found["spec"]["containers"][0]["resources"] == {"limits": {"memory": "150Mi"}, "requests": {"memory": "150Mi"}}


def test_the_log_of_the_instance_before_is_kept(lab, namespace, kubectl):
    lab.apply(pod("crash", namespace, container("crash:1")))
    until(lambda: lab.pods(namespace)[0]["status"].get("containerStatuses", [{}])[0].get("restartCount"))
    assert kubectl("logs", "crash", "--previous") == "cannot go on\n"
    assert "CrashLoopBackOff" in until(lambda: "CrashLoopBackOff" in (text := kubectl("get", "pods")) and text)
    described = kubectl("describe", "pod", "crash")
    assert "Exit Code:    7" in described
    assert "Back-off restarting failed container crash in pod crash_" in described


def test_a_log_is_followed_until_the_pod_ends(lab, namespace, kubectl):
    talk = container("done:1", command=["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done"])
    lab.apply(pod("talk", namespace, talk, restartPolicy="Never"))
    until(lambda: "Started" in lab.reasons(namespace))
    assert kubectl("logs", "-f", "talk") == "1\n2\n3\n"


def test_commands_get_input_and_give_their_exit_code(web, kubectl):
    assert kubectl("exec", "-i", "deployment/web", "--", "cat", stdin="typed") == "typed"
    assert "command terminated with exit code 3" in kubectl("exec", "deployment/web", "--", "sh", "-c", "exit 3", code=3)


def test_top_shows_what_pods_use(lab, namespace, web, kubectl):
    until(lambda: lab.cluster.kubelet.usage(namespace))
    name, cores, memory = kubectl("top", "pods", "--no-headers").split()
    assert name.startswith("web-")
    assert cores.endswith("m")
    assert 5 < int(memory.removesuffix("Mi")) < 200


def test_a_bad_image_holds_the_rollout_and_undo_mends_it(web, kubectl):
    kubectl("patch", "deployment/web", "-p", json.dumps({"spec": {"progressDeadlineSeconds": 1}}))
    kubectl("set", "image", "deployment/web", "web=nowhere:9")
    assert "exceeded its progress deadline" in kubectl("rollout", "status", "deployment/web", "--timeout=30s", code=1)
    assert "ImagePull" in kubectl("get", "pods")
    kubectl("rollout", "undo", "deployment/web")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=30s")


def test_a_deleted_pod_is_gone_and_replaced_when_kubectl_returns(web, kubectl):
    old = kubectl("get", "pods", "-o", "name").strip()
    kubectl("delete", old)
    until(lambda: (now := kubectl("get", "pods", "-o", "name").split()) and old not in now)


def test_events_tell_the_story_in_its_order(web, kubectl):
    told = kubectl("events", "--for", kubectl("get", "pods", "-o", "name").strip())
    places = [told.index(reason) for reason in ("Scheduled", "Pulled", "Created", "Started")]
    assert places == sorted(places)


def test_a_node_is_described_with_its_lease_and_pods(web, kubectl):
    described = kubectl("describe", "node", "lab-node")
    assert "HolderIdentity:  lab-node" in described
    assert "web-" in described
