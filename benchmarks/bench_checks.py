"""All checks at once against the slowest single one, and against one after the other.

Twice: on the lab as it is, where a source answers within milliseconds and the arithmetic is what takes time, and with half a
second added to each answer, which is what a busy Prometheus or a far cluster takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from common import lab, show

from runbook_lib import open_incident
from runbook_lib.incident.investigation import Investigation, Scope
from runbook_lib.playbooks import Playbook
from runbook_lib.sources.interface import Sources

ROUNDS = 5
FAR_SECONDS = 0.5


class Far:
    """A source whose every answer takes longer."""

    def __init__(self, source: Any, seconds: float) -> None:
        self._source, self._seconds = source, seconds

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._source, name)
        if not callable(found) or name == "close":
            return found

        def asked(*arguments: Any, **named: Any) -> Any:
            time.sleep(self._seconds)
            return found(*arguments, **named)

        return asked


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def only(playbook: Playbook, name: str) -> Playbook:
    """One check, and the symptom's, which the others may wait for."""
    return replace(playbook, checks=tuple(step for step in playbook.checks if step.name in {name, *playbook.symptom_checks}))


def measure(playbook: Playbook, scope: Scope) -> None:
    """Print the ratios for one scope."""

    def looked(checks: Playbook) -> object:
        return Investigation(checks, scope, on_finding=lambda _: None).start().findings()

    taken: dict[str, list[float]] = {"slowest single check": [], "all at once": [], "one after the other": []}
    looked(playbook)  # imports, connections
    for _ in range(ROUNDS):
        single = [seconds(lambda step=step: looked(only(playbook, step.name))) for step in playbook.checks]
        taken["slowest single check"].append(max(single))
        taken["one after the other"].append(sum(single))
        taken["all at once"].append(seconds(lambda: looked(playbook)))
    show(taken, against="slowest single check")


def main() -> None:
    """Measure on a lab of its own."""
    with lab():
        incident = open_incident("high_error_rate", service="orders", environment="lab", window="10m")
        incident.causes()
        playbook, scope = incident._playbook, incident._scope
        print("the lab as it is")
        measure(playbook, scope)
        far = Sources(**{one.name: Far(getattr(scope.sources, one.name), FAR_SECONDS) for one in fields(Sources)})
        print(f"\neach answer {FAR_SECONDS:g} s later")
        measure(playbook, replace(scope, sources=far))
        incident.close()


if __name__ == "__main__":
    main()
