"""A drill: a fault is put into the lab, its alert awaited, its runbook run, and the recovery measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lab.faults import Fault, draw_together, put_in
from runbook_lab.healing import heal
from runbook_lab.home import Home
from runbook_lab.measuring import Measurements
from runbook_lab.scoring import Score, approvals, cures, is_fixed, is_found, roots
from runbook_lab.waiting import wait_for

# So long must nothing fail before a fault is put in: its onset shall stand out from what was before.
_CALM_SECONDS = 30  # longer than what a runbook takes for a pause within one incident
_CALM_WITHIN_SECONDS = 90.0
_ALERT_SECONDS = 180.0
_RUN_SECONDS = 300.0  # for each fault: every fix waits for its effect, and the first of two does not bring the recovery
# After the run, which has verified its fix itself, for what is still in the rate's window.
_RECOVERY_SECONDS = 45.0


@dataclass(frozen=True, kw_only=True)
class Drill:
    """A drill before it is done: the faults, and where the archive of its incident goes."""

    faults: tuple[Fault, ...]
    outputs: Path

    @classmethod
    def drawn(cls, names: str, *, seed: int, outputs: Path, intensity: float | None = None, kind: str | None = None) -> Drill:
        """Draw a drill from its name, such as `memory_leak` or `memory_leak+bad_deployment`. Raises UnknownFaultError."""
        return cls(faults=draw_together(names.split("+"), seed=seed, intensity=intensity, kind=kind), outputs=outputs)

    @property
    def runbook(self) -> str:
        """The runbook that is run: the one for the first fault."""
        return self.faults[0].runbook

    def told(self) -> str:
        """Say what the drill is, with all that is needed to do it again."""
        return "; ".join(fault.told() for fault in self.faults)


def perform(drill: Drill, home: Home, *, told: Callable[[str], None]) -> Score:
    """Do a drill, and give its score; `told` hears of each step. The lab is well again at the end, if it can be.

    What fails on the way (an alert that does not come, a notebook that dies) is a miss with its reason, not an exception.
    """
    measured, began, alert_seconds, run_seconds = Measurements(home), time.monotonic(), None, 0.0
    record: dict[str, Any] = {"causes": [], "actions": [], "id": ""}
    recovered, error = False, ""
    try:
        _calm_down(home, measured, told)
        told(drill.told())
        began = time.monotonic()
        put_in(home, drill.faults)
        if cures(drill.faults):
            told("waiting for the alert")
            wait_for("the alert", lambda: measured.alert_fires(drill.runbook), seconds=_ALERT_SECONDS)
            alert_seconds = time.monotonic() - began
        else:
            time.sleep(max(fault.shows_after_seconds for fault in drill.faults))
        told("running the notebook" + "".join(f", {action} approved" for action in cures(drill.faults)))
        run_began = time.monotonic()
        record = _run(home, drill)
        run_seconds = time.monotonic() - run_began
        recovered = _recovers(measured, drill.runbook)
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as failure:
        error = str(failure)
    return Score(
        faults=drill.faults,
        found=is_found(record, drill.faults) and not error,
        fixed=is_fixed(record, drill.faults) and not error,
        recovered=recovered,
        alert_seconds=alert_seconds,
        run_seconds=run_seconds,
        seconds=time.monotonic() - began,
        confirmed=tuple(roots(record)),
        archive=_archive(drill.outputs, record["id"]),
        error=error,
    )


def _calm_down(home: Home, measured: Measurements, told: Callable[[str], None]) -> None:
    told("healing the lab, and waiting for a calm baseline")
    heal(home, told=lambda _: None)
    wait_for(f"{_CALM_SECONDS} calm seconds", lambda: measured.is_calm(seconds=_CALM_SECONDS), seconds=_CALM_WITHIN_SECONDS)


def _run(home: Home, drill: Drill) -> dict[str, Any]:
    """Run the notebook as anybody does, and give the incident's record. Raises RuntimeError when there is none."""
    command = [sys.executable, "-m", "runbook_lib", "run", drill.runbook, "--service", "orders", "--env", "lab", "--json"]
    command += [f"--approve={action}" for action in approvals(drill.faults)] + [f"--outputs={drill.outputs}"]
    environment = os.environ | {"RUNBOOK_LAB_HOME": str(home.path)}
    allowed = _RUN_SECONDS * len(drill.faults)
    done = subprocess.run(command, capture_output=True, text=True, timeout=allowed, env=environment, check=False)
    try:
        record: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        record = {}
    if done.returncode != 0 or record.get("status") != "completed":
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason was given"]
        raise RuntimeError(f"the notebook did not complete (exit {done.returncode}): {reason[0]}")
    return record


def _recovers(measured: Measurements, runbook: str) -> bool:
    """Wait until what the alert measures is below its threshold, and tell whether it came to that."""
    try:
        wait_for("the recovery", lambda: measured.alert_is_over(runbook), seconds=_RECOVERY_SECONDS)
    except TimeoutError:
        return False
    return True


def _archive(outputs: Path, incident: str) -> str:
    return str(next(outputs.glob(f"*/*/{incident}"), "")) if incident else ""
