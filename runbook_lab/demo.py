"""`make demo`: a fault in the lab, its alert, and the incident report that the alert leads to.

Everything goes the way it would go at night: Prometheus sees the errors, Alertmanager posts the alert, `runbook serve` takes it
and runs the notebook. The demo only puts the fault in and waits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from runbook_lib.folders import outputs_folder
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant
from runbook_lib.service.reference import expand

FAULT = "db_pool_exhausted"
_WAIT_SECONDS = 240.0
_POLL_SECONDS = 0.5
_RUNBOOK = (sys.executable, "-m", "runbook_lib")


def main() -> None:
    """Run the demo. Exit 1 when no completed incident came of the alert in time."""
    home, outputs = Path(expand("${RUNBOOK_LAB_HOME:-~/.cache/runbook-lab}")), outputs_folder().resolve()
    was_up = (home / "lab.json").is_file() and _runbook("lab", "status", quiet=True) == 0
    _step("starting the lab (PostgreSQL, Redis, Prometheus, Alertmanager, the shop and its cluster)")
    if _runbook("lab", "up") != 0:
        sys.exit("demo: the lab did not start; see above")
    try:
        record = _play(home, outputs)
    finally:
        _runbook("lab", "heal" if was_up else "down", quiet=True)
    if record is None:
        sys.exit(f"demo: no incident was archived within {_WAIT_SECONDS:.0f} s of the fault; see {home / 'logs'}")


def _play(home: Path, outputs: Path) -> dict[str, Any] | None:
    known = set(outputs.glob("*/*/*/incident.json"))
    with _receiver(home, outputs):
        _step(f"putting in the fault {FAULT}, which the runbook is not told of")
        began = time.monotonic()
        if _runbook("lab", "fault", FAULT, quiet=True) != 0:
            sys.exit(f"demo: the fault {FAULT} could not be put in; `runbook lab status` says more")
        _step("waiting for Prometheus to see it, Alertmanager to post it, and the notebook to run")
        found = _completed(outputs, known)
    if found is None:
        return None
    path, record = found
    for line in summary(record, seconds=time.monotonic() - began):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{path.parent / 'report.html'}\n")
    return record


@contextmanager
def _receiver(home: Path, outputs: Path) -> Iterator[None]:
    """`runbook serve` at the port that the lab's Alertmanager posts to."""
    lab = json.loads((home / "lab.json").read_text(encoding="utf-8"))
    log = (home / "logs" / "receiver.log").open("a", encoding="utf-8")
    command = [
        *_RUNBOOK,
        "serve",
        f"--port={lab['ports']['receiver']}",
        f"--token=file:{home / 'receiver.token'}",
        f"--outputs={outputs}",
    ]
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)
        log.close()


def _completed(outputs: Path, known: set[Path]) -> tuple[Path, dict[str, Any]] | None:
    """The first new incident that has come to its end, with its record."""
    end = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < end:
        for path in sorted(set(outputs.glob("*/*/*/incident.json")) - known):
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["status"] != "running" and (path.parent / "report.html").is_file():
                return path, record
        time.sleep(_POLL_SECONDS)
    return None


def summary(record: dict[str, Any], *, seconds: float) -> list[str]:
    """Five lines: what is wrong, since when, why, what would help, and how long it took to know."""
    symptoms = [symptom for symptom in record["symptoms"] if symptom["breached"]]
    measured = [f"{one['name'].replace('_', ' ')} {written(one['value'], one['unit'])}" for one in symptoms]
    wrong = ", ".join(measured) or record["summary"]
    confirmed = [cause for cause in record["causes"] if cause["verdict"] == "confirmed" and not cause["because_of"]]
    roots = [f"{cause['title']} ({cause['name']})" for cause in confirmed]
    since = format_instant(datetime.fromisoformat(record["onset_at"])) if record["onset_at"] else "not known"
    proposed = [f"{action['name']} on {action['target']}" for action in record["actions"] if action["recommended_for"]]
    return [
        f"What is wrong:   {record['service']}: {wrong}",
        f"Since:           {since}",
        f"Confirmed cause: {'; '.join(roots) or 'none'}",
        f"Proposed:        {', '.join(proposed) or 'nothing'}",
        f"From the fault to the report: {seconds:.0f} s, with nobody asked",
    ]


def _runbook(*words: str, quiet: bool = False) -> int:
    # Ours alone is the summary, so what the commands say goes to stderr.
    output = subprocess.DEVNULL if quiet else sys.stderr.fileno()
    return subprocess.run([*_RUNBOOK, *words], stdout=output, stderr=output, check=False, env=os.environ).returncode


def _step(text: str) -> None:
    sys.stderr.write(f"demo: {text}\n")


if __name__ == "__main__":
    main()
