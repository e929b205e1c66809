"""Endpoints asked over real HTTP: whatever the server does, there is an answer that says so, in time."""

from __future__ import annotations

import ssl
import time

import pytest

from runbook_lib.service.models import HttpConnection
from runbook_lib.sources.http import HttpEndpoints
from tests.unit.sources.certificates import Authority
from tests.unit.sources.http_server import Reply, answering, refusing_url


def endpoints(own=(), **connection):
    return HttpEndpoints(HttpConnection.model_validate({"timeout_seconds": 5, **connection}), own=own)


@pytest.mark.parametrize(
    ("reply", "state", "status", "body"),
    [
        (Reply(b'{"status": "ok"}'), "ok", 200, {"status": "ok"}),
        (Reply(b"fine"), "ok", 200, "fine"),
        (Reply(b""), "ok", 200, ""),
        (Reply(b"\xff\xfe"), "ok", 200, "\ufffd\ufffd"),
        (Reply(b"", 204), "ok", 204, ""),
        (Reply(b'{"status": "down"}', 503), "invalid_answer", 503, {"status": "down"}),
        (Reply(b"no", 401), "refused", 401, "no"),
        (Reply(b"no", 403), "refused", 403, "no"),
        (Reply(b"<html>", 404), "invalid_answer", 404, "<html>"),
        (Reply(b"", 302, {"Location": "/login"}), "invalid_answer", 302, ""),
    ],
)
def test_an_answer_says_what_the_server_said(reply, state, status, body):
    with answering(reply) as server:
        answer = endpoints().get(f"{server.url}/health")
        assert (answer.state, answer.status, answer.body) == (state, status, body)
        assert answer.ok == (state == "ok")
        assert answer.error == (None if answer.ok else f"HTTP {status}")
        assert answer.seconds > 0
        assert [asked.path for asked in server.asked] == ["/health"]


@pytest.mark.parametrize("reply", [Reply(hang=True), Reply(b"x" * 200, pieces=200, pause=0.05)], ids=["hangs", "drips"])
def test_a_server_that_takes_too_long_costs_its_deadline(reply):
    with answering(reply) as server:
        began = time.monotonic()
        answer = endpoints(timeout_seconds=30).get(server.url, timeout_seconds=0.3)
        assert time.monotonic() - began < 3
        assert (answer.state, answer.status, answer.error) == ("timeout", None, "no answer within 0.3 s")


def test_nobody_listens():
    answer = endpoints().get(refusing_url())
    assert (answer.state, answer.status) == ("unreachable", None)
    assert "refused" in answer.error


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/x", "http://", "http://[", "http://127.0.0.1:99999/"])
def test_an_address_that_is_none_is_an_answer_too(url):
    answer = endpoints().get(url)
    assert answer.state in ("invalid_answer", "unreachable")
    assert answer.error


def test_a_server_that_speaks_something_else():
    with answering(Reply(b'{"a"', length=50)) as server:
        answer = endpoints().get(server.url)
        assert (answer.state, answer.status) == ("invalid_answer", None)


def test_a_body_without_end_is_cut():
    with answering(Reply(b"x" * (2 * 2**20), pieces=8)) as server:
        assert len(endpoints().get(server.url).body) == 2**20


def test_the_token_goes_to_the_services_own_host_only(monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cret")
    with answering(Reply(b"{}")) as server:
        endpoints(own=("127.0.0.1",), bearer_token="env:TOKEN").get(server.url)
        endpoints(own=("orders.example.com",), bearer_token="env:TOKEN").get(server.url)
        assert [asked.headers.get("Authorization") for asked in server.asked] == ["Bearer s3cret", None]


def test_a_token_that_leads_nowhere_is_told(monkeypatch):
    monkeypatch.delenv("NO_TOKEN", raising=False)
    with answering(Reply(b"{}")) as server:
        answer = endpoints(own=("127.0.0.1",), bearer_token="env:NO_TOKEN").get(server.url)
        assert answer.status is None
        assert "NO_TOKEN" in answer.error
        assert server.asked == []


def test_mutual_tls(tmp_path):
    authority = Authority(tmp_path)
    ours, theirs = authority.sign("runbook"), authority.sign("orders")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate)
    context.load_cert_chain(theirs.certificate, theirs.key)
    context.verify_mode = ssl.CERT_REQUIRED
    ca_file = {"ca_file": str(authority.certificate)}
    with answering(Reply(b"{}"), tls=context) as server:
        pair = {"certificate_file": str(ours.certificate), "key_file": str(ours.key)}
        assert endpoints(tls=ca_file | pair).get(server.url).ok
        assert endpoints(tls=ca_file).get(server.url).status is None
        assert endpoints().get(server.url).state == "unreachable"


def test_certificates_that_are_missing_are_told(tmp_path):
    answer = endpoints(tls={"ca_file": str(tmp_path / "missing.pem")}).get("https://127.0.0.1:1/")
    assert answer.status is None
    assert "missing.pem" in answer.error or "No such file" in answer.error


def test_a_closed_source_opens_again():
    with answering(Reply(b"{}")) as server:
        source = endpoints()
        assert source.get(server.url).ok
        source.close()
        source.close()
        assert source.get(server.url).ok
        assert source.probe().status == "ok"
