"""With any one source dead, in any way of being dead, an investigation ends in time and calls what it cannot know unknown."""

import copy
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from runbook_lib.models.cause import Verdict
from runbook_lib.opening import open_incident

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SOURCES = ("prometheus", "kubernetes", "postgres", "redis", "http")
WAYS = {
    "refuses": None,
    "hangs": b"",
    "answers 500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\nConnection: close\r\n\r\noops!",
    "talks nonsense": b"\x00\xffnonsense\r\n" * 20,
}
CHECK_SECONDS = 3.0


@contextmanager
def sick_server(answer):
    """Give the port of a server that is sick in one way. Nothing of it outlives the test."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    if answer is None:
        listening.close()
        yield port
        return
    held = []

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            held.append(connection)
            if answer:
                threading.Thread(target=reply, args=(connection,), daemon=True).start()

    def reply(connection):
        try:
            connection.recv(4096)
            connection.sendall(answer)
            connection.close()
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield port
    finally:
        listening.close()
        for connection in held:
            connection.close()


def with_sick(source, port, lab, directory):
    """The lab's service, with one of its systems at this port."""
    described = copy.deepcopy(yaml.safe_load((ROOT / "parameters" / "orders.lab.yaml").read_text()))
    service = described["service"]
    service["limits"] = {"check_deadline_seconds": CHECK_SECONDS, "all_checks_deadline_seconds": 20}
    connections = service["connections"]
    if source == "prometheus":
        connections["prometheus"]["url"] = f"http://127.0.0.1:{port}"
    elif source == "postgres":
        connections["postgres"]["dsn"] = f"postgresql://runbook@127.0.0.1:{port}/shop"
    elif source == "redis":
        connections["redis"]["url"] = f"redis://127.0.0.1:{port}/0"
    elif source == "http":
        service["components"]["application"]["url"] = f"http://127.0.0.1:{port}"
        for downstream in service["dependencies"]["downstream"]:
            downstream["health_url"] = f"http://127.0.0.1:{port}/health"
    else:
        kubeconfig = yaml.safe_load(Path(lab.home.kubeconfig).read_text())
        for cluster in kubeconfig["clusters"]:
            cluster["cluster"]["server"] = f"https://127.0.0.1:{port}"
        path = directory / "kubeconfig"
        path.write_text(yaml.safe_dump(kubeconfig))
        connections["kubernetes"]["kubeconfig"] = str(path)
    return described


@pytest.fixture(scope="module")
def well_lab(running_lab):
    """These tests change nothing in the lab: well once is well for all of them."""
    running_lab.heal()
    return running_lab


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_healthy_service_confirms_nothing_and_the_sick_source_is_named(well_lab, tmp_path, monkeypatch, source, way):
    monkeypatch.setenv("RUNBOOK_LAB_HOME", str(well_lab.home.path))
    monkeypatch.setenv("RUNBOOK_OUTPUTS", str(tmp_path / "outputs"))
    with sick_server(WAYS[way]) as port:
        started = time.monotonic()
        incident = open_incident(
            "high_error_rate", service=with_sick(source, port, well_lab, tmp_path), environment="lab", window="5m"
        )
        connection = incident.connection()
        diagnosis = incident.causes()
        incident.close()
        seconds = time.monotonic() - started
    assert seconds < 60
    assert not [cause.name for cause in diagnosis.causes if cause.verdict is Verdict.CONFIRMED]
    if source != "http":  # many addresses, each told of by the check that asks it
        assert {status.name: status.status for status in connection.sources}[source] != "ok"
    if source == "prometheus":
        assert diagnosis.symptoms[0].breached is None
        assert any(source in missing for missing in diagnosis.missing_sources)
