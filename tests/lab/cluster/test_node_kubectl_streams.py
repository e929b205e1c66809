"""`kubectl exec`, `cp`, `attach` and `run` with the streams of processes, over both protocols, and in a terminal."""

import hashlib
import os
import pty
import random
import select
import shutil
import subprocess
import termios
import time
import urllib.request

import pytest

from tests.lab.cluster.running import READY, container, deployment, pod, service, until

pytestmark = pytest.mark.lab

SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false"}


@pytest.fixture
def shell(lab, namespace):
    """A pod named shell, to run things in."""
    lab.apply(
        pod("shell", namespace, container("busybox", command=["sleep", "600"], name="shell"), terminationGracePeriodSeconds=0)
    )
    until(lambda: "Started" in lab.reasons(namespace))


@pytest.fixture
def web(lab, namespace, kubectl):
    """A web server behind the service `web`, on port 8000."""
    lab.apply(deployment("web", namespace, container(readinessProbe=READY), replicas=1), service("web", namespace))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    until(lambda: namespace in _names(lab, namespace))


def _names(lab, namespace):
    file = lab.cluster.hosts_file(namespace)
    return file.read_text() if file.exists() else ""


@pytest.fixture
def typing(lab, namespace):
    """Run kubectl in a terminal: each step waits for a text, and then types. Give the exit code and all that was shown."""

    def run(*arguments, steps):
        environment = {**os.environ, "KUBECONFIG": str(lab.cluster.kubeconfig), "HOME": str(lab.cluster.home)}
        command = [str(shutil.which("kubectl")), "--context", "lab-operator", "--namespace", namespace, *arguments]
        here, there = pty.openpty()
        termios.tcsetwinsize(there, (33, 99))
        process = subprocess.Popen(
            command, env=environment, stdin=there, stdout=there, stderr=there, start_new_session=True, close_fds=True
        )
        os.close(there)
        try:
            return _play(process, here, list(steps))
        finally:
            process.kill()
            process.wait()
            os.close(here)

    return run


def _play(process, terminal, steps):
    shown, seen, deadline = "", 0, time.monotonic() + 30
    while process.poll() is None or select.select([terminal], [], [], 0)[0]:
        assert time.monotonic() < deadline, shown
        if not select.select([terminal], [], [], 0.05)[0]:
            continue
        try:
            shown += os.read(terminal, 65536).decode()
        except OSError:  # the terminal of a process that has ended
            break
        if steps and (at := shown.find(steps[0][0], seen)) >= 0:
            seen = at + len(steps[0][0])
            os.write(terminal, steps.pop(0)[1].encode())
    return process.wait(), shown


# --- exec and cp


@pytest.mark.parametrize("protocol", [{}, SPDY], ids=["websocket", "spdy"])
def test_large_binary_data_goes_both_ways_unharmed(shell, kubectl, tmp_path, protocol):
    (tmp_path / "dump").write_bytes(random.Random(1).randbytes(3_000_000))
    kubectl("cp", str(tmp_path / "dump"), "shell:copied", **protocol)
    digest = hashlib.sha256((tmp_path / "dump").read_bytes()).hexdigest()
    assert kubectl("exec", "shell", "--", "sha256sum", "copied", **protocol).split()[0] == digest
    kubectl("cp", "shell:copied", str(tmp_path / "back"), **protocol)
    assert hashlib.sha256((tmp_path / "back").read_bytes()).hexdigest() == digest


def test_a_directory_is_copied_and_a_missing_file_is_told(shell, kubectl, tmp_path):
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "leaf").write_text("green\n")
    kubectl("cp", str(tmp_path / "tree"), "shell:tree")
    assert kubectl("exec", "shell", "--", "cat", "tree/deep/leaf") == "green\n"
    # kubectl ends with the archive, maybe with 0 (kubectl issue 980), and may leave behind what tar says of it.
    assert any("Cannot stat: No such file" in kubectl("cp", "shell:nowhere", str(tmp_path / "x"), code=None) for _ in range(10))


def test_a_shell_in_a_terminal_knows_its_size_and_ctrl_c(shell, typing):
    # What cat says back shows that it runs, and that the key will be for it.
    steps = [("# ", "tty; cat\n"), ("/dev/pts/", "hello\n"), ("hello\r\nhello", "\x03"), ("# ", "stty size; exit 5\n")]
    code, shown = typing("exec", "-it", "shell", "--", "sh", "-c", "PS1='# ' exec sh", steps=steps)
    assert (code, "\n33 99\r\n" in shown) == (5, True)


def test_a_program_sees_a_pipe_that_nobody_reads(shell, kubectl):
    assert kubectl("exec", "shell", "--", "sh", "-c", "yes | head -n 1; echo end") == "y\nend\n"


# --- names


def test_names_of_the_cluster_are_found_in_a_container(web, shell, kubectl):
    assert "wrote" not in kubectl("exec", "shell", "--", "wget", "-q", "-O-", "http://web:8000/x")
    assert "open" in kubectl("exec", "shell", "--", "nc", "-zv", "web", "8000")
    assert "Connection refused" in kubectl("exec", "shell", "--", "nc", "-zv", "web", "8001", code=1)
    assert "bad address 'nobody'" in kubectl("exec", "shell", "--", "wget", "-O-", "http://nobody:8000/", code=1)
    assert "NXDOMAIN" in kubectl("exec", "shell", "--", "nslookup", "nobody", code=1)
    address = kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    assert kubectl("exec", "shell", "--", "getent", "hosts", "web").split() == [address, "web"]
    assert address in kubectl("exec", "shell", "--", "nslookup", "web")


def test_a_page_that_is_an_error_fails_with_its_status(web, shell, kubectl):
    kubectl("exec", "shell", "--", "wget", "-q", "-O-", "http://web:8000/sicken")
    told = kubectl("exec", "shell", "--", "wget", "-O-", "http://web:8000/health", code=1)
    assert "server returned error: HTTP/1.1 503 Service Unavailable" in told


# --- run and attach


@pytest.mark.parametrize("protocol", [{}, SPDY], ids=["websocket", "spdy"])
def test_a_test_pod_tells_what_it_saw_and_goes(web, kubectl, lab, namespace, protocol):
    command = ("wget", "-q", "-O-", "http://web:8000/health")
    options = ("--rm", "-i", "--restart=Never", "--image=busybox", "--labels=purpose=test")
    told = kubectl("run", "test-pod", *options, "--", *command, **protocol)
    assert "web-" in told
    assert 'pod "test-pod" deleted' in told
    assert "test-pod" not in {found["metadata"]["name"] for found in lab.pods(namespace)}


def test_no_output_of_a_short_command_is_lost(kubectl):
    for number in range(3):
        told = kubectl("run", f"short-{number}", "--rm", "-i", "--restart=Never", "--image=busybox", "--", "echo", "all of it")
        assert told.count("all of it\n") == 1


def test_a_failure_is_the_exit_code_and_the_pod_is_removed_all_the_same(kubectl, lab, namespace):
    options = ("--rm", "-i", "--restart=Never", "--image=busybox")
    told = kubectl("run", "failing", *options, "--", "sh", "-c", "echo out; echo err >&2; exit 3", code=3)
    assert {"out", "err"} <= set(told.splitlines())
    assert lab.pods(namespace) == []


def test_what_is_typed_reaches_the_pod_until_its_end(kubectl):
    told = kubectl("run", "typed", "--rm", "-i", "--restart=Never", "--image=busybox", "--", "cat", stdin="typed\n")
    assert "typed\n" in told


def test_ctrl_c_in_the_terminal_ends_the_command_and_removes_the_pod(typing, lab, namespace):
    options = ("--rm", "-it", "--restart=Never", "--image=nicolaka/netshoot")
    # A shell reads the key as a signal while it waits for sleep; `trap` shows that it did.
    script = "trap 'echo caught; exit 4' INT; echo ready; while :; do sleep 0.1; done"
    code, shown = typing("run", "looking", *options, "--", "sh", "-c", script, steps=[("ready", "\x03")])
    assert (code, "caught" in shown) == (4, True)
    until(lambda: lab.pods(namespace) == [])


def test_a_client_attaches_to_a_pod_that_waits_for_input(kubectl):
    kubectl("run", "waiting", "--image=busybox", "--restart=Never", "-i", "--attach=false", "--", "sh", "-c", "cat; echo end")
    kubectl("wait", "pod/waiting", "--for=condition=Ready", "--timeout=20s")
    assert kubectl("attach", "-i", "waiting", stdin="hello\n").endswith("hello\nend\n")
    kubectl("wait", "pod/waiting", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=20s")
    assert kubectl("logs", "waiting") == "hello\nend\n"
    assert "cannot attach a container in a completed pod" in kubectl("attach", "waiting", code=1)


# --- debug and port-forward


def test_a_debug_container_joins_a_running_pod_and_leaves_it_alone(web, kubectl, lab, namespace):
    target = kubectl("get", "pods", "-o", "name").strip()
    script = "wget -q -O- http://web:8000/health; exit 4"
    told = kubectl("debug", target, "-i", "--image=busybox", "--target=web", "-c", "look", "--", "sh", "-c", script)
    assert "web-" in told
    [found] = lab.pods(namespace)
    [status] = until(lambda: _ended(lab, namespace))
    assert (status["name"], status["state"]["terminated"]["exitCode"]) == ("look", 4)
    assert (found["status"]["phase"], found["status"]["containerStatuses"][0]["restartCount"]) == ("Running", 0)
    assert kubectl("logs", target, "-c", "look").startswith("web-")
    assert "Ephemeral Containers:" in kubectl("describe", target)
    assert 'targetContainerName: Not found: "nobody"' in kubectl("debug", target, "--image=busybox", "--target=nobody", code=1)


def _ended(lab, namespace):
    statuses = lab.pods(namespace)[0]["status"].get("ephemeralContainerStatuses") or ()
    return [status for status in statuses if "terminated" in status["state"]]


@pytest.mark.parametrize("protocol", [{}, {"KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}], ids=["websocket", "spdy"])
def test_a_port_is_forwarded_as_often_as_it_is_connected_to(web, lab, namespace, protocol):
    environment = {**os.environ, "KUBECONFIG": str(lab.cluster.kubeconfig), "HOME": str(lab.cluster.home), **protocol}
    command = [str(shutil.which("kubectl")), "--context", "lab-operator", "--namespace", namespace, "port-forward", "svc/web"]
    with subprocess.Popen([*command, ":8000"], env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().split()[2]
            for _ in range(3):
                with urllib.request.urlopen(f"http://{address}/", timeout=10) as answer:
                    assert answer.read().startswith(b"web-")
        finally:
            process.terminate()
