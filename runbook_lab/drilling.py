"""A series of drills as `runbook drill` does it: told as they go, and a score board at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from runbook_lab.drill import Drill, perform
from runbook_lab.faults import FAULTS, UnknownFaultError
from runbook_lab.healing import heal
from runbook_lab.home import Home
from runbook_lab.scoreboard import misses, show
from runbook_lab.scoring import Score
from runbook_lib.folders import outputs_folder


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
    if kind and names and not any(_has_kinds(name) for name in names):
        raise UnknownFaultError(f"none of {', '.join(names)} comes in kinds; found --kind {kind}")
    wanted = [(name, kind if _has_kinds(name) else None) for name in names] or list(_everything())
    return [
        Drill.drawn(name, seed=seed + turn, outputs=folder, intensity=intensity, kind=chosen)
        for turn in range(repeat)
        for name, chosen in wanted
    ]


def _has_kinds(name: str) -> bool:
    """Tell whether a drill such as `memory_leak+bad_deployment` has a fault that comes in kinds."""
    return any(one in FAULTS and None not in FAULTS[one].kinds for one in name.split("+"))


def _everything() -> Iterator[tuple[str, str | None]]:
    for name, fault in FAULTS.items():
        for kind in fault.kinds:
            yield name, kind


def _in_words(score: Score) -> str:
    verdicts = ((score.found, "found"), (score.fixed, "fixed"), (score.recovered, "recovered"))
    words = ", ".join(word if value else f"NOT {word}" for value, word in verdicts)
    return f"{score.name}: {words}, {score.seconds:.0f} s"


def _tell(text: str) -> None:
    sys.stderr.write(f"drill: {text}\n")
    sys.stderr.flush()
