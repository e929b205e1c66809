import json
from datetime import UTC, datetime

import httpx
import pytest

from runbook_lib.receiver.application import MAXIMUM_BODY_BYTES, Receiver
from runbook_lib.receiver.queue import JobQueue
from runbook_lib.receiver.routes import Route, Routes
from runbook_lib.receiver.telling import in_lines

TOKEN = "a-token-of-the-test"


class IdleWorkers:
    alive = True
    any_alive = True


@pytest.fixture
def queue(tmp_path):
    queue = JobQueue(tmp_path / "queue", capacity=2)
    yield queue
    queue.close()


@pytest.fixture
def receiver(queue):
    routes = Routes(
        routes=tuple(
            Route(matchers=('runbook="high_error_rate"', f'service="{service}"'), notebook="high_error_rate", service=file)
            for service, file in (("", "orders.lab.yaml"), ("payments", "payments.yaml"), ("stock", "stock.yaml"))
        )
    )
    told, resolved = [], []
    receiver = Receiver(
        routes=routes, queue=queue, workers=IdleWorkers(), token=TOKEN, told=told.append, resolved=resolved.append
    )
    receiver.told, receiver.resolved = told, resolved
    return receiver


def post(receiver, body, *, token=TOKEN, method="POST", path="/alerts") -> httpx.Response:
    import asyncio

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=receiver.application())
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
            headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(send())


def alert(fingerprint: str = "f1", status: str = "firing", **labels: str) -> dict:
    return {
        "status": status,
        "labels": {"alertname": "HighErrorRate", "runbook": "high_error_rate", **labels},
        "annotations": {"summary": "31 % of requests fail"},
        "startsAt": "2026-05-04T03:12:40.123Z",
        "endsAt": "2026-05-04T03:20:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": fingerprint,
    }


def webhook(*alerts: dict, **more) -> dict:
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "runbooks",
        "alerts": list(alerts),
        **more,
    }


def test_an_accepted_alert_is_on_disk_when_the_answer_says_so(receiver, queue):
    answer = post(receiver, webhook(alert()))
    assert answer.status_code == 202
    assert {**answer.json(), "ids": []} == {"accepted": 1, "duplicates": 0, "resolved": 0, "unrouted": [], "ids": []}
    [kept] = (queue.folder / "waiting").glob("*.json")
    assert json.loads(kept.read_text())["alert"]["annotations"]["summary"] == "31 % of requests fail"


def test_a_repeated_notification_is_taken_and_starts_nothing(receiver):
    post(receiver, webhook(alert()))
    answer = post(receiver, webhook(alert()))
    assert (answer.status_code, answer.json()["accepted"], answer.json()["duplicates"]) == (202, 0, 1)


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "token with spaces"])
def test_without_the_token_nothing_is_taken(token, receiver, queue):
    answer = post(receiver, webhook(alert()), token=token)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert queue.counts()["waiting"] == 0


@pytest.mark.parametrize("body", [b"", b"not json", b'{"version": ', b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_a_bad_request(body, receiver):
    answer = post(receiver, body)
    assert (answer.status_code, "JSON" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {"alerts": []},
        webhook(alert()) | {"version": "3"},
        webhook({"status": "firing"}),
        webhook(alert() | {"status": "odd"}),
        webhook(alert() | {"startsAt": "2026-05-04T03:12:40"}),
        webhook(alert() | {"labels": {"a": {"b": "c"}}}),
    ],
)
def test_json_that_is_no_webhook_is_not_understood(body, receiver):
    answer = post(receiver, body)
    assert answer.status_code == 422
    assert "version 4" in answer.json()["error"]


def test_a_body_that_is_too_large_is_refused(receiver):
    assert post(receiver, b" " * (MAXIMUM_BODY_BYTES + 1)).status_code == 413


def test_a_full_queue_takes_what_fits_tells_it_and_asks_to_send_the_rest_again(receiver, queue):
    group = webhook(alert("f1"), alert("f2", service="payments"), alert("f3", service="stock"))
    answer = post(receiver, group)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert (answer.json()["accepted"], answer.json()["refused"]) == (2, 1)
    assert queue.counts()["waiting"] == 2
    assert any("1 of 3 alerts do not fit" in line for line in receiver.told)
    queue.take(timeout_seconds=0)
    assert post(receiver, group).json()["accepted"] == 1


def test_a_big_outage_is_one_run_that_keeps_every_alert(receiver, queue):
    pods = [alert(f"f{number}", pod=f"orders-{number}") for number in range(1000)]
    answer = post(receiver, webhook(*pods))
    assert (answer.status_code, answer.json()["accepted"], len(answer.json()["ids"])) == (202, 1000, 1)
    post(receiver, webhook(alert("one more", pod="orders-1000")))
    assert post(receiver, webhook(alert("other", service="payments"))).status_code == 202
    assert queue.counts()["waiting"] == 2
    assert len(queue.take(timeout_seconds=0).alerts) == 1001
    assert "accepted HighErrorRate and 999 more" in receiver.told[0]
    assert receiver.told[1].endswith("accepted HighErrorRate, for the run that waits already")


def test_while_no_worker_lives_alerts_are_to_be_sent_again(receiver, queue, monkeypatch):
    monkeypatch.setattr(IdleWorkers, "any_alive", False)
    answer = post(receiver, webhook(alert()))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert queue.counts()["waiting"] == 0
    assert "no worker lives" in receiver.told[0]


@pytest.mark.parametrize("labels", [{}, {"runbook": "unknown"}])
def test_a_label_cannot_forge_a_line_on_the_console(labels, receiver):
    post(receiver, webhook(alert(alertname="X\n20260504-x: completed\x1b[2J\u202e", **labels)))
    assert not any(character in line for line in receiver.told for character in "\n\x1b\u202e")
    assert "X 20260504-x: completed" in receiver.told[0]


def test_a_console_that_takes_nothing_stops_no_alert(receiver):
    def full(_):
        raise OSError(28, "No space left on device")

    receiver._told = in_lines(full)
    assert post(receiver, webhook(alert())).status_code == 202


def test_a_disk_that_does_not_take_it_asks_to_send_again(receiver, queue, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(queue, "_write", full)
    answer = post(receiver, webhook(alert()))
    assert answer.status_code == 503
    assert "No space left" in answer.json()["error"]


def test_an_alert_that_no_route_takes_is_named(receiver):
    answer = post(receiver, webhook(alert(runbook="unknown")))
    assert (answer.status_code, answer.json()["unrouted"]) == (202, ["HighErrorRate"])
    assert any("no route takes HighErrorRate" in line for line in receiver.told)


def test_a_resolved_alert_is_noted_with_its_run(receiver, queue):
    post(receiver, webhook(alert()))
    queue.finish(queue.take(timeout_seconds=0), outcome="completed", archive="/somewhere")
    answer = post(receiver, webhook(alert(status="resolved")))
    assert answer.json()["resolved"] == 1
    assert datetime.fromisoformat(receiver.resolved[0].resolved_at) == datetime(2026, 5, 4, 3, 20, tzinfo=UTC)


def test_a_resolved_alert_that_was_never_run_starts_nothing(receiver, queue):
    answer = post(receiver, webhook(alert(status="resolved")))
    assert (answer.json()["resolved"], queue.counts()["waiting"]) == (0, 0)


def test_health_tells_what_waits_and_whether_the_workers_live(receiver):
    post(receiver, webhook(alert()))
    answer = post(receiver, b"", method="GET", path="/healthz", token=None)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "waiting": 1, "running": 0})
    IdleWorkers.alive = False
    try:
        assert post(receiver, b"", method="GET", path="/healthz", token=None).status_code == 503
    finally:
        IdleWorkers.alive = True
