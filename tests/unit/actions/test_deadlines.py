"""A server that drips its answer for ever ends no later than one that hangs: each byte begins a socket's timeout anew."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import ApiClient, Configuration

from runbook_lib.actions.admin_endpoint import AdminClient, CallFailed
from runbook_lib.actions.cluster import DEPLOYMENTS, Operator
from runbook_lib.errors import SourceTimeout
from tests.unit.actions.situations import a_context, a_service

SECONDS = 0.5


@pytest.fixture
def dripping() -> Iterator[int]:
    """A server that begins an answer of half an hour; gives its port."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36000\r\n\r\n")
                while not ended.wait(0.05):
                    connection.sendall(b" ")

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        ended.set()


def test_a_change_of_the_cluster_has_a_deadline(dripping: int) -> None:
    with ApiClient(Configuration(host=f"http://127.0.0.1:{dripping}")) as client:
        operator = Operator(client, namespace="shop", seconds=SECONDS, sleep=time.sleep)
        began = time.monotonic()
        with pytest.raises(SourceTimeout, match=r"no complete answer within 0\.5 s"):
            operator.get(DEPLOYMENTS, "orders")
        assert time.monotonic() - began < 10 * SECONDS


def test_a_call_of_an_admin_endpoint_has_a_deadline(dripping: int, tmp_path: Path) -> None:
    fields = a_service().model_dump(exclude_unset=True)
    connections = fields["connections"] | {"http": {"timeout_seconds": SECONDS}}
    service = type(a_service()).model_validate(fields | {"connections": connections})
    began = time.monotonic()
    with pytest.raises(CallFailed, match=r"no complete answer within 0\.5 s"):
        AdminClient(a_context(tmp_path, service=service), None).post(f"http://127.0.0.1:{dripping}/admin/open")
    assert time.monotonic() - began < 10 * SECONDS
