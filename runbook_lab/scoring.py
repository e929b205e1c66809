"""What a drill has come to, judged from the incident's record. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from runbook_lab.faults import Fault


@dataclass(frozen=True, kw_only=True)
class Score:
    """One drill: the fault, and whether its runbook found it, fixed it, and saw the shop recover.

    Recovered: what the alert measures is below its threshold again. `alert_seconds` (from the fault to the alert; None where
    none is waited for) and `run_seconds` (the notebook) are parts of `seconds`, from the fault to the measured recovery.
    """

    faults: tuple[Fault, ...]
    found: bool
    fixed: bool
    recovered: bool
    alert_seconds: float | None
    run_seconds: float
    seconds: float
    confirmed: tuple[str, ...]
    archive: str
    error: str = ""

    @property
    def name(self) -> str:
        """The drill's name, as `runbook drill` takes it."""
        return "+".join(fault.spelled for fault in self.faults)

    @property
    def passed(self) -> bool:
        """Whether nothing was missed."""
        return self.found and self.fixed and self.recovered and not self.error

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        told = [{"name": one.name, "kind": one.kind, "seed": one.seed, "intensity": one.intensity} for one in self.faults]
        rest = {name: value for name, value in asdict(self).items() if name != "faults"}
        return {"name": self.name, "passed": self.passed, "faults": told, **rest}


def roots(record: Mapping[str, Any]) -> list[str]:
    """Give the confirmed causes that no other cause explains, best first."""
    return [cause["name"] for cause in record["causes"] if cause["verdict"] == "confirmed" and not cause["because_of"]]


def is_found(record: Mapping[str, Any], faults: Sequence[Fault]) -> bool:
    """Tell whether just the injected causes are the confirmed roots, and lead the ranking. `healthy`: nothing is confirmed."""
    expected = {fault.cause for fault in faults} - {None}
    if not expected:
        return not any(cause["verdict"] == "confirmed" for cause in record["causes"])
    leading = [cause["name"] for cause in record["causes"]][: len(expected)]
    return set(roots(record)) == expected == set(leading)


def is_fixed(record: Mapping[str, Any], faults: Sequence[Fault]) -> bool:
    """Tell whether exactly the actions that fix the faults were executed; where there is nothing to fix, none may be."""
    executed = {action["name"] for action in record["actions"] if action["status"] == "executed"}
    return executed == set(cures(faults))


def approvals(faults: Sequence[Fault]) -> tuple[str, ...]:
    """Give what is to be approved for these faults, each once."""
    return tuple(dict.fromkeys(fault.approval for fault in faults if fault.approval))


def cures(faults: Sequence[Fault]) -> tuple[str, ...]:
    """Give the actions that fix these faults, each once."""
    return tuple(dict.fromkeys(fault.cure for fault in faults if fault.cure))
