"""Parts of an incident: a cause, what became of an action, and the symptom breached, well, and not known."""

from __future__ import annotations

from typing import Any

from runbook_lib.models.cause import Cause, Verdict
from runbook_lib.models.plan import ActionStatus, Outcome, Target
from runbook_lib.testing import ago, error_symptom

ONSET = ago(12)
BREACHED, WELL, UNKNOWN = error_symptom(ago(10)), error_symptom(), error_symptom(value=None)


def a_cause(name: str, **fields: Any) -> Cause:
    values = {"verdict": Verdict.CONFIRMED, "confidence": 0.9, "why": "seen", "since": ONSET}
    return Cause(name=name, title=name.replace("_", " ").capitalize(), **(values | fields))


def outcome(name: str = "restart_pods", status: ActionStatus = "executed", **fields: Any) -> Outcome:
    target = Target(kind="deployment", name="shop")
    return Outcome(action=name, target=target, status=status, **({"text": "Done.", "at": ago(3)} | fields))
