"""High error rate: each fault's own cause is the only confirmed root, whatever else it brings with it."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.models.cause import Verdict
from runbook_lib.testing import (
    Sickness,
    examine,
)
from tests.unit.playbooks.faults import FAULTS, sources

ISSUE = "high_error_rate"
SICKNESSES: tuple[Sickness, ...] = ("timeout", "unreachable", "refused", "invalid_answer")


@pytest.mark.parametrize(("fault", "cause"), FAULTS.values(), ids=FAULTS)
def test_the_fault_is_the_only_confirmed_root_and_ranks_first(fault: Any, cause: str) -> None:
    seen = examine(ISSUE, **sources(fault()))
    assert seen.roots == [cause], [(one.name, one.verdict, one.why) for one in seen.causes]
    assert seen.causes[0].name == cause
    assert seen.causes[0].confidence > 0.7


def test_a_healthy_service_confirms_nothing() -> None:
    seen = examine(ISSUE)
    assert seen.roots == []
    assert set(seen.verdicts.values()) == {Verdict.RULED_OUT}
