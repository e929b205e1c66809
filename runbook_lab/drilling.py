"""A series of drills as `runbook drill` does it: told as they go, and a score board at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from runbook_lab.drill import Drill, perform
from runbook_lab.faults import FAULTS, UnknownFaultError, comes_in_kinds
from runbook_lab.healing import heal
from runbook_lab.home import Home
from runbook_lab.scoreboard import misses, show
from runbook_lab.scoring import Score
from runbook_lib.folders import outputs_folder

# Faults that may well come together and have nothing to do with each other, each pair within one runbook.
PAIRS = (
    "db_pool_exhausted+downstream_timeout",
    "memory_leak+downstream_timeout",
    "bad_deployment:code+downstream_timeout",
    "lock_contention:import+downstream_slow",
    "slow_query:missing_index+downstream_slow",
    "cache_miss:full+lock_contention:stubborn_import",
    "database_down:scaled+bad_config:image",
    "network_partition:selector+database_down:scaled",
)


def drill_all(home: Home, drills: Sequence[Drill], *, as_json: bool) -> bool:
    """Do drills one after the other, heal the lab, print the scores, and tell whether nothing was missed."""
    scores = []
    for drill in drills:
        score = perform(drill, home, told=_tell)
        scores.append(score)
        _tell(_in_words(score))
        for line in misses(score):
            _tell(line)
    heal(home, told=lambda _: None)
    if as_json:
        sys.stdout.write(json.dumps([score.as_json() for score in scores], indent=2) + "\n")
    else:
        show(scores)
    return all(score.passed for score in scores)


def drawn(
    names: Sequence[str],
    *,
    seed: int,
    repeat: int,
    outputs: Path | None,
    intensity: float | None = None,
    kind: str | None = None,
) -> list[Drill]:
    """Draw a series of drills; without names every fault, in every kind that it has. Raises UnknownFaultError."""
    folder = outputs_folder(outputs).resolve()
    if kind and names and not any(_leaves_kind_open(name) for name in names):
        raise UnknownFaultError(f"none of {', '.join(names)} comes in kinds that are left open; found --kind {kind}")
    return [
        Drill.drawn(
            name, seed=seed + turn, outputs=folder, intensity=intensity, kind=kind if kind and _leaves_kind_open(name) else None
        )
        for turn in range(repeat)
        for name in names or _everything()
    ]


def _leaves_kind_open(drill: str) -> bool:
    """Tell whether a drill such as `memory_leak+bad_deployment` has a fault that comes in kinds, of which none is chosen."""
    return any(comes_in_kinds(fault) for fault in drill.split("+"))


def _everything() -> Iterator[str]:
    for name, fault in FAULTS.items():
        for kind in fault.kinds:
            yield f"{name}:{kind}" if kind else name


def _in_words(score: Score) -> str:
    verdicts = ((score.found, "found"), (score.fixed, "fixed"), (score.recovered, "recovered"))
    words = ", ".join(word if value else f"NOT {word}" for value, word in verdicts)
    return f"{score.name}: {words}, {score.seconds:.0f} s"


def _tell(text: str) -> None:
    sys.stderr.write(f"drill: {text}\n")
    sys.stderr.flush()
