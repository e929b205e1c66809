"""What is asked of each exporter, answered by a real Prometheus that holds its series: one in ten requests failed."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from runbook_lab.servers.programs import PROMETHEUS, find
from runbook_lib.models.window import Window
from runbook_lib.service.models import PrometheusConnection
from runbook_lib.sources.discovery import discover
from runbook_lib.sources.prometheus import PrometheusMetrics
from runbook_lib.testing import fake_sources, service
from tests.unit.service.exporters import EXPORTERS, FAILED_RATIO, RATE, SECONDS, Sample, cluster, prometheus_of

pytestmark = pytest.mark.lab

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCRAPE_SECONDS, SCRAPES = 15, 60
VALUES = {
    "request_rate": RATE, "error_ratio": FAILED_RATIO, "errors_by_status": RATE * FAILED_RATIO,
    "errors_by_route": RATE * FAILED_RATIO, "errors_by_exception": RATE * FAILED_RATIO, "error_ratio_by_pod": FAILED_RATIO,
    "error_ratio_by_version": FAILED_RATIO, "pool_in_use": 8, "pool_size": 10, "pool_waiting": 3, "pool_timeouts": 2,
    "downstream_rate": RATE, "downstream_errors": RATE * FAILED_RATIO, "downstream_error_ratio": FAILED_RATIO,
    "breaker_state": 1, "memory_working_set": 200e6, "memory_limit": 400e6, "memory_ratio": 0.5, "cpu_usage": 0.5, "cpu_limit": 2,
    "cpu_throttled_ratio": 0.1, "restarts": 3, "oom_kills": 1, "replicas_available": 1, "replicas_desired": 2, "pods_ready": 1,
}  # fmt: skip


def exposition(samples: list[Sample]) -> str:
    """The samples as OpenMetrics, over a quarter of an hour until AT."""
    escape = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    lines = []
    for sample in samples:
        labels = ",".join(f'{k}="{v.translate(escape)}"' for k, v in sample.labels.items() if k != "__name__")
        for number in range(SCRAPES):
            seconds = number * SCRAPE_SECONDS
            value = sample.value * seconds if sample.counter else sample.value
            at = AT.timestamp() - (SCRAPES - 1 - number) * SCRAPE_SECONDS
            lines.append(f"{sample.labels['__name__']}{{{labels}}} {value} {at}")
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """The address of a Prometheus with the series of all exporters, each of a service of its own."""
    directory = tmp_path_factory.mktemp("prometheus")
    samples = [
        sample
        for name, exporter in EXPORTERS.items()
        for export in (exporter.export, cluster)
        for sample in prometheus_of(export, name=name.replace("_", "-"), namespace=f"shop-{name.replace('_', '-')}")
    ]
    (directory / "samples.txt").write_text(exposition(samples))
    (directory / "prometheus.yml").write_text("global: {}\n")
    program = find(PROMETHEUS, told=lambda _: None)
    promtool = [program.with_name("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
    subprocess.run([*promtool, directory / "samples.txt", directory / "data"], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [program, f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}"]
    options = ["--storage.tsdb.retention.time=100y", f"--web.listen-address={address}", "--log.level=error"]
    with subprocess.Popen([*command, *options]) as server:
        try:
            wait_until_ready(f"http://{address}/-/ready")
            yield f"http://{address}"
        finally:
            server.terminate()


def wait_until_ready(url):
    until = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.URLError:
            assert time.monotonic() < until, f"{url} did not become ready"
            time.sleep(0.05)


@pytest.fixture
def metrics(prometheus):
    source = PrometheusMetrics(PrometheusConnection.model_validate({"url": prometheus, "timeout_seconds": 30}))
    yield source
    source.close()


@pytest.mark.parametrize("preset", ["auto", "named"])
@pytest.mark.parametrize("name", EXPORTERS)
def test_every_measure_has_the_true_value(metrics, name, preset):
    exporter, own = EXPORTERS[name], name.replace("_", "-")
    instrumented = service(
        own,
        instrumentation={"preset": exporter.preset if preset == "named" else "auto"},
        connections={"kubernetes": {"namespace": f"shop-{own}"}},
    )
    window = Window.ending_at(AT, timedelta(minutes=15))
    expressions = discover(instrumented, fake_sources(metrics=metrics), window=window)
    assert exporter.more | {"error_ratio", "latency_quantile", "memory_ratio"} <= set(expressions.known)
    for measure, expression in expressions.known.items():
        answer = metrics.instant(expression.promql_for(), at=AT)
        assert len(answer), f"{measure}: {expression.promql}"
        assert set(expression.labels.values()) <= set(answer.columns)
        if measure in VALUES:
            assert answer["value"].tolist() == pytest.approx([VALUES[measure]], rel=0.02), f"{measure}: {expression.promql}"
        if "latency" in measure:
            assert 0 < answer["value"].iloc[0] <= 1.001 * SECONDS


def test_no_label_value_is_taken_for_promql(metrics):
    evil = 'x"} or vector(1) #\\'
    instrumented = service("orders", instrumentation={"preset": "prometheus_client", "selector": {"service": evil}})
    expressions = discover(instrumented, fake_sources(metrics=metrics), window=Window.ending_at(AT, "15m"))
    assert {"error_ratio", "request_rate"} <= set(expressions.known)
    for expression in expressions.known.values():
        assert metrics.instant(expression.promql_for(), at=AT).empty
