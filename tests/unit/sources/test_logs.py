from datetime import UTC, datetime, timedelta

import pytest

from runbook_lib.errors import SourceRefused, SourceTimeout
from runbook_lib.models.window import Window
from runbook_lib.sources.kubernetes import KubernetesCluster
from runbook_lib.sources.logs import PodLogs
from tests.unit.sources.api_server import SHOP, Answer, forbidden, items, serving, status
from tests.unit.sources.objects import pod, terminated, waiting

NOW = datetime(2026, 5, 4, 4, 0, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(hours=1), NOW)


@pytest.fixture
def api():
    with serving() as server:
        yield server


@pytest.fixture
def cluster(api, tmp_path):
    opened = KubernetesCluster(api.connection(tmp_path, timeout_seconds=3))
    yield opened
    opened.close()


@pytest.fixture
def logs(cluster):
    return PodLogs(cluster, clock=lambda: NOW)


def text(*lines):
    return Answer(body="".join(f"{line}\n" for line in lines).encode(), headers={"Content-Type": "text/plain"})


def log_path(name):
    return f"{SHOP}/pods/{name}/log"


def test_the_logs_of_all_pods_are_merged_by_time(api, logs):
    api.routes[f"{SHOP}/pods"] = items(pod("a"), pod("b"))
    api.routes[log_path("a")] = text("2026-05-04T03:10:00Z INFO one", "2026-05-04T03:30:00Z ERROR three")
    api.routes[log_path("b")] = text("2026-05-04T03:20:00Z INFO two")
    found = logs.read("app=orders", window=WINDOW)
    assert list(found["message"]) == ["INFO one", "INFO two", "ERROR three"]
    assert list(found["pod"]) == ["a", "b", "a"]
    assert found["time"].is_monotonic_increasing
    assert found.attrs["truncated"] == []
    assert found.attrs["unread"] == {}
    assert "--all-containers" in found.command


def test_what_lies_outside_the_window_is_left_out(api, logs):
    api.routes[f"{SHOP}/pods"] = items(pod("a"))
    api.routes[log_path("a")] = text("2026-05-04T02:59:00Z before", "2026-05-04T03:30:00Z inside", "2026-05-04T04:30:00Z after")
    assert list(logs.read("app=orders", window=WINDOW)["message"]) == ["inside"]
    query = api.requests[-1].query
    assert query["sinceTime"] == "2026-05-04T03:00:00Z"
    assert query["timestamps"] == "true"
    assert query["tailLines"] == "2000"


def test_of_a_window_in_the_past_the_lines_are_not_counted_from_the_end(api, logs):
    api.routes[f"{SHOP}/pods"] = items(pod("a"))
    api.routes[log_path("a")] = text("2026-05-04T02:10:00Z inside")
    past = Window(NOW - timedelta(hours=2), NOW - timedelta(hours=1))
    assert len(logs.read("app=orders", window=past)) == 1
    assert "tailLines" not in api.requests[-1].query


def test_a_tail_that_was_not_long_enough_is_named(api, logs):
    api.routes[f"{SHOP}/pods"] = items(pod("a"), pod("b"))
    api.routes[log_path("a")] = text(*(f"2026-05-04T03:30:{number:02}Z line" for number in range(50)))
    api.routes[log_path("b")] = text("2026-05-04T03:30:00Z line")
    assert logs.read("app=orders", window=WINDOW, lines_per_pod=50).attrs["truncated"] == ["a"]


def test_bytes_that_exceed_the_bound_are_read_again_shorter_so_that_the_newest_stay(api, logs, monkeypatch):
    monkeypatch.setattr("runbook_lib.sources.logs._CONTAINER_BYTES", 4000)
    lines = [f"2026-05-04T03:30:{number:02}Z line {number} {'x' * 100}" for number in range(60)]

    def kubelet(request):
        tail = lines[-int(request.query["tailLines"]) :]
        whole = "".join(f"{line}\n" for line in tail).encode()
        return Answer(body=whole[: int(request.query["limitBytes"])])  # the API: it cuts at the end

    api.routes[f"{SHOP}/pods"] = items(pod("a"))
    api.routes[log_path("a")] = kubelet
    found = logs.read("app=orders", window=WINDOW, lines_per_pod=60)
    assert found["message"].iloc[-1].startswith("line 59")
    assert found.attrs["truncated"] == ["a"]


def test_the_previous_container_is_read_when_it_ended_in_the_window(api, logs):
    crashed = {
        "name": "orders",
        "restartCount": 1,
        "state": {"running": {}},
        "lastState": {"terminated": terminated(137, "OOMKilled", "2026-05-04T03:30:00Z")},
    }
    long_ago = {**crashed, "lastState": {"terminated": terminated(1, "Error", "2026-05-01T03:30:00Z")}}
    api.routes[f"{SHOP}/pods"] = items(pod("a", containers=[crashed]), pod("b", containers=[long_ago]))
    before_after = {"true": text("2026-05-04T03:29:59Z dying"), None: text("2026-05-04T03:31:00Z alive")}
    api.routes[log_path("a")] = lambda request: before_after[request.query.get("previous")]
    api.routes[log_path("b")] = text("2026-05-04T03:31:00Z fine")
    found = logs.read("app=orders", window=WINDOW)
    assert list(found[found["previous"]]["message"]) == ["dying"]
    assert len(found) == 3
    assert len(logs.read("app=orders", window=WINDOW, previous=False)) == 2


def test_a_container_that_waits_for_its_restart_is_read_once(api, logs):
    crashing = waiting("CrashLoopBackOff", last=terminated(1, "Error", "2026-05-04T03:30:00Z"))
    api.routes[f"{SHOP}/pods"] = items(pod("a", ready=False, containers=[crashing]))
    api.routes[log_path("a")] = text("2026-05-04T03:29:59Z dying")
    assert list(logs.read("app=orders", window=WINDOW)["message"]) == ["dying"]


def test_what_never_started_is_unread_with_its_reason(api, logs):
    api.routes[f"{SHOP}/pods"] = items(pod("a", phase="Pending", containers=[waiting("ImagePullBackOff")]), pod("b"))
    api.routes[log_path("b")] = text("2026-05-04T03:29:59Z fine")
    found = logs.read("app=orders", window=WINDOW)
    assert found.attrs["unread"] == {"a/orders": "it has not started: ImagePullBackOff"}


def test_one_pod_that_cannot_be_read_costs_only_its_own_lines(api, logs):
    api.routes[f"{SHOP}/pods"] = items(pod("a"), pod("b"), pod("c"))
    api.routes[log_path("a")] = status(500, "Get https://node-1:10250: dial tcp: i/o timeout")
    api.routes[log_path("b")] = text("unable to retrieve container logs for containerd://abc")
    api.routes[log_path("c")] = text("2026-05-04T03:29:59Z fine")
    found = logs.read("app=orders", window=WINDOW)
    assert len(found) == 1
    assert "i/o timeout" in found.attrs["unread"]["a/orders"]
    assert "unable to retrieve" in found.attrs["unread"]["b/orders"]


def test_logs_of_which_none_may_be_read_are_refused_with_the_permission_named(api, logs):
    api.routes[f"{SHOP}/pods"] = items(pod("a"))
    api.routes[log_path("a")] = forbidden("pods/log", verb="get")
    with pytest.raises(SourceRefused, match="needs verb get on pods/log"):
        logs.read("app=orders", window=WINDOW)


def test_one_container_can_be_named(api, cluster):
    two = [{"name": name, "state": {"running": {}}, "lastState": {}} for name in ("orders", "istio-proxy")]
    api.routes[f"{SHOP}/pods"] = items(pod("a", containers=two))
    api.routes[log_path("a")] = lambda request: text(f"2026-05-04T03:29:59Z {request.query['container']}")
    assert len(PodLogs(cluster, clock=lambda: NOW).read("app=orders", window=WINDOW)) == 2
    found = PodLogs(cluster, container="orders", clock=lambda: NOW).read("app=orders", window=WINDOW)
    assert list(found["container"]) == ["orders"]


def test_of_too_many_pods_those_that_suffer_are_read_and_the_sample_is_told(api, logs, monkeypatch):
    monkeypatch.setattr("runbook_lib.sources.logs._MAXIMUM_CONTAINERS", 3)
    restarted = [{"name": "orders", "restartCount": 5, "state": {"running": {}}, "lastState": {}}]
    api.routes[f"{SHOP}/pods"] = items(
        *(pod(f"fine-{number}") for number in range(5)),
        pod("newest", created="2026-05-04T03:50:00Z"),
        pod("restarted", containers=restarted),
        pod("unready", ready=False),
    )
    for name in ("newest", "restarted", "unready"):
        api.routes[log_path(name)] = text("2026-05-04T03:55:00Z line")
    found = logs.read("app=orders", window=WINDOW)
    assert set(found["pod"]) == {"newest", "restarted", "unready"}
    assert found.attrs["sampled"].startswith("the logs of 3 of 8 containers were read")


def test_a_kubelet_that_hangs_is_told_and_the_others_are_read(api, cluster):
    import threading

    released = threading.Event()

    def hangs(_):
        released.wait(10)
        return text("2026-05-04T03:55:00Z late")

    api.routes[f"{SHOP}/pods"] = items(pod("a"), pod("b"))
    api.routes[log_path("a")] = hangs
    api.routes[log_path("b")] = text("2026-05-04T03:55:00Z line")
    reader = PodLogs(cluster, seconds=0.5, clock=lambda: NOW)
    found = reader.read("app=orders", window=WINDOW)
    assert list(found["pod"]) == ["b"]
    assert "within 0.5 s" in found.attrs["unread"]["a/orders"]
    api.routes[f"{SHOP}/pods"] = items(pod("a"))
    with pytest.raises(SourceTimeout):
        reader.read("app=orders", window=WINDOW)
    released.set()


def test_no_pods_give_an_empty_frame(api, logs):
    api.routes[f"{SHOP}/pods"] = items()
    assert logs.read("app=orders", window=WINDOW).empty


def test_the_probe_asks_for_the_permission_to_read_logs(api, logs):
    review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    api.routes[review] = {"kind": "SelfSubjectAccessReview", "status": {"allowed": False}}
    assert logs.probe().status == "refused"
    assert api.requests[-1].body["spec"]["resourceAttributes"]["subresource"] == "log"


def ended(name, at, *, phase="Failed", **more):
    state = {"name": "orders", "restartCount": 0, "state": {"terminated": {**terminated(137, "Error", at), **more}}}
    return pod(name, ready=False, ready_at=at, phase=phase, containers=[state])


NODE_GONE = status(500, 'Get "https://10.0.0.9:10250/containerLogs": dial tcp 10.0.0.9:10250: i/o timeout')


def test_pods_that_ended_long_ago_take_no_place_of_those_that_live(api, logs, monkeypatch):
    monkeypatch.setattr("runbook_lib.sources.logs._MAXIMUM_CONTAINERS", 3)
    long_ago = [ended(f"dead-{number}", "2026-04-30T00:00:00Z") for number in range(3)]
    lost = ended("lost", "2026-04-30T00:00:00Z", finishedAt=None, reason="ContainerStatusUnknown")
    api.routes[f"{SHOP}/pods"] = items(*long_ago, lost, ended("lately", "2026-05-04T03:30:00Z", phase="Succeeded"), pod("a"))
    for name in ("dead-0", "dead-1", "dead-2", "lost"):
        api.routes[log_path(name)] = NODE_GONE
    api.routes[log_path("lately")] = text("2026-05-04T03:29:59Z dying")
    api.routes[log_path("a")] = text("2026-05-04T03:40:00Z alive")
    found = logs.read("app=orders", window=WINDOW)
    assert list(found["message"]) == ["dying", "alive"]
    assert (found.attrs["sampled"], found.attrs["unread"]) == ("", {})


def test_of_too_many_pods_those_that_have_ended_come_last(api, logs, monkeypatch):
    monkeypatch.setattr("runbook_lib.sources.logs._MAXIMUM_CONTAINERS", 2)
    api.routes[f"{SHOP}/pods"] = items(*(ended(f"spot-{number}", "2026-05-04T03:30:00Z") for number in range(5)), pod("a"))
    api.routes |= {log_path(f"spot-{number}"): NODE_GONE for number in range(5)}
    api.routes[log_path("a")] = text("2026-05-04T03:40:00Z alive")
    found = logs.read("app=orders", window=WINDOW)
    assert list(found["message"]) == ["alive"]
    assert "2 of 6 containers" in found.attrs["sampled"]
