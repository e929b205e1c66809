"""What the benchmarks share: a lab to measure on, and a table of ratios."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from runbook_lab.home import Home
from runbook_lab.lab import down, up

REPOSITORY = Path(__file__).resolve().parents[1]


@contextmanager
def lab() -> Iterator[None]:
    """A lab of its own for as long as the benchmark runs; incidents go to a directory that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="runbook-bench-") as scratch:
        os.environ["RUNBOOK_LAB_HOME"] = f"{scratch}/lab"
        os.environ["RUNBOOK_OUTPUTS"] = f"{scratch}/outputs"
        os.environ["RUNBOOK_PARAMETERS"] = str(REPOSITORY / "parameters")
        os.environ["RUNBOOK_NOTEBOOKS"] = str(REPOSITORY / "notebooks")
        home = Home()
        up(home, seed=1, told=lambda _: None)
        try:
            yield
        finally:
            down(home)


def show(taken: Mapping[str, Sequence[float]], *, against: str) -> None:
    """Print the median of each in seconds, and its ratio to one of them."""
    base = statistics.median(taken[against])
    width = max(map(len, taken))
    for name, times in taken.items():
        median = statistics.median(times)
        print(f"{name:<{width}}  {median:7.3f} s   {median / base:6.2f} x {against}   (of {len(times)})")
