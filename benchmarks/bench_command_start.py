"""The command line's start against Python's own: `runbook --help` beside `python -c pass`, in turns, in one run.

What is promised is the start in seconds (below 0.2 on an idle two-core machine); the ratio says how much of it is ours.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "runbook --help": [sys.executable, "-m", "runbook_lib", "--help"],
    "runbook list": [sys.executable, "-m", "runbook_lib", "list"],
}


def seconds(command: list[str]) -> float:
    """How long a command takes, from start to exit."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure in turns, so that a busy moment hits all of them, and print medians and ratios."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            taken[name].append(seconds(command))
    bare = statistics.median(taken["python -c pass"])
    for name, times in taken.items():
        median = statistics.median(times)
        print(f"{name:<16} {median:6.3f} s   {median / bare:5.1f} x python -c pass")


if __name__ == "__main__":
    main()
