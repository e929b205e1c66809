"""Percentiles from native histograms, which a real Prometheus scrapes by its protobuf format."""

from __future__ import annotations

import math
import socket
import struct
import subprocess
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runbook_lab.servers.programs import PROMETHEUS, find
from runbook_lib.models.window import Window
from runbook_lib.service.models import PrometheusConnection
from runbook_lib.sources.discovery import discover
from runbook_lib.sources.prometheus import PrometheusMetrics
from runbook_lib.testing import fake_sources, service
from tests.lab.test_instrumentation import wait_until_ready

pytestmark = pytest.mark.lab

NAME, SCHEMA, FAST, SLOW = "http_request_duration_seconds", 3, 0.05, 1.6
SLOW_OF_TEN = 2  # so many requests of ten are slow
CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


def varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def zigzag(number: int) -> int:
    return number * 2 if number >= 0 else -number * 2 - 1


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def part(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def bucket_of(seconds: float) -> int:
    """The bucket of a duration: number n ends at 2^(n / 2^SCHEMA)."""
    return math.ceil(math.log2(seconds) * 2**SCHEMA)


def histogram(requests: int) -> bytes:
    """The io.prometheus.client.Histogram of so many requests: two buckets, each a span of its own."""
    slow = requests * SLOW_OF_TEN // 10
    spans, previous = b"", None
    for seconds in (FAST, SLOW):
        at = bucket_of(seconds)
        offset = at if previous is None else at - previous - 1
        spans += part(12, number(1, zigzag(offset)) + number(2, 1))
        previous = at
    deltas = number(13, zigzag(requests - slow)) + number(13, zigzag(slow - (requests - slow)))
    total = double(2, slow * SLOW + (requests - slow) * FAST)
    return number(1, requests) + total + number(5, zigzag(SCHEMA)) + double(6, 2**-128) + number(7, 0) + spans + deltas


def family(requests: int, labels: dict[str, str]) -> bytes:
    """The scraped page: one histogram, native only."""
    told = b"".join(part(1, part(1, name.encode()) + part(2, value.encode())) for name, value in labels.items())
    metric = part(4, told + part(7, histogram(requests)))
    content = part(1, NAME.encode()) + part(2, b"Time to answer.") + number(3, 4) + metric
    return varint(len(content)) + content


class Exporter(BaseHTTPRequestHandler):
    """A service that answers a hundred requests a second."""

    began = time.monotonic()

    def do_GET(self) -> None:
        body = family(int((time.monotonic() - self.began) * 100), {"route": "/orders", "status": "200"})
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """A Prometheus that scrapes the exporter every second."""
    directory = tmp_path_factory.mktemp("native")
    exporter = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    labels = "{service: orders, namespace: shop, pod: orders-6c8b7d9f5b-x7k2p, version: 1.4.0}"
    (directory / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n- job_name: orders\n"
        f"  static_configs: [{{targets: ['127.0.0.1:{exporter.server_port}'], labels: {labels}}}]\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [find(PROMETHEUS, told=lambda _: None), f"--config.file={directory / 'prometheus.yml'}"]
    options = [f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address={address}", "--log.level=error"]
    with subprocess.Popen([*command, *options, "--enable-feature=native-histograms"]) as server:
        source = PrometheusMetrics(PrometheusConnection.model_validate({"url": f"http://{address}", "timeout_seconds": 30}))
        try:
            wait_until_ready(f"http://{address}/-/ready")
            yield source
        finally:
            source.close()
            server.terminate()
            exporter.shutdown()
            exporter.server_close()


def until(what, answer, seconds=60):
    end = time.monotonic() + seconds
    while not (found := answer()):
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        time.sleep(0.25)
    return found


def test_percentiles_rates_and_parts_come_from_native_histograms(metrics):
    def rate():
        answer = metrics.instant(f"histogram_count(rate({NAME}[10s]))")
        return len(answer) and answer["value"].iloc[0] > 85

    until("rate of a native histogram", rate)
    orders = service("orders", instrumentation={"rate_window": "10s"}, connections={"kubernetes": {"namespace": "shop"}})
    window = Window.ending_at(metrics.instant("vector(1)")["time"].iloc[0].to_pydatetime(), timedelta(minutes=5))
    known = discover(orders, fake_sources(metrics=metrics), window=window).known
    ends = {seconds: 2 ** (bucket_of(seconds) / 2**SCHEMA) for seconds in (FAST, SLOW)}
    for quantile, seconds in (("0.5", FAST), ("0.95", SLOW), ("0.99", SLOW)):
        answer = metrics.instant(known["latency_quantile"].promql_for(quantile=quantile))
        assert answer["value"].tolist() == pytest.approx([ends[seconds]], rel=0.1)
    for part_of in ("route", "pod", "version"):
        answer = metrics.instant(known[f"latency_by_{part_of}"].promql_for())
        assert list(answer[part_of]) != [None]
        assert answer["value"].tolist() == pytest.approx([ends[SLOW]], rel=0.1)
    assert metrics.instant(known["request_rate"].promql_for())["value"].tolist() == pytest.approx([100], rel=0.25)
    mean = FAST + (SLOW - FAST) * SLOW_OF_TEN / 10
    assert metrics.instant(known["latency_mean"].promql_for())["value"].tolist() == pytest.approx([mean], rel=0.15)


def test_a_native_histogram_itself_is_no_number_and_the_answer_says_so(metrics):
    answer = until("sample", lambda: (found := metrics.instant(NAME)).attrs["notes"] and [found])[0]
    assert answer.empty
    assert "native histogram" in answer.attrs["notes"][0]
