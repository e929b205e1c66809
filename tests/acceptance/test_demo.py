"""What a newcomer sees first: the demo, with its alert, its report, and its five lines."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]


def test_a_real_fault_ends_in_a_true_report(tmp_path):
    environment = {**os.environ, "RUNBOOK_LAB_HOME": str(tmp_path / "lab"), "RUNBOOK_OUTPUTS": str(tmp_path / "outputs")}
    done = subprocess.run(
        [sys.executable, "-m", "runbook_lab.demo"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *summary, last = done.stdout.splitlines()
    assert len(summary) == 5
    report = Path(last)
    assert report.stat().st_size < 6_000_000
    record = json.loads((report.parent / "incident.json").read_text())
    roots = [cause["name"] for cause in record["causes"] if cause["verdict"] == "confirmed" and not cause["because_of"]]
    assert roots == ["db_pool_exhausted"]
    assert record["alert"]["labels"]["runbook"] == "high_error_rate"
    assert not [action for action in record["actions"] if action["status"] == "executed"]
