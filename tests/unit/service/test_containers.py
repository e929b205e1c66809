"""Pods with several containers: what Prometheus answers to our expressions, by promtool."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbook_lib.service.instrumentation import resolve
from runbook_lib.testing import service
from tests.unit.service.exporters import Sample, SeriesCatalogue

POD = "orders-6c8b7d9f5b-x7k2p"
MIB = 2**20
Containers = Mapping[str, Mapping[str, float | None]]

SINGLE: Containers = {"orders": {"used": 200 * MIB, "memory": 400 * MIB, "cpu": 2}}
BESIDE_A_PROXY: Containers = {
    "orders": {"used": 500 * MIB, "memory": 512 * MIB, "cpu": 1},
    "proxy": {"used": 100 * MIB, "memory": 1024 * MIB, "cpu": 2},
}
NONE_LIMITED: Containers = {name: {"used": used * MIB} for name, used in (("orders", 500), ("proxy", 100))}
ONE_LIMITED: Containers = {"orders": {"used": 300 * MIB}, "proxy": {"used": 100 * MIB, "memory": 1000 * MIB, "cpu": 2}}
ONE_LIMITED_AND_FULL: Containers = {**ONE_LIMITED, "proxy": {"used": 100 * MIB, "memory": 110 * MIB, "cpu": 2}}
ONE_SMALL_WITHOUT: Containers = {**ONE_LIMITED, "orders": {"used": 30 * MIB}}


def series(containers: Containers, *, moved: bool) -> list[Sample]:
    """cAdvisor's and kube-state-metrics' series; moved: the latter's labels were displaced by those of its scrape."""
    found = []
    for name, has in containers.items():
        own = {"namespace": "shop", "pod": POD, "container": name}
        state = {f"exported_{label}" if moved else label: value for label, value in own.items()}
        found.append(Sample({"__name__": "container_memory_working_set_bytes", **own}, has["used"] or 0.0))
        found.append(Sample({"__name__": "kube_pod_container_status_restarts_total", **state}, 0.0))
        for resource in ("memory", "cpu"):
            if (limit := has.get(resource)) is not None:
                labels = {"__name__": "kube_pod_container_resource_limits", **state, "resource": resource}
                found += [Sample({**labels, "instance": f"replica-{number}"}, limit) for number in (1, 2)]
    return found


def answers(
    tmp_path: Path, containers: Containers, wanted: Mapping[str, float | None], *, moved: bool, **application: Any
) -> str:
    """What promtool finds wrong with what the measures should be for the pod; None: nothing is known."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (apt install prometheus)")
    samples = series(containers, moved=moved)
    components = {"application": {"deployment": "orders", "selector": "app=orders", **application}}
    known = resolve(service("orders", components=components), SeriesCatalogue(samples)).known
    asked = []
    for name, value in wanted.items():
        if name in known:
            label = known[name].labels["pod"]
            told = [] if value is None else [{"labels": f'{{{label}="{POD}"}}', "value": value}]
            asked.append({"expr": known[name].promql_for(), "eval_time": "1m", "exp_samples": told})
        else:
            assert value is None, name
    given = [{"series": written(one), "values": f"{one.value}x5"} for one in samples]
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump({"tests": [{"interval": "1m", "input_series": given, "promql_expr_test": asked}]}))
    done = subprocess.run([program, "test", "rules", path], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def written(sample: Sample) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items() if name != "__name__")
    return f"{sample.labels['__name__']}{{{labels}}}"


@pytest.mark.parametrize("moved", [False, True], ids=["plain labels", "exported labels"])
@pytest.mark.parametrize(
    ("containers", "application", "used", "limit", "cores"),
    [
        (SINGLE, {}, 200, 400, 2),
        (BESIDE_A_PROXY, {}, 500, 512, 3),
        (BESIDE_A_PROXY, {"container": "orders"}, 500, 512, 1),
        (BESIDE_A_PROXY, {"container": "proxy"}, 100, 1024, 2),
        (NONE_LIMITED, {}, 500, None, None),
        (ONE_LIMITED, {}, 300, None, None),
        (ONE_LIMITED_AND_FULL, {}, 100, 110, None),
        (ONE_SMALL_WITHOUT, {}, 100, 1000, None),
        (ONE_LIMITED, {"container": "orders"}, 300, None, None),
    ],
    ids=[
        "alone",
        "beside a proxy",
        "named",
        "the other named",
        "without limits",
        "one without a limit",
        "one full",
        "a small one without",
        "named without a limit",
    ],
)
def test_use_and_limit_are_of_the_same_containers(
    tmp_path: Path,
    moved: bool,
    containers: Containers,
    application: dict[str, str],
    used: int,
    limit: int | None,
    cores: int | None,
) -> None:
    wanted = {
        "memory_working_set": float(used * MIB),
        "memory_limit": None if limit is None else float(limit * MIB),
        "memory_ratio": None if limit is None else used / limit,
        "cpu_limit": cores,
    }
    assert answers(tmp_path, containers, wanted, moved=moved, **application) == ""
