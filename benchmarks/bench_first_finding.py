"""From opening an incident to its first finding, in a fresh interpreter and in one that has opened incidents before.

Beside it: the bare query of the error ratio, which is the least that a first finding takes.
"""

from __future__ import annotations

import json
import subprocess
import sys

from common import REPOSITORY, lab, show

ROUNDS = 5
OPENING = """
import json, sys, time
before = time.perf_counter()
from runbook_lib import open_incident
imported = time.perf_counter() - before
def first():
    started = time.perf_counter()
    incident = open_incident("high_error_rate", service="orders", environment="lab", window="10m")
    incident.check.error_ratio()
    seconds = time.perf_counter() - started
    incident.causes()
    everything = time.perf_counter() - started
    started = time.perf_counter()
    incident.metrics.source.instant("vector(1)")
    query = time.perf_counter() - started
    incident.close()
    return seconds, everything, query
cold, warm = first(), first()
print(json.dumps({"import": imported, "cold": cold, "warm": warm}))
"""


def main() -> None:
    """Measure on a lab of its own."""
    taken: dict[str, list[float]] = {}
    with lab():
        for _ in range(ROUNDS):
            done = subprocess.run([sys.executable, "-c", OPENING], stdout=subprocess.PIPE, check=True, cwd=REPOSITORY)
            told = json.loads(done.stdout)
            taken.setdefault("a bare query", []).append(told["warm"][2])
            taken.setdefault("importing runbook_lib", []).append(told["import"])
            taken.setdefault("first finding, fresh interpreter", []).append(told["cold"][0])
            taken.setdefault("all causes, fresh interpreter", []).append(told["cold"][1])
            taken.setdefault("first finding, again", []).append(told["warm"][0])
            taken.setdefault("all causes, again", []).append(told["warm"][1])
    show(taken, against="first finding, again")


if __name__ == "__main__":
    main()
