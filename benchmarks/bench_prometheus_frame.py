"""A Prometheus range answer as our frame, against the raw HTTP answer alone and against the client library's own frame.

200 series of 1,440 points each (one minute for a day), made up, in a Prometheus of its own. In turns in one run, so that a busy
moment hits all of them. Promised: ours takes at most 1.3 times what the raw answer takes.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import requests
from common import show
from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect

from runbook_lab.servers.programs import PROMETHEUS, find
from runbook_lib.models.window import Window
from runbook_lib.service.models import PrometheusConnection
from runbook_lib.sources.prometheus import PrometheusMetrics

ROUNDS = 9
SERIES, POINTS, STEP_SECONDS = 200, 1_440, 60
QUERY = "http_request_rate"
# In the past, so that Prometheus finds all of it in blocks and nothing is moved while it is measured.
END = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = Window.ending_at(END, timedelta(seconds=(POINTS - 1) * STEP_SECONDS))


def write_samples(path: Path) -> None:
    """Made-up rates as OpenMetrics, with the labels and the digits that real ones have."""
    random = np.random.default_rng(seed=1)
    start = int(WINDOW.start.timestamp())
    with path.open("w") as file:
        file.write(f"# TYPE {QUERY} gauge\n")
        for number in range(SERIES):
            labels = (
                f'namespace="shop",service="orders",pod="orders-6c8b7d9f5b-{number:05d}",instance="10.0.0.{number}:8080",'
                f'job="pods",method="GET",route="/orders/{{id}}",status="{(200, 404, 500)[number % 3]}"'
            )
            values = random.gamma(2.0, 20.0, POINTS).tolist()
            file.writelines(f"{QUERY}{{{labels}}} {value} {start + point * STEP_SECONDS}\n" for point, value in enumerate(values))
        file.write("# EOF\n")


@contextmanager
def prometheus() -> Iterator[str]:
    """The address of a Prometheus that holds the samples, for as long as the benchmark runs."""
    program = find(PROMETHEUS, told=print)
    with tempfile.TemporaryDirectory(prefix="runbook-bench-") as scratch:
        data, samples, configuration = (Path(scratch) / name for name in ("data", "samples.txt", "prometheus.yml"))
        write_samples(samples)
        configuration.write_text("global: {}\n")
        promtool = program.with_name("promtool")
        subprocess.run(
            [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", samples, data],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [
            program, f"--config.file={configuration}", f"--storage.tsdb.path={data}", "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ]  # fmt: skip
        with subprocess.Popen(command) as server:
            try:
                wait_for(f"http://127.0.0.1:{port}/-/ready")
                yield f"http://127.0.0.1:{port}"
            finally:
                server.terminate()


def wait_for(url: str) -> None:
    """Until it answers; no longer than half a minute."""
    until = time.monotonic() + 30
    while True:
        try:
            if requests.get(url, timeout=1).ok:
                return
        except requests.ConnectionError:
            if time.monotonic() > until:
                raise
        time.sleep(0.05)


def main() -> None:
    """Measure in turns, and print medians and ratios."""
    with prometheus() as url, requests.Session() as session:
        metrics = PrometheusMetrics(PrometheusConnection.model_validate({"url": url}))
        library = PrometheusConnect(url=url)
        times = {"start": WINDOW.start.timestamp(), "end": WINDOW.end.timestamp(), "step": STEP_SECONDS}
        ways: dict[str, Callable[[], object]] = {
            "the raw answer": lambda: session.get(f"{url}/api/v1/query_range", params={"query": QUERY, **times}).content,
            "our frame": lambda: metrics.range(QUERY, window=WINDOW, step_seconds=STEP_SECONDS),
            "the library's own frame": lambda: MetricRangeDataFrame(
                library.custom_query_range(QUERY, WINDOW.start, WINDOW.end, f"{STEP_SECONDS}s")
            ),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        ours = metrics.range(QUERY, window=WINDOW, step_seconds=STEP_SECONDS)
        if len(ours) != SERIES * POINTS:
            raise SystemExit(f"{SERIES * POINTS} samples were expected, found {len(ours)}")
        for _ in range(ROUNDS):
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                taken[name].append(time.perf_counter() - started)
        metrics.close()
    show(taken, against="the raw answer")


if __name__ == "__main__":
    main()
