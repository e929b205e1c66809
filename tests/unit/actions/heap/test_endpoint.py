"""A pod that gives its dump by an endpoint of its own: the shop's, traced by Python itself."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lab.shop import allocations
from runbook_lib.actions.guard import propose
from runbook_lib.actions.heap import TAKE_HEAP_DUMP
from runbook_lib.actions.interface import ActionContext
from runbook_lib.incident.heap import HeapExplorer
from runbook_lib.models.cause import Cause, Diagnosis, Verdict
from runbook_lib.models.plan import Proposal
from tests.unit.actions.cluster_api import Cluster
from tests.unit.actions.situations import START, Clock, a_context, a_diagnosis, a_service

TOKEN = "admin-token-of-the-tests"
POD = "orders-14-1"
ENDPOINT = {"runtime": "python", "dump_path": "/allocations", "start_path": "/start", "stop_path": "/stop", "token": "env:TOKEN"}


class Shop(BaseHTTPRequestHandler):
    """The three calls of the shop; `cut` answers half of what it promised."""

    cut = False
    asked: list[str]

    def do_GET(self) -> None:
        self._answer(allocations.sites())

    def do_POST(self) -> None:
        self._answer(allocations.start() if self.path == "/start" else allocations.stop())

    def _answer(self, body: Any) -> None:
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        self.asked.append(f"{self.command} {self.path}")
        content = json.dumps(body).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.cut and self.command == "GET" else content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def shop(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Shop]]:
    class Handler(Shop):
        asked: list[str] = []  # noqa: RUF012 - one class for each test

    monkeypatch.setenv("TOKEN", TOKEN)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    cluster.objects["pods", POD]["spec"]["containers"][0]["ports"] = [{"containerPort": server.server_port}]
    yield Handler
    allocations.stop()
    server.shutdown()
    server.server_close()


@pytest.fixture
def context(tmp_path: Path, api: ApiClient) -> ActionContext:
    return a_context(
        tmp_path, api_client=api, service=a_service(heap_dumps=ENDPOINT), heap_dumps=tmp_path / "heap", diagnosis=leaking(POD)
    )


def leaking(pod: str) -> Diagnosis:
    leak = Cause(name="memory_leak", title="Memory leak", verdict=Verdict.CONFIRMED, confidence=0.9, why="", pods=(pod,))
    return Diagnosis(symptoms=a_diagnosis().symptoms, causes=(leak,), summary="", at=START)


def proposed(context: ActionContext) -> Proposal:
    proposal = propose(TAKE_HEAP_DUMP, context)
    assert proposal.plan is not None, proposal.outcome.text
    assert proposal.approve is not None, proposal.outcome.text
    return proposal


def taken(context: ActionContext) -> Proposal:
    proposal = proposed(context)
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "executed", outcome.steps
    return proposal


def test_two_dumps_of_the_leaking_pod_name_the_line_that_allocates(
    context: ActionContext, shop: type[Shop], tmp_path: Path
) -> None:
    taken(context)
    kept = [bytes([number % 256]) * 1000 for number in range(2000)]
    context.sleep(120)
    proposal = taken(context)
    reading = HeapExplorer(directory=tmp_path / "heap", keep=lambda _: None)
    growth = reading.growth()
    assert f"{__file__}:" in growth.summary
    assert "in 120 s" in growth.summary
    assert growth.frame is not None
    assert growth.frame["grown_bytes"].iloc[0] >= 2_000_000
    assert len(kept) == 2000
    files = [Path(file) for file in reading.dumps()["file"]]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert POD in files[0].name
    assert TOKEN not in proposal.plan.command  # type: ignore[union-attr]


def test_the_undo_ends_the_tracing(context: ActionContext, shop: type[Shop]) -> None:
    proposal = taken(context)
    assert allocations.sites()["tracing"]
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert not allocations.sites()["tracing"]


def test_an_answer_that_is_cut_off_is_not_kept_and_the_tracing_is_ended_again(
    context: ActionContext, shop: type[Shop], tmp_path: Path
) -> None:
    shop.cut = True
    proposal = proposed(context)
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "failed"
    assert list((tmp_path / "heap").glob("*")) == []
    assert shop.asked[-1] == "POST /stop"


def test_nobody_waits_for_the_symptom_to_get_better_by_a_dump(api: ApiClient, shop: type[Shop], tmp_path: Path) -> None:
    clock = Clock()
    context = a_context(
        tmp_path, api_client=api, service=a_service(heap_dumps=ENDPOINT), heap_dumps=tmp_path / "heap", clock=clock,
        readings=(0.9,), diagnosis=leaking(POD),
    )  # fmt: skip
    taken(context)
    assert clock.now == START


def test_a_service_without_a_known_runtime_cannot_say_what_its_answer_is(context: ActionContext, shop: type[Shop]) -> None:
    unknown = a_service(heap_dumps={"dump_path": "/allocations"})
    proposal = propose(TAKE_HEAP_DUMP, a_context(context.audit.path.parent, api_client=context.api_client, service=unknown,
                                                 heap_dumps=context.heap_dumps))  # fmt: skip
    assert proposal.plan is None
    assert "heap_dumps.runtime" in proposal.outcome.text
